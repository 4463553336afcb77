"""
Durable pull consumers, NATS ADR-37, in short pulls that survive restarts.

Spoken directly because one long fetch of the client library hangs over a restart of the server: the server forgets the
pull, and nobody tells the client. Here a pull lasts two seconds at most, and a connection that was lost ends it.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from aiconexus.bus.session import Incoming, Session, Subscription
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import StreamRefused

PULL_SECONDS = 2.0
GRACE_SECONDS = 0.5
"""A server that says nothing for this long after the end of a pull has forgotten it."""
CHECK_SECONDS = 0.25
"""How soon a lost connection is noticed."""
REFUSED_SECONDS = 0.25
"""Between two pulls while there is no leader, or no server."""

ACK = b"+ACK"
_PARTS = re.compile(
    r"\$JS\.ACK\.(?:[^.]+\.[^.]+\.)?(?P<stream>[^.]+)\.(?P<consumer>[^.]+)\.(?P<delivered>\d+)\.(?P<sequence>\d+)"
    r"\.\d+\.\d+\.(?P<pending>\d+)(?:\.[^.]+)?"
)


class Delivery(msgspec.Struct, frozen=True):
    """
    One message of a consumer, which comes again unless it is acknowledged.

    ``delivered`` counts how often it came, from 1; ``pending`` how many wait behind it.
    """

    subject: str
    data: bytes
    headers: Mapping[str, str]
    sequence: int
    delivered: int
    pending: int
    reply: str


class _ApiError(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    error: _ApiError | None = None


async def ensure_consumer(
    session: Session,
    stream: str,
    name: str,
    filter_subject: str,
    *,
    ack_wait_seconds: float,
    ack_pending_max: int,
    replicas: int = 0,
) -> None:
    """
    Create a durable pull consumer, or bring an existing one to this configuration.

    Args:
        session: Of the service that owns the stream.
        stream: That it reads.
        name: Shared by all who divide the work.
        filter_subject: What it reads of the stream.
        ack_wait_seconds: A message that was not acknowledged comes again after this long.
        ack_pending_max: Messages that may be with readers at once.
        replicas: Servers that hold it; 0 is as many as hold the stream.

    Raises:
        StreamRefused: With the server's reason.

    """
    config = {
        "durable_name": name,
        "ack_policy": "explicit",
        "ack_wait": int(ack_wait_seconds * 1e9),
        "max_ack_pending": ack_pending_max,
        "filter_subject": filter_subject,
        "deliver_policy": "all",
        "max_waiting": 512,
        "num_replicas": replicas,
    }
    subject = subjects.consumer_create(stream, name)
    body = msgspec.json.encode({"stream_name": stream, "config": config})
    error = msgspec.json.decode((await session.request(subject, body)).data, type=_Answer).error
    if error is not None:
        raise StreamRefused(subject, error.err_code, error.description)


class Puller:
    """
    One reader of a durable consumer; the consumer's readers divide its messages among them.

    Args:
        session: Of the reader.
        stream: That the consumer reads.
        consumer: Its name.
        batch: Messages of one pull; so many wait here at most.

    """

    def __init__(self, session: Session, stream: str, consumer: str, batch: int = 256) -> None:
        self._session = session
        self._next = subjects.consumer_next(stream, consumer)
        self._batch = batch
        self._inbox = session.new_inbox()
        self._arrived: deque[Delivery] = deque()
        self._bell = asyncio.Event()
        self._pulls = 0
        self._wanted = 0
        self._ends = 0.0
        self._reconnects = -1
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Listen for what is pulled."""
        self._subscription = await self._session.subscribe(f"{self._inbox}.*", self._on_message)

    async def close(self) -> None:
        """Take no more; what is here unacknowledged comes to another reader."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def take(self, wait_seconds: float = PULL_SECONDS) -> Sequence[Delivery]:
        """
        Wait for messages, and take all that are there.

        Args:
            wait_seconds: Nothing is an answer after this long.

        Raises:
            BusUnavailable: If the session is closed.

        """
        until = time.monotonic() + wait_seconds
        while not self._arrived and (left := until - time.monotonic()) > 0:
            if not self._is_pulling():
                await self._pull()
            self._bell.clear()
            await _rung(self._bell, min(left, CHECK_SECONDS))
        taken = list(self._arrived)
        self._arrived.clear()
        return taken

    async def ack(self, delivery: Delivery) -> None:
        """
        Say that a message is done with; a lost word brings it again.

        Raises:
            BusUnavailable: If the session is closed.

        """
        await self._session.publish(delivery.reply, ACK)

    async def put_off(self, delivery: Delivery, delay_seconds: float) -> None:
        """
        Have a message come again later; it counts as being with a reader meanwhile.

        Raises:
            BusUnavailable: If the session is closed.

        """
        await self._session.publish(delivery.reply, b'-NAK {"delay":%d}' % int(delay_seconds * 1e9))

    def _is_pulling(self) -> bool:
        same = self._reconnects == self._session.reconnects
        return self._wanted > 0 and same and time.monotonic() < self._ends

    async def _pull(self) -> None:
        if not self._session.is_connected:
            return
        self._pulls += 1
        self._wanted = self._batch
        self._ends = time.monotonic() + PULL_SECONDS + GRACE_SECONDS
        self._reconnects = self._session.reconnects
        query = msgspec.json.encode({"batch": self._batch, "expires": int(PULL_SECONDS * 1e9)})
        await self._session.publish(self._next, query, reply=f"{self._inbox}.{self._pulls}")

    async def _on_message(self, incoming: Incoming) -> None:
        headers = incoming.headers or {}
        if not incoming.reply and "Status" in headers:
            self._on_status(incoming.subject, headers["Status"])
            return
        parts = _PARTS.fullmatch(incoming.reply)
        if parts is None:
            return
        self._wanted -= 1
        self._arrived.append(
            Delivery(
                incoming.subject,
                incoming.data,
                headers,
                int(parts["sequence"]),
                int(parts["delivered"]),
                int(parts["pending"]),
                incoming.reply,
            )
        )
        self._bell.set()

    def _on_status(self, subject: str, status: str) -> None:
        if status == "100" or subject != f"{self._inbox}.{self._pulls}":
            return
        # 404 and 408 end a pull in order; after anything else (no leader, no responders) the next one shall wait.
        self._ends = 0.0 if status in ("404", "408") else time.monotonic() + REFUSED_SECONDS
        self._wanted = max(self._wanted, 1)
        self._bell.set()


async def _rung(bell: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return
