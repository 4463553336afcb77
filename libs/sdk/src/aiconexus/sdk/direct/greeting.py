"""The first word of both sides in one session: what it has to say, what came too early, and whether it was believed."""

import asyncio

from aiconexus.protocol import sdp
from aiconexus.protocol.direct_errors import HelloRefused
from aiconexus.protocol.seal import Codec
from aiconexus.sdk.direct.hello import Bond, check_hello, frame_of, hello_of
from aiconexus.sdk.voice import Voice

WAITING_MAX = 256


class Greeting:
    """
    HELLO of one session.

    Args:
        voice: Signs ours.
        did: Whose HELLO is awaited.
        session: Of which session.
        role: Ours in it.

    """

    def __init__(self, voice: Voice, did: str, session: str, role: str) -> None:
        self.verified: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._voice = voice
        self._did = did
        self._session = session
        self._role = role
        self._bond: Bond | None = None
        self._early: bytes | str | None = None
        self._waiting: list[bytes | str] = []

    def bind(self, *, ours: str, theirs: str, offer: str) -> None:
        """Note which descriptions both sides have to mean, as they travelled."""
        self._bond = Bond(
            us=self._voice.did,
            them=self._did,
            session=self._session,
            role=self._role,
            ours=sdp.read_description(ours),
            theirs=sdp.read_description(theirs),
            offer_hash=sdp.offer_hash(offer),
        )

    def say(self, codec: Codec) -> bytes | str:
        """Our HELLO, as a message of the system channel."""
        return frame_of(self._voice.say(hello_of(self._known_bond), self._did, codec).sealed)

    def hear(self, data: bytes | str, now_ms: int, *, said: bool) -> None:
        """
        Take what comes through the system channel before the session is established.

        Args:
            data: A message.
            now_ms: Our clock.
            said: Whether we are at the point of greeting ourselves; until then one message is kept.

        Raises:
            HelloRefused: If it is not the HELLO that belongs here.

        """
        if self.verified.done():
            # What follows the HELLO at once waits until we have taken note of it.
            self._waiting.append(data)
            if len(self._waiting) > WAITING_MAX:
                raise self._impatient()
        elif said:
            self._check(data, now_ms)
        elif self._early is None:
            self._early = data
        else:
            raise self._impatient()

    def hear_early(self, now_ms: int) -> None:
        """
        Take what came before we were ready.

        Raises:
            HelloRefused: If it is not the HELLO that belongs here.

        """
        if self._early is not None:
            self._check(self._early, now_ms)

    def waiting(self) -> list[bytes | str]:
        """What came between the HELLO and our taking note of it."""
        waiting, self._waiting = self._waiting, []
        return waiting

    @property
    def _known_bond(self) -> Bond:
        if self._bond is None:
            raise HelloRefused(self._did, "hello_missing", "nothing was agreed on yet")
        return self._bond

    def _check(self, data: bytes | str, now_ms: int) -> None:
        check_hello(data, self._known_bond, now_ms)
        self.verified.set_result(None)

    def _impatient(self) -> HelloRefused:
        return HelloRefused(self._did, "hello_missing", "it does not wait for our HELLO")
