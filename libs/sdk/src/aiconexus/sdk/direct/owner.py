"""Who is told of a connection's life."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

    from aiconexus.sdk.direct.connection import Connection


class Owner(Protocol):
    """The relation that a connection belongs to, or whatever else brings one about."""

    def note_ice(self, connection: "Connection") -> None:
        """ICE stands elsewhere now."""

    def note_frame(self, connection: "Connection", data: bytes | str) -> None:
        """The other side, who was verified, said something."""

    def note_raw(self, connection: "Connection", raw: "RTCDataChannel") -> None:
        """The other side, who was verified, opened a data channel."""

    def note_lost(self, connection: "Connection") -> None:
        """An established connection is over; ``error`` says why."""
