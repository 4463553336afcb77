"""
JetStream, as far as it is used here: streams, batched direct reads, purges.

The server's JSON API is spoken directly: the client library has no batched direct get, and mutates headers.
NATS ADR-31 (direct get) and ADR-8.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from aiconexus.bus.session import Incoming, Session
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import RequestTimedOut, StreamRefused

NOT_FOUND = 10037
"""err_code: no message found."""
STREAM_NOT_FOUND = 10059
"""err_code: no such stream."""
SUBJECT_FULL = 10077
"""err_code: the limit of messages for one subject, or of the stream, is reached."""
STORE_FULL = 10023
"""err_code: the server's storage is used up."""
STREAM_IN_USE = 10058
"""err_code: the stream exists with another configuration."""
NO_ROOM = 10047
"""err_code: less is left of the server's storage than the stream may take."""

END_OF_BATCH = "204"
NO_MESSAGES = "404"


class Placed(msgspec.Struct, frozen=True):
    """Where a stream put a message; ``duplicate`` if it had it already."""

    sequence: int
    duplicate: bool = False


class Stored(msgspec.Struct, frozen=True):
    """One message of a stream."""

    sequence: int
    subject: str
    data: bytes
    headers: Mapping[str, str]
    time: str


class Page(msgspec.Struct, frozen=True):
    """A batch in the order of the stream, and how many more there are."""

    items: tuple[Stored, ...]
    pending: int


class _ApiError(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    error: _ApiError | None = None
    seq: int = 0
    duplicate: bool = False
    purged: int = 0
    success: bool = False


class _Message(msgspec.Struct, frozen=True):
    subject: str
    seq: int
    time: str
    data: bytes = b""


class _MessageAnswer(msgspec.Struct, frozen=True):
    error: _ApiError | None = None
    message: _Message | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def placed(data: bytes, subject: str) -> Placed:
    """
    Read a stream's acknowledgement.

    Raises:
        StreamRefused: If it is a refusal.

    """
    answer = _decode(data)
    if answer.error is not None:
        raise StreamRefused(subject, answer.error.err_code, answer.error.description)
    return Placed(answer.seq, answer.duplicate)


class Streams:
    """JetStream over one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ensure(self, config: Mapping[str, Any]) -> None:
        """
        Create the stream, or bring an existing one to this configuration.

        Args:
            config: The server's own JSON: durations in nanoseconds, sizes in bytes.

        Raises:
            StreamRefused: With the server's reason.

        """
        name = config["name"]
        try:
            await self._call(subjects.stream_api("CREATE", name), config)
        except StreamRefused as refusal:
            # For CREATE the server wants room for the stream a second time, even where it is there already.
            if refusal.code not in (STREAM_IN_USE, NO_ROOM):
                raise
            await self._update(name, config, refusal)

    async def _update(self, name: str, config: Mapping[str, Any], refusal: StreamRefused) -> None:
        try:
            await self._call(subjects.stream_api("UPDATE", name), config)
        except StreamRefused as another:
            raise (refusal if another.code == STREAM_NOT_FOUND else another) from another

    async def info(self, name: str) -> dict[str, Any]:
        """
        The server's own description of a stream.

        Raises:
            StreamRefused: If there is none.

        """
        incoming = await self._session.request(subjects.stream_api("INFO", name), b"")
        _check(incoming)
        answer: dict[str, Any] = msgspec.json.decode(incoming.data)
        return answer

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        id_: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 5.0,
    ) -> Placed:
        """
        Store a message and await the stream's word for it.

        Args:
            subject: One that a stream takes in.
            data: The bytes to keep.
            id_: A stream keeps one message for each id within its duplicate window.
            headers: Kept with the message.
            timeout_seconds: For the one try that this is.

        Raises:
            StreamRefused: If it is full or not there.
            BusError: If no answer came.

        """
        fresh = {**(headers or {}), **({"Nats-Msg-Id": id_} if id_ else {})}
        incoming = await self._session.request(subject, data, timeout_seconds=timeout_seconds, headers=fresh)
        return placed(incoming.data, subject)

    async def batch(
        self,
        stream: str,
        subject: str,
        after: int,
        *,
        limit: int,
        max_bytes: int,
        timeout_seconds: float = 5.0,
    ) -> Page:
        """
        Read messages of a subject behind a sequence without a consumer.

        Args:
            stream: Must allow direct reads.
            subject: As the stream keeps it; may hold wildcards.
            after: The sequence before the first that is wanted.
            limit: Messages at most.
            max_bytes: Bytes at most; one message is given in any case.
            timeout_seconds: For the whole batch.

        Raises:
            StreamRefused: If the server will not.
            RequestTimedOut: If the batch stops in the middle.

        """
        arrived: asyncio.Queue[Incoming] = asyncio.Queue()
        inbox = self._session.new_inbox()
        subscription = await self._session.subscribe(inbox, arrived.put)
        query = {"batch": limit, "max_bytes": max_bytes, "next_by_subj": subject, "seq": after + 1}
        try:
            await self._session.publish(subjects.direct_get(stream), msgspec.json.encode(query), reply=inbox)
            return await _collect(arrived, stream, timeout_seconds)
        finally:
            await subscription.unsubscribe()

    async def get(self, stream: str, sequence: int) -> Stored | None:
        """
        Read one message.

        Returns:
            None if it is gone.

        Raises:
            StreamRefused: If the server will not.

        """
        query = msgspec.json.encode({"seq": sequence})
        return _stored(await self._session.request(subjects.direct_get(stream), query), stream)

    async def has(self, stream: str, sequence: int) -> bool:
        """
        Whether a message is still there, by the word of the stream's leader if it is not.

        Raises:
            StreamRefused: If the server will not.

        """
        if await self.get(stream, sequence) is not None:
            return True
        # A direct read may be answered by a server that has not heard of the message yet.
        subject = subjects.stream_message_api("GET", stream)
        try:
            await self._call(subject, {"seq": sequence})
        except StreamRefused as refusal:
            if refusal.code == NOT_FOUND:
                return False
            raise
        return True

    async def last(self, stream: str, subject: str) -> Stored | None:
        """
        Read the newest message of a subject, from any server that has the stream: it may be a moment behind.

        Returns:
            None if there is none.

        Raises:
            StreamRefused: If the server will not.

        """
        return _stored(await self._session.request(subjects.direct_last(stream, subject), b""), stream)

    async def newest(self, stream: str, subject: str) -> Stored | None:
        """
        Likewise by the word of the stream's leader: slower, and never behind.

        Returns:
            None if there is none.

        Raises:
            StreamRefused: If the server will not.

        """
        query = msgspec.json.encode({"last_by_subj": subject})
        incoming = await self._session.request(subjects.stream_message_api("GET", stream), query)
        answer = msgspec.json.decode(incoming.data, type=_MessageAnswer)
        if answer.error is not None and answer.error.err_code != NOT_FOUND:
            raise StreamRefused(incoming.subject, answer.error.err_code, answer.error.description)
        found = answer.message
        return None if found is None else Stored(found.seq, found.subject, found.data, {}, found.time)

    async def purge(self, stream: str, subject: str, upto: int | None = None) -> int:
        """
        Forget the messages of a subject, all or up to and including a sequence.

        Returns:
            How many there were.

        Raises:
            StreamRefused: If the server will not.

        """
        query = {"filter": subject} | ({} if upto is None else {"seq": upto + 1})
        answer = await self._call(subjects.stream_api("PURGE", stream), query)
        return answer.purged

    async def delete(self, stream: str, sequence: int) -> bool:
        """
        Forget one message.

        Returns:
            Whether it was there.

        Raises:
            StreamRefused: If the server will not.

        """
        subject = subjects.stream_message_api("DELETE", stream)
        try:
            answer = await self._call(subject, {"seq": sequence, "no_erase": True})
        except StreamRefused as refusal:
            if refusal.code in (NOT_FOUND, 10043, 10057):
                return False
            raise
        return answer.success

    async def _call(self, subject: str, body: Mapping[str, Any]) -> _Answer:
        incoming = await self._session.request(subject, msgspec.json.encode(body))
        return _check(incoming)


def _check(incoming: Incoming) -> _Answer:
    answer = _decode(incoming.data)
    if answer.error is not None:
        raise StreamRefused(incoming.subject, answer.error.err_code, answer.error.description)
    return answer


def _stored(incoming: Incoming, stream: str) -> Stored | None:
    status = (incoming.headers or {}).get("Status")
    if status == NO_MESSAGES:
        return None
    if status is not None:
        raise StreamRefused(stream, int(status), (incoming.headers or {}).get("Description", ""))
    return stored_of(incoming)


async def _collect(arrived: "asyncio.Queue[Incoming]", stream: str, timeout_seconds: float) -> Page:
    items: list[Stored] = []
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                incoming = await arrived.get()
                headers = incoming.headers or {}
                status = headers.get("Status")
                if status is None:
                    items.append(stored_of(incoming))
                elif status == END_OF_BATCH:
                    return Page(tuple(items), int(headers.get("Nats-Num-Pending", "0")))
                elif status == NO_MESSAGES:
                    return Page(tuple(items), 0)
                else:
                    raise StreamRefused(stream, int(status), headers.get("Description", ""))
    except TimeoutError as error:
        raise RequestTimedOut(subjects.direct_get(stream), timeout_seconds) from error


def stored_of(incoming: Incoming) -> Stored:
    """What a direct read or a republished copy brings."""
    headers = incoming.headers or {}
    return Stored(
        sequence=int(headers["Nats-Sequence"]),
        subject=headers["Nats-Subject"],
        data=incoming.data,
        headers=headers,
        time=headers.get("Nats-Time-Stamp", ""),
    )
