"""
What somebody tries who is registered like everybody else, but does not play by the rules.

Each try is one that a careless platform would let through; the answer must name the right problem.
"""

import asyncio

import msgspec

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Discover, Error, Message, PlatformInfo, Register
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Sealed, compose, split, unseal, wrap
from aiconexus.sdk import Identity
from aiconexus.sdk.road import Road
from aiconexus.sdk.roads import road_maker

SECONDS = 10.0


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One attack: what it was, on which road, which problem it must meet and which it met."""

    what: str
    road: str
    expected: str
    met: str

    @property
    def is_refused(self) -> bool:
        """Whether it failed for the right reason."""
        return self.met == self.expected


class Intruder:
    """
    A registered agent that cheats.

    Args:
        url: Where it comes in.
        subprotocol: On an edge.
        name: Of the road.
        victim: Whose envelope it has got hold of.
        target: Whom it writes to.

    """

    def __init__(self, url: str, subprotocol: str, *, name: str, victim: Identity, target: str) -> None:
        self._identity = Identity.generate()
        self._road: Road = road_maker(self._identity.key, url, subprotocol)()
        self._name = name
        self._victim = victim
        self._target = target
        self._services: dict[str, str] = {}

    async def attack(self) -> list[Try]:
        """
        Come in and try everything.

        Raises:
            AiconexusError: If it cannot even come in.

        """
        try:
            async with asyncio.timeout(SECONDS):
                await self._come_in()
                attacks = (self._forged_signature, self._stolen_name, self._foreign_sender, self._replay)
                return [await attack() for attack in attacks]
        finally:
            await self._road.close()

    async def _come_in(self) -> None:
        greeting = await self._road.connect(lambda _: None)
        info = unseal(greeting.platform, REPLY_MAX_BYTES).body
        if isinstance(info, PlatformInfo):
            self._services = dict(info.services)
        self._road.trusted = frozenset(self._services.values())
        body = Register(
            public_key=key_text_of(self._identity.did),
            challenge=greeting.nonce,
            name="intruder",
            codecs=self._road.codecs,
        )
        id_ = new_id()
        sealed = compose(
            body, self._identity.key, self._services["identity"], id_=id_, now_ms=now_ms(), codec=self._road.codec
        )
        await self._road.request("identity", "register", sealed, id_, SECONDS)

    async def _forged_signature(self) -> Try:
        """A bit of the signature is another."""
        id_, sealed = self._message(self._identity)
        whole = split(sealed)
        forged = bytes([whole.signature[0] ^ 1]) + whole.signature[1:]
        data = wrap(Sealed(whole.codec, whole.payload, forged))
        return await self._submit("forged signature", "invalid_signature", data, id_)

    async def _stolen_name(self) -> Try:
        """It says that the victim wrote it, and signs itself."""
        id_, sealed = self._message(self._victim)
        whole = split(sealed)
        mine = split(self._message(self._identity)[1]).signature
        data = wrap(Sealed(whole.codec, whole.payload, mine))
        return await self._submit("stolen name", "foreign_sender", data, id_)

    async def _foreign_sender(self) -> Try:
        """The victim really wrote and signed it, but somebody else hands it in."""
        id_, sealed = self._message(self._victim)
        return await self._submit("foreign sender", "foreign_sender", sealed, id_)

    async def _replay(self) -> Try:
        """The same request twice."""
        id_ = new_id()
        sealed = compose(
            Discover(limit=1),
            self._identity.key,
            self._services["identity"],
            id_=id_,
            now_ms=now_ms(),
            codec=self._road.codec,
        )
        await self._met("identity", "discover", sealed, id_)
        met = await self._met("identity", "discover", sealed, id_)
        return Try(what="replay", road=self._name, expected="replayed", met=met)

    async def _submit(self, what: str, expected: str, sealed: bytes, id_: str) -> Try:
        met = await self._met("relay", "submit", sealed, id_)
        return Try(what=what, road=self._name, expected=expected, met=met)

    async def _met(self, service: str, verb: str, sealed: bytes, id_: str) -> str:
        try:
            letter = await self._road.request(service, verb, sealed, id_, SECONDS)
        except AiconexusError as error:
            return f"no answer: {error}"
        body = letter.body
        return body.problem if isinstance(body, Error) else f"accepted: {body.TYPE}"

    def _message(self, sender: Identity) -> tuple[str, bytes]:
        id_ = new_id()
        body = Message(content={"text": "open the door"})
        return id_, compose(body, sender.key, self._target, id_=id_, now_ms=now_ms(), codec=self._road.codec)
