"""What an edge answers over HTTP beside WebSockets: /health, /agents, CORS and problems."""

import base64
from typing import Any

import aiohttp
import msgspec
import pytest

from aiconexus.bus.clock import now_ms
from aiconexus.bus.testing import new_key
from aiconexus.protocol.bodies import Agents as Listed
from aiconexus.protocol.bodies import Body, Discover, Error, Ping

from .world import Agent, Agents, Edge, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = "https://app.example"


def header(agent: Agent, body: Body, to: str | None = None, **fields: Any) -> dict[str, str]:
    """Credentials."""
    data = agent.sealed(body, to or agent.services["identity"], **fields)
    return {"Authorization": f"AIConexus {base64.urlsafe_b64encode(data).decode().rstrip('=')}"}


async def problem(response: aiohttp.ClientResponse) -> tuple[int, str, str]:
    """Status, media type and name of a problem."""
    error = msgspec.json.decode(await response.read(), type=Error)
    return response.status, response.content_type, error.problem


async def test_health_names_real_dependencies(edge: Edge, agents: Agents) -> None:
    """/health says whether bus and identity answer."""
    response = await agents.http.get(f"{edge.http}/health")
    report = await response.json()

    assert (200, "healthy") == (response.status, report["status"])
    assert {"identity", "process"} <= set(report["components"])


async def test_signed_discover_lists_agents(edge: Edge, agents: Agents) -> None:
    """Whoever signs a DISCOVER to the platform gets its page as JSON."""
    key = new_key()
    agent = await agents.agent(edge, key=key, fields={"name": "ada", "capabilities": (f"x-{key.token[:12]}",)})
    response = await agents.http.get(
        f"{edge.http}/agents", headers=header(agent, Discover(capability=f"x-{key.token[:12]}"))
    )
    page = msgspec.json.decode(await response.read(), type=Listed)

    assert (200, "application/json") == (response.status, response.content_type)
    assert [(agent.did, "ada", True)] == [(card.did, card.name, card.online) for card in page.agents]


async def test_pages_follow_each_other(edge: Edge, agents: Agents) -> None:
    """The cursor of a page leads to the next one."""
    capability = f"p-{new_key().token[:12]}"
    crowd = [await agents.agent(edge, fields={"capabilities": (capability,)}) for _ in range(3)]
    found, cursor = [], None
    for _ in range(2):
        question = Discover(capability=capability, limit=2, cursor=cursor)
        response = await agents.http.get(f"{edge.http}/agents", headers=header(crowd[0], question))
        page = msgspec.json.decode(await response.read(), type=Listed)
        found += [card.did for card in page.agents]
        cursor = page.cursor

    assert sorted(agent.did for agent in crowd) == sorted(found)


@pytest.mark.parametrize("credentials", ["", "Bearer x", "AIConexus", "AIConexus !!!", "AIConexus eHh4"], ids=repr)
async def test_stranger_is_unauthorised(edge: Edge, agents: Agents, credentials: str) -> None:
    """Without a sealed DISCOVER there is no list, and the answer says how to ask."""
    response = await agents.http.get(f"{edge.http}/agents", headers={"Authorization": credentials})

    assert (401, "application/problem+json") == (await problem(response))[:2]
    assert "AIConexus" == response.headers["WWW-Authenticate"]


async def test_forged_old_or_used_credentials_are_unauthorised(edge: Edge, agents: Agents) -> None:
    """Identity checks the signature, the time and that it is new, as for any DISCOVER."""
    agent = await agents.agent(edge)
    good = header(agent, Discover())
    await agents.http.get(f"{edge.http}/agents", headers=good)
    forged = agent.sealed(Discover(), agent.services["identity"])
    cases = [
        good,
        header(agent, Discover(), now_ms=now_ms() - 120_000),
        {"Authorization": "AIConexus " + base64.urlsafe_b64encode(forged[:-1] + bytes((forged[-1] ^ 1,))).decode()},
        header(agent, Ping(sequence=1)),
        header(agent, Discover(), agent.services["relay"]),
    ]
    answers = [await problem(await agents.http.get(f"{edge.http}/agents", headers=case)) for case in cases]

    assert ["replayed", "stale", "invalid_signature", "refused", "refused"] == [answer[2] for answer in answers]
    assert [401] * 5 == [answer[0] for answer in answers]


async def test_filters_stand_in_what_is_signed(edge: Edge, agents: Agents) -> None:
    """A query beside credentials would not be signed, so it is refused."""
    agent = await agents.agent(edge)
    response = await agents.http.get(f"{edge.http}/agents?online=true", headers=header(agent, Discover()))

    assert (400, "application/problem+json", "malformed") == await problem(response)


async def test_public_list_is_a_setting(world: World, agents: Agents) -> None:
    """Where the operator wants it, anybody may ask, with the filters in the query."""
    async with world.edge(agents_public=True) as edge:
        key = new_key()
        agent = await agents.agent(edge, key=key, fields={"capabilities": (f"q-{key.token[:12]}",)})
        url = f"{edge.http}/agents?capability=q-{key.token[:12]}&online=true&limit=5"
        page = msgspec.json.decode(await (await agents.http.get(url)).read(), type=Listed)
        wrong = [await problem(await agents.http.get(f"{edge.http}/agents?{text}")) for text in ("limit=0", "who=me")]

        assert [agent.did] == [card.did for card in page.agents]
        assert [(400, "application/problem+json", "malformed")] * 2 == wrong


async def test_unknown_path_is_a_problem(edge: Edge, agents: Agents) -> None:
    """Errors have one form everywhere."""
    responses = [await agents.http.get(f"{edge.http}/nothing"), await agents.http.post(f"{edge.http}/agents")]

    assert [404, 405] == [(await problem(response))[0] for response in responses]


async def test_plain_get_of_the_websocket_is_a_problem(edge: Edge, agents: Agents) -> None:
    """/ws without an upgrade is answered, not crashed on."""
    response = await agents.http.get(f"{edge.http}/ws", headers={"Sec-WebSocket-Protocol": "ioap.v1"})

    assert (400, "application/problem+json") == (await problem(response))[:2]


async def test_cors_names_allowed_origins_only(world: World, agents: Agents) -> None:
    """A page of an allowed origin may read answers and send credentials, another one may not."""
    async with world.edge(cors_origins=(PAGE,)) as edge:
        ask = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        allowed = await agents.http.options(f"{edge.http}/agents", headers={"Origin": PAGE, **ask})
        read = await agents.http.get(f"{edge.http}/agents", headers={"Origin": PAGE})
        refused = await agents.http.options(f"{edge.http}/agents", headers={"Origin": "https://evil.example", **ask})

        assert (204, PAGE) == (allowed.status, allowed.headers["Access-Control-Allow-Origin"])
        assert "Authorization" == allowed.headers["Access-Control-Allow-Headers"]
        assert (401, PAGE) == (read.status, read.headers["Access-Control-Allow-Origin"])
        assert "Access-Control-Allow-Origin" not in refused.headers


async def test_websocket_of_a_foreign_page_is_refused(world: World, agents: Agents) -> None:
    """Browsers say where a page comes from: only allowed origins and the edge's own may connect."""
    async with world.edge(cors_origins=(PAGE,)) as edge:
        statuses = []
        for origin in (PAGE, edge.http, "https://evil.example", "null"):
            try:
                await agents.stranger(edge, headers={"Origin": origin})
            except aiohttp.WSServerHandshakeError as refused:
                statuses.append(refused.status)
            else:
                statuses.append(101)

        assert [101, 101, 403, 403] == statuses


async def test_compression_is_never_agreed_on(edge: Edge, agents: Agents) -> None:
    """A small frame must not become a large one."""
    agent = await agents.stranger(edge, compress=15)

    assert 0 == agent.socket.compress
