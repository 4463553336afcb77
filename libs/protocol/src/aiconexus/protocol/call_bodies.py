"""
What callee and caller say to each other while a call runs; ``in_reply_to`` is the id of the EXEC_REQUEST or INTENT.

All of them are stored like the request and its answer, so that a call survives the loss of a connection.
"""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from aiconexus.protocol.bodies import Body, Count, Text


class Progress(Body, frozen=True):
    """From the callee: I am at it. Each one gives the call more time, up to the caller's ceiling."""

    TYPE: ClassVar[str] = "PROGRESS"
    message: Text | None = None
    percent: Annotated[float, Meta(ge=0, le=100)] | None = None


class Chunk(Body, frozen=True):
    """
    From the callee: one part of a streamed answer, counted from 0 without a hole.

    ``last`` ends the stream; EXEC_RESPONSE follows. The last one may be without ``data`` and is no part then; its
    ``digest`` is the SHA-256 of all parts in hex, each in its RFC 8785 form and followed by a line feed.
    """

    TYPE: ClassVar[str] = "CHUNK"
    index: Count
    data: Any = None
    last: bool = False
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")] | None = None


class Cancel(Body, frozen=True):
    """From the caller: I do not want the answer any more."""

    TYPE: ClassVar[str] = "CANCEL"
    reason: Text | None = None


class Resume(Body, frozen=True):
    """
    From the caller: I have taken all chunks below ``next``, forget them.

    With ``again``, what came behind them never reached me: send it again.
    """

    TYPE: ClassVar[str] = "RESUME"
    next: Count
    again: bool = True
