"""
What a peer, the mail that it carries, and the application's channels know of each other.

A peer outlives its connections. Whatever uses one learns of it by ``attach``, and of its end by ``detach``; while one
connection takes the place of another both are attached, and the newer is the one to use.
"""

from typing import TYPE_CHECKING, Any, Protocol

from aiconexus.protocol.frames import Word
from aiconexus.sdk.direct.channel_config import DataChannelConfig
from aiconexus.sdk.direct.settings import Direct

if TYPE_CHECKING:
    from aiortc import RTCDataChannel, RTCPeerConnection


class Pipe(Protocol):
    """
    The system channel of one connection, both HELLOs verified; the object is the same as long as the connection lives.

    ``road`` is ``direct`` or ``turn``.
    """

    did: str
    session: str
    road: str

    @property
    def is_open(self) -> bool:
        """Whether it takes frames."""

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait to be sent."""

    def send(self, frame: bytes | str) -> None:
        """
        Send a frame of ``protocol.frames``; never blocks.

        Raises:
            ChannelClosed: If the connection is over.

        """


class Mail(Protocol):
    """Envelopes that may take the direct road."""

    def attach(self, pipe: Pipe) -> None:
        """A pipe may be used."""

    def detach(self, did: str, session: str) -> None:
        """A pipe must not be used any more: it is silent, closed, or being replaced."""

    def frame(self, pipe: Pipe, data: bytes | str) -> bool:
        """
        Take what arrived, verified or not.

        Returns:
            Whether it was meant for mail.

        """

    async def drained(self, did: str, session: str, timeout_seconds: float) -> None:
        """Wait, not too long, until all that this pipe carried is acknowledged."""


class Wire(Protocol):
    """One connection, as far as channels need it: the stack's object, and which side we are."""

    did: str
    session: str
    role: str
    pc: "RTCPeerConnection"


class ChannelHost(Protocol):
    """
    What a peer offers to its channels.

    ``wire`` is the connection to use now, None while there is none.
    """

    did: str
    own_did: str
    settings: Direct

    @property
    def wire(self) -> Wire | None:
        """The connection to use now."""

    def open_raw(self, label: str, config: DataChannelConfig) -> "RTCDataChannel":
        """
        Create a data channel of the stack in the present connection.

        Raises:
            ChannelClosed: If there is no connection, or its stack cannot.

        """

    def is_taken(self, id_: int) -> bool:
        """Whether the present connection has a stream, be it of a channel that both sides are about to close."""

    def send_word(self, word: Word) -> None:
        """
        Say a word through the system channel of the present connection.

        Raises:
            ChannelClosed: If there is no connection.

        """

    def note_foreign(self, event: str, detail: str) -> None:
        """The other side did what no honest one does: it is kept, and too much of it ends the connection."""

    def note_channel(self, channel: Any) -> None:
        """Tell the application of a channel that the other side opened."""


class Channels(Protocol):
    """The application's channels of one peer, over all its connections; ``channel.py`` has them."""

    def attach(self, wire: Wire) -> None:
        """A connection is the one to use: open there what is open."""

    def detach(self, session: str) -> None:
        """A connection is silent or over."""

    def incoming(self, wire: Wire, raw: "RTCDataChannel") -> None:
        """The other side opened a data channel in a connection (the stack's event ``datachannel``)."""

    def word(self, wire: Wire, word: Word) -> None:
        """The other side said Agree, Agreed, Disagreed or Resume."""

    async def drained(self, session: str, timeout_seconds: float) -> None:
        """Wait, not too long, until all that was sent through a connection has left it."""

    def close(self, reason: str) -> None:
        """The peer is over: nothing comes back."""
