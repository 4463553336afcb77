"""A page and a Python agent through a real TURN server, for policies and networks that allow nothing else."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from tests.browser.exchange import Told, exchange
from tests.browser.visitor import SECONDS, Visitor, visiting
from tests.integration.sdk_agents import Host, listening
from tests.turn.coturn import SECRET, Coturn, lacking

from aiconexus.sdk.direct.settings import Direct

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]

MANY = 10_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def coturn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Coturn]:
    """A TURN server on the loopback."""
    async with Coturn(tmp_path_factory.mktemp("coturn")) as server:
        yield server


@pytest.fixture(scope="module")
def settings(coturn: Coturn, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Signaling names the server and issues logins for it."""
    secret = tmp_path_factory.mktemp("secret") / "turn"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    return {
        "AICONEXUS_SIGNALING_TURN_URLS": coturn.url("udp"),
        "AICONEXUS_SIGNALING_TURN_SECRET_FILE": str(secret),
    }


async def connect_through_turn(visitor: Visitor, did: str) -> None:
    """Press the button, and see that the road is TURN."""
    await visitor.choose(did)
    await visitor.page.get_by_role("button", name="Connect directly").click()
    await expect(visitor.page.locator("#road")).to_have_attribute("data-road", "turn", timeout=SECONDS * 1000)
    await expect(visitor.page.locator("#road")).to_contain_text("through TURN")


async def test_relayed_page_tells_no_address(browser: Browser, site: str, edge: str, host: Host) -> None:
    """Under the policy ``relay`` the page signals relayed candidates alone, and none in its description."""
    agent = host.make("nats", direct=Direct(policy="relay"))
    await host.open(agent)
    async with visiting(browser, site, edge, policy="relay") as visitor:
        await visitor.run(
            """() => {
                const forward = agent.edge.forward.bind(agent.edge);
                globalThis.signalled = [];
                agent.edge.forward = (id, sealed) => {
                    globalThis.signalled.push(new TextDecoder().decode(sealed.payload));
                    return forward(id, sealed);
                };
            }"""
        )
        await connect_through_turn(visitor, agent.identity.did)
        signalled = await visitor.run("() => globalThis.signalled")
        candidates = [word for text in signalled for word in ("typ host", "typ srflx", "typ relay") if word in text]

        assert {"typ relay"} == set(candidates)


@pytest.mark.browser
async def test_ten_thousand_each_way_through_turn(browser: Browser, site: str, edge: str, host: Host) -> None:
    """Both sides allow TURN alone: ten thousand each way, verified, in order, none lost or doubled."""
    agent = host.make("nats", direct=Direct(policy="relay"))
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge, policy="relay") as visitor:
        await connect_through_turn(visitor, agent.identity.did)
        told, contents = await exchange(visitor, agent, heard, MANY)

        assert Told(got=MANY, processed=MANY, in_order=True, roads=["turn"], refused=[]) == told
        assert list(range(MANY)) == contents
        assert heard.is_quiet


async def test_relay_takes_over_when_turn_dies(
    browser: Browser, site: str, edge: str, host: Host, coturn: Coturn
) -> None:
    """A killed TURN server costs seconds and no message: the relay takes over, and TURN again once it is back."""
    agent = host.make("nats", direct=Direct(policy="relay"))
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge, policy="relay") as visitor:
        await connect_through_turn(visitor, agent.identity.did)
        await coturn.kill()
        try:
            await visitor.say("into the void")
            await visitor.see_line("into the void", "processed", "by the relay")
        finally:
            await coturn.start()

        assert "into the void" == (await heard.next()).content
