"""What the roads to the platform have in common: NATS natively, or a WebSocket to an edge."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from aiconexus.protocol.bodies import Body
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.seal import Codec, Letter, Sealed


class Push(msgspec.Struct, frozen=True):
    """
    Something that arrived unasked; nothing of it was verified.

    Copies from the mailbox carry their ``sequence`` and the ``previous`` one of the same mailbox.
    """

    sealed: Sealed
    sequence: int | None = None
    previous: int | None = None


class Greeting(msgspec.Struct, frozen=True):
    """How a connection begins: the sealed PLATFORM envelope, and on the edge the nonce that REGISTER must repeat."""

    platform: bytes
    nonce: str | None = None
    challenger: str | None = None


class Lost(msgspec.Struct, frozen=True):
    """Why a connection ended; ``final`` means that another one is pointless."""

    error: AiconexusError
    final: bool = False


Sink = Callable[[Push], None]
Ask = Callable[[Body], Awaitable[Body]]


class Road(Protocol):
    """
    One way to the platform. An object carries one connection after the other.

    ``codec`` is what services are addressed in, ``codecs`` is what peers may send us, the preferred first;
    ``writes`` are the codecs that may travel this way. ``heart`` is the service to ping so that a dead connection is
    noticed, None if the transport notices by itself. ``trusted`` is set after the greeting: the services, the only
    ones whose answers count.
    """

    codec: Codec
    codecs: tuple[int, ...]
    writes: tuple[Codec, ...]
    heart: str | None
    trusted: frozenset[str]

    async def connect(self, sink: Sink) -> Greeting:
        """
        Open a connection that is ready to receive, and learn who is at the other end.

        Raises:
            BusError: If nobody answers.
            EnvelopeError: If what answers is not the platform.

        """

    async def request(self, service: str, verb: str, sealed: bytes, id_: str, timeout_seconds: float) -> Letter:
        """
        Send a sealed envelope and await the verified answer to it.

        Whose answer it is remains for the caller to check.

        Raises:
            BusError: If no answer came, or the connection is lost.

        """

    async def watch(self, dids: tuple[str, ...], ask: Ask) -> None:
        """
        Have presence of these agents pushed, of all if there are none; replaces an earlier wish.

        Args:
            dids: Whom.
            ask: Puts a request to the edge.

        """

    async def wait_lost(self) -> Lost:
        """Wait until the present connection has ended."""

    async def close(self) -> None:
        """End the present connection."""
