import asyncio
import base64
import json
import time
from typing import Any

import msgspec
import pytest

from aiconexus.bus.claims import ClientInfo, ConnectOptions, CurveKey, LoginRequest, ServerId
from aiconexus.bus.nkeys import Kind, public_text, user_nkey
from aiconexus.bus.testing import new_key
from aiconexus.identity.callout import Callout, Issuer, admit
from aiconexus.identity.roster import Roster
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import InvalidDid, InvalidSignature, KeyRevoked, Refused
from aiconexus.protocol.keys import SigningKey
from aiconexus.runtime.context import Context
from aiconexus.runtime.testing import counted

from .people import PEOPLE, record
from .world import PATIENCE_SECONDS, Agent, World

Identity = Context[IdentitySettings]

KEY = PEOPLE[0]
ISSUER = Issuer(PEOPLE[1], 60)
NONCE = "abcdefghijklmno"
SMALL_ORDER = bytes([1]) + bytes(31)
"""The neutral element: under it, R = A and S = 0 is a signature over everything, for verifiers that do not look."""


def request(nkey: str, signature: bytes, nonce: str | None = NONCE) -> LoginRequest:
    """What the server would ask about this client."""
    text = base64.urlsafe_b64encode(signature).decode().rstrip("=")
    return LoginRequest(
        server_id=ServerId(id="N"),
        user_nkey="U",
        client_info=ClientInfo(id=1, nonce=nonce),
        connect_opts=ConnectOptions(nkey=nkey, sig=text),
    )


def claims(jwt: str) -> Any:
    """What stands in a JWT."""
    payload = jwt.split(".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def test_a_login_is_good_for_the_agents_own_subjects_only() -> None:
    """The JWT names the agent, its account, its end, and no subject but its own requests, inbox and presences."""
    good = request(user_nkey(KEY.public_key), KEY.sign(NONCE.encode()))
    found = claims(admit(good, Roster(), ISSUER, 1_000.5))

    assert (KEY.did, "AGENTS", 1_060, "U") == (found["name"], found["aud"], found["exp"], found["sub"])
    assert {"allow": [subjects.sends_of(KEY.token)]} == found["nats"]["pub"]
    assert {"allow": [subjects.inbox_of(KEY.token), subjects.all_presence()]} == found["nats"]["sub"]
    assert "resp" not in found["nats"]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        pytest.param(request(user_nkey(KEY.public_key), PEOPLE[2].sign(NONCE.encode())), InvalidSignature, id="forged"),
        pytest.param(request(user_nkey(KEY.public_key), KEY.sign(b"x" * 15)), InvalidSignature, id="other nonce"),
        pytest.param(request(user_nkey(KEY.public_key), bytes(64)), InvalidSignature, id="zeros"),
        pytest.param(request(user_nkey(KEY.public_key), b"short"), InvalidSignature, id="short"),
        pytest.param(request(user_nkey(KEY.public_key), KEY.sign(b""), None), Refused, id="no nonce"),
        pytest.param(
            request(user_nkey(KEY.public_key), KEY.sign(b"aiconexus/v1/envelope"), "aiconexus/v1/envelope"),
            Refused,
            id="no nonce's form",
        ),
        pytest.param(request("UNKNOWN", KEY.sign(NONCE.encode())), Refused, id="no nkey"),
        pytest.param(
            request(public_text(Kind.ACCOUNT, KEY.public_key), KEY.sign(NONCE.encode())), Refused, id="account key"
        ),
        pytest.param(request(user_nkey(SMALL_ORDER), SMALL_ORDER + bytes(32)), (InvalidDid, Refused), id="small order"),
    ],
)
def test_who_proves_nothing_is_not_let_in(asked: LoginRequest, error: type[Exception]) -> None:
    """A login needs the signature of a good key over the server's nonce, in the one form that we accept."""
    with pytest.raises(error):
        admit(asked, Roster(), ISSUER, 1_000.0)


def test_a_void_key_is_not_let_in() -> None:
    """The signature is right, and counts no more."""
    roster = Roster()
    roster.apply_record(KEY.token, record(KEY.token, revoked_ms=5), 1)
    with pytest.raises(KeyRevoked):
        admit(request(user_nkey(KEY.public_key), KEY.sign(NONCE.encode())), roster, ISSUER, 1_000.0)


class Question:
    """Something on the subject of the callout. An answer to it would fail: there is nowhere to send it."""

    subject = subjects.login_requests()
    reply = ""

    def __init__(self, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.data = data
        self.headers = headers


class Wire:
    """A NATS client by hand, which says what it wants."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def login(self, nkey: str, key: SigningKey | None, signature: bytes = b"") -> str:
        """The server's answer to CONNECT; the connection stays open."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._world.server.port)
        info = json.loads((await self.reader.readline())[5:])
        signed = key.sign(info["nonce"].encode()) if key else signature
        options = {
            "nkey": nkey,
            "sig": base64.b64encode(signed).decode(),
            "verbose": False,
            "pedantic": False,
            "lang": "test",
            "version": "0",
            "protocol": 1,
            "headers": True,
            "no_responders": True,
        }
        self.writer.write(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
        return (await self.reader.readline()).decode().strip()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def test_forged_logins_are_refused_by_the_server(world: World, identity: Identity) -> None:
    """What identity refuses the server refuses at once, and counts for nothing else."""
    refused = counted("aiconexus_identity_logins_total", outcome="refused")
    tries = [
        (user_nkey(KEY.public_key), PEOPLE[2], b""),
        (user_nkey(SMALL_ORDER), None, SMALL_ORDER + bytes(32)),
        (user_nkey(KEY.public_key), None, b""),
        ("nonsense", KEY, b""),
    ]
    answers = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        for nkey, key, signature in tries:
            wire = Wire(world)
            answers.append(await wire.login(nkey, key, signature))
            await wire.close()

    assert ["-ERR 'Authorization Violation'"] * len(tries) == answers
    assert refused + len(tries) == counted("aiconexus_identity_logins_total", outcome="refused")
    assert world.lines.of("identity.login_refused")


@pytest.mark.parametrize(
    "subject", [">", "aicx.v1.inbox.>", "_INBOX.>", "$SYS.>", "$JS.API.>", "$KV.>", "aicx.v1.send.>", "aicx.v1.svc.>"]
)
async def test_an_agent_hears_nothing_that_is_not_its_own(world: World, identity: Identity, subject: str) -> None:
    """The server itself refuses every wider subscription."""
    agent = await Agent(world, new_key()).connect()
    await agent.session.subscribe(subject, agent.live.take)
    await agent.session.barrier()

    assert ["permissions violation for subscription"] == [each[6:44].lower() for each in agent.errors]


async def test_an_agent_speaks_under_no_foreign_name(world: World, identity: Identity) -> None:
    """The server itself refuses what is published under somebody else's token, or past the desks."""
    agent = await Agent(world, new_key()).connect()
    for subject in (
        subjects.send(KEY.token, "identity", "register"),
        subjects.presence(agent.key.token),
        subjects.inbox_live(KEY.token),
        subjects.service("identity", "attach"),
        subjects.bucket_key("PRESENCE", agent.key.token),
        subjects.login_requests(),
    ):
        await agent.session.publish(subject, b"x")
    await agent.session.barrier()

    assert ["permissions violation for publish"] * 6 == [each[6:39].lower() for each in agent.errors]


async def test_a_login_ends(world: World) -> None:
    """The server disconnects an agent whose login is over; it may log in again."""
    async with world.identity(agent_jwt_seconds=1):
        agent = await Agent(world, new_key()).connect()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await agent.closed.wait()
        again = await Agent(world, agent.key).connect()

        assert again.session.is_connected


async def test_a_question_that_no_server_asked_gets_no_answer(world: World, identity: Identity) -> None:
    """What does not open under the curve key is counted and dropped."""
    malformed = counted("aiconexus_identity_logins_total", outcome="malformed")
    curve = CurveKey(world.curve_seed)
    callout = Callout(identity.session, curve, ISSUER, Roster(), world.lines.log)
    for question in (Question(b"x"), Question(curve.seal(b"x", curve.public), {"Nats-Server-Xkey": curve.public})):
        await callout.answer(question)

    assert malformed + 2 == counted("aiconexus_identity_logins_total", outcome="malformed")


async def test_everybody_comes_back_at_once(world: World) -> None:
    """Two hundred agents that log in at the same moment are all let in, by two replicas together."""
    keys = [new_key() for _ in range(200)]
    granted = counted("aiconexus_identity_logins_total", outcome="granted")
    async with world.identity("i1"), world.identity("i2"):
        wires = [Wire(world) for _ in keys]
        started = time.perf_counter()
        logins = [wire.login(user_nkey(key.public_key), key) for wire, key in zip(wires, keys, strict=True)]
        answers = await asyncio.gather(*logins)
        seconds = time.perf_counter() - started
        for wire in wires:
            await wire.close()

    assert ["PONG"] * len(keys) == answers
    assert granted + len(keys) == counted("aiconexus_identity_logins_total", outcome="granted")
    assert seconds < PATIENCE_SECONDS
