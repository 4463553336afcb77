"""What an application holds in its hands: an envelope that came, and one that it sent."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

import msgspec

from aiconexus.protocol.bodies import Body, Error, Message, ReceiptStatus
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.problems import INTERNAL_ERROR, TIMEOUT
from aiconexus.protocol.seal import Sealed

Post = Callable[..., Awaitable["Sent"]]

RELAY = "relay"
"""The road of an envelope that no direct channel carried; the others are ``direct`` and ``turn``."""


class AgentState(StrEnum):
    """Where an agent stands; ``taken_over`` and ``closed`` are for good."""

    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"
    TAKEN_OVER = "taken_over"
    CLOSED = "closed"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """
    How far an envelope of ours has come, as a receipt said.

    ``reporter`` signed the receipt, or is our own DID if it could not even be stored, or if it went directly and we
    keep it until the recipient is done. ``sequence`` is the place in the recipient's mailbox, ``problem`` why it died,
    ``road`` the way that a ``stored`` one has gone.
    """

    id: str
    recipient: str
    reporter: str
    status: ReceiptStatus
    sequence: int | None = None
    problem: str | None = None
    road: str = RELAY


class Delivery:
    """
    An envelope that was signed by ``sender`` and meant for us.

    Args:
        envelope: All its fields.
        body: Decoded; its class follows from the type.
        post: How to answer.
        sealed: The bytes that were signed; live envelopes come without.

    """

    __slots__ = ("_post", "body", "envelope", "sealed")

    def __init__(self, envelope: Envelope, body: Body, post: Post, sealed: Sealed | None = None) -> None:
        self.envelope = envelope
        self.body = body
        self.sealed = sealed
        self._post = post

    @property
    def sender(self) -> str:
        """The DID whose signature was verified."""
        return self.envelope.sender

    @property
    def id(self) -> str:
        """The envelope's id."""
        return self.envelope.id

    @property
    def type(self) -> str:
        """The envelope's type."""
        return self.envelope.type

    @property
    def thread(self) -> str | None:
        """The conversation it belongs to."""
        return self.envelope.thread

    @property
    def content(self) -> Any:
        """What a MESSAGE says; the body itself for every other type."""
        return self.body.content if isinstance(self.body, Message) else self.body

    async def reply(self, answer: Any, **fields: Any) -> "Sent":
        """
        Answer in the same thread.

        Args:
            answer: A body, or the content of a MESSAGE.
            fields: As for ``Agent.post``.

        """
        body = answer if isinstance(answer, Body) else Message(content=answer)
        fields.setdefault("thread", self.thread or self.id)
        return await self._post(self.sender, body, in_reply_to=self.id, **fields)

    def __repr__(self) -> str:
        return f"Delivery({self.type} {self.id} from {self.sender})"


class Sent:
    """
    An envelope of ours on its way.

    ``sequence`` is its place in the recipient's mailbox once it is stored, ``road`` the way that it went last.
    """

    __slots__ = ("__weakref__", "_final", "_stored", "id", "recipient", "road", "sequence")

    def __init__(self, id_: str, recipient: str) -> None:
        loop = asyncio.get_running_loop()
        self.id = id_
        self.recipient = recipient
        self.sequence: int | None = None
        self.road = RELAY
        self._stored: asyncio.Future[None] = loop.create_future()
        self._final: asyncio.Future[None] = loop.create_future()

    async def wait_stored(self, timeout_seconds: float | None = None) -> "Sent":
        """
        Wait until the relay has it on disk, or a recipient that is connected directly has taken it.

        Raises:
            NotAcknowledged: If that is not so in time; the envelope stays in the outbox.
            AiconexusError: If it never will be.

        """
        await self._wait(self._stored, timeout_seconds)
        return self

    async def wait_processed(self, timeout_seconds: float | None = None) -> None:
        """
        Wait until the recipient's handler has returned; its receipt says so.

        Raises:
            NotAcknowledged: If that is not so in time; it may come later.
            RemoteProblem: If the envelope died or expired.

        """
        await self._wait(self._final, timeout_seconds)

    @property
    def is_processed(self) -> bool:
        """Whether the recipient said so."""
        return self._final.done() and not self._final.cancelled() and self._final.exception() is None

    @property
    def is_on_its_way(self) -> bool:
        """Whether nobody has taken it yet, nor refused it."""
        return not self._stored.done()

    def note_stored(self, sequence: int | None, road: str = RELAY) -> None:
        """Record what the relay answered, or that the recipient took it."""
        self.sequence = sequence
        self.road = road
        if not self._stored.done():
            self._stored.set_result(None)

    def note_failed(self, error: Exception) -> None:
        """Record that it will never be stored."""
        for future in (self._stored, self._final):
            if not future.done():
                future.set_exception(error)
                # Nobody has to wait for it.
                future.exception()

    def note_final(self, notice: Notice) -> None:
        """Record the receipt that ends its way."""
        self.note_stored(notice.sequence or self.sequence, self.road)
        if self._final.done():
            return
        if notice.status is ReceiptStatus.PROCESSED:
            self._final.set_result(None)
        else:
            self._final.set_exception(problem_in(notice))
            self._final.exception()

    async def _wait(self, future: "asyncio.Future[None]", timeout_seconds: float | None) -> None:
        if timeout_seconds is not None and math.isnan(timeout_seconds):
            raise ValueError("a time-out is a number of seconds")
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.shield(future)
        except TimeoutError as error:
            raise NotAcknowledged(self.id, timeout_seconds or 0.0) from error

    def __repr__(self) -> str:
        return f"Sent({self.id} to {self.recipient})"


def problem_in(notice: Notice) -> RemoteProblem:
    """The error that a receipt of an unhappy end stands for."""
    expired = notice.status is ReceiptStatus.EXPIRED
    problem = notice.problem or ("expired" if expired else "dead_lettered")
    code = TIMEOUT if expired else INTERNAL_ERROR
    message = f"{notice.id} ended as {notice.status}: {problem}"
    return RemoteProblem(notice.reporter, Error(code=code, problem=problem, message=message))
