"""What the channels of one peer may ask of its connection."""

from typing import TYPE_CHECKING, Any

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.frames import Word, write_word
from aiconexus.sdk.direct import stack
from aiconexus.sdk.direct.channel_config import DataChannelConfig

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

    from aiconexus.sdk.direct.connection import Connection
    from aiconexus.sdk.direct.relation import Relation


class Hosting:
    """
    The ``ChannelHost`` of one peer.

    Args:
        relation: Whose channels.

    """

    def __init__(self, relation: "Relation") -> None:
        self._relation = relation
        self.did = relation.did
        self.own_did = relation.local.did
        self.settings = relation.local.settings

    @property
    def wire(self) -> "Connection | None":
        """The connection to use now."""
        return self._relation.current

    def open_raw(self, label: str, config: DataChannelConfig) -> "RTCDataChannel":
        """
        Create a data channel of the stack in the present connection.

        Raises:
            ChannelClosed: If there is no connection, or its stack cannot.

        """
        wire = self.wire
        if wire is None:
            raise ChannelClosed(label, "there is no connection now")
        try:
            return stack.create_channel(wire.pc, label, config)
        except stack.STACK_ERRORS as error:
            raise ChannelClosed(label, str(error)) from error

    def is_taken(self, id_: int) -> bool:
        """Whether the present connection has a stream, be it of a channel that both sides are about to close."""
        return self.wire is not None and stack.has_stream(self.wire.pc, id_)

    def send_word(self, word: Word) -> None:
        """
        Say a word through the system channel of the present connection.

        Raises:
            ChannelClosed: If there is no connection.

        """
        wire = self.wire
        if wire is None:
            raise ChannelClosed(self.did, "there is no connection now")
        wire.send(write_word(word))

    def note_foreign(self, event: str, detail: str) -> None:
        """The other side did what no honest one does: it is kept, and too much of it ends the connection."""
        self._relation.note_refused(event, detail)

    def note_channel(self, channel: Any) -> None:
        """Tell the application of a channel that the other side opened."""
        self._relation.hooks.tell("channel", channel)
