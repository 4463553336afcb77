"""
Key-value buckets, NATS ADR-8, over the stream API.

Spoken directly because the client library's bucket returns entries without a value after an expiry, cannot create a
key whose marker is still there, and takes 20 s to notice that a watch died.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Self

import msgspec

from aiconexus.bus.session import Incoming, Session, Subscription
from aiconexus.bus.streams import Stored, Streams, placed, stored_of
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import BusError, StreamRefused, WrongRevision

WRONG_LAST_SEQUENCE = 10071
"""err_code: wrong last sequence."""

GONE = frozenset({"DEL", "PURGE"})
WATCH_RENEWAL_SECONDS = 5.0
MARKER_SECONDS = 60
NEVER = datetime.min.replace(tzinfo=UTC)

Change = Callable[[str, bytes | None, int], None]
"""Key, value (None: it is gone), revision."""


class Entry(msgspec.Struct, frozen=True):
    """The newest value of a key."""

    key: str
    value: bytes
    revision: int


class Bucket:
    """
    A bucket that exists already; ``ensure`` makes it.

    One service writes a bucket; every reader may be behind it by milliseconds.
    """

    def __init__(self, session: Session, name: str) -> None:
        self.name = name
        self._session = session
        self._streams = Streams(session)
        self._stream = subjects.bucket_stream(name)

    @classmethod
    async def ensure(
        cls,
        session: Session,
        name: str,
        *,
        ttl_seconds: float = 0,
        memory: bool = False,
        replicas: int = 1,
        max_bytes: int = -1,
    ) -> Self:
        """
        Create the bucket, or bring an existing one to this configuration.

        Args:
            session: Of the service that owns it.
            name: Capital letters.
            ttl_seconds: A value is forgotten this long after it was written; 0 keeps it.
            memory: Lost with the servers; otherwise on disk.
            replicas: Servers that hold it.
            max_bytes: All values together; -1 leaves it to the server.

        Raises:
            StreamRefused: With the server's reason.

        """
        config = {
            "name": subjects.bucket_stream(name),
            "subjects": [subjects.bucket_key(name, ">")],
            "max_msgs_per_subject": 1,
            "discard": "new",
            "allow_rollup_hdrs": True,
            "allow_direct": True,
            "deny_delete": True,
            "republish": {
                "src": subjects.bucket_key(name, ">"),
                "dest": subjects.bucket_changes(name),
            },
            "max_age": int(ttl_seconds * 1e9),
            "max_bytes": max_bytes,
            "storage": "memory" if memory else "file",
            "num_replicas": replicas,
            "duplicate_window": int(min(ttl_seconds or 120, 120) * 1e9),
        }
        if ttl_seconds:
            # Expiry must reach the watchers, so the server leaves a marker for a while.
            config["allow_msg_ttl"] = True
            config["subject_delete_marker_ttl"] = MARKER_SECONDS * 10**9
        await Streams(session).ensure(config)
        return cls(session, name)

    async def get(self, key: str) -> Entry | None:
        """
        The newest value of a key.

        Raises:
            BusError: If the bucket cannot be read.

        """
        incoming = await self._session.request(subjects.bucket_key_read(self.name, key), b"")
        headers = incoming.headers or {}
        status = headers.get("Status")
        if status == "404":
            return None
        if status is not None:
            raise StreamRefused(self._stream, int(status), headers.get("Description", ""))
        if _is_gone(headers):
            return None
        return Entry(key, incoming.data, int(headers["Nats-Sequence"]))

    async def put(self, key: str, value: bytes) -> int:
        """
        Write a value, whatever was there.

        Returns:
            Its revision.

        Raises:
            BusError: If it was not written.

        """
        return (await self._streams.publish(subjects.bucket_key(self.name, key), value)).sequence

    async def create(self, key: str, value: bytes) -> int:
        """
        Write a value where none is.

        Raises:
            WrongRevision: If there is one.
            BusError: If it was not written.

        """
        try:
            return await self.update(key, value, 0)
        except WrongRevision:
            # A key that was deleted or expired still has a last sequence: the marker's.
            incoming = await self._session.request(subjects.bucket_key_read(self.name, key), b"")
            headers = incoming.headers or {}
            if "Status" in headers:
                return await self.update(key, value, 0)
            if not _is_gone(headers):
                raise
            return await self.update(key, value, int(headers["Nats-Sequence"]))

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """
        Write a value if the key still has this revision.

        Raises:
            WrongRevision: If somebody else wrote it in between.
            BusError: If it was not written.

        """
        return await self._write(key, value, {"Nats-Expected-Last-Subject-Sequence": str(revision)})

    async def delete(self, key: str, revision: int | None = None) -> int:
        """
        Forget a key, if it still has this revision where one is given.

        Returns:
            The revision of the marker that stays.

        Raises:
            WrongRevision: If somebody else wrote it in between.
            BusError: If it was not written.

        """
        headers = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
        if revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        return await self._write(key, b"", headers)

    async def watch(
        self,
        on_change: Change,
        on_current: Callable[[], None] | None = None,
        renewal_seconds: float = WATCH_RENEWAL_SECONDS,
    ) -> "Watch":
        """
        Follow every key, from what is there now on.

        Args:
            on_change: Called in the order of the writes; an exception of it ends the watch.
            on_current: Called once, when everything that was there has been told.
            renewal_seconds: How late a change may come that the bus lost, or that is an expiry.

        Raises:
            BusError: If the bucket is not there.

        """
        watch = Watch(self._session, self.name, on_change, renewal_seconds)
        await watch.start()
        if on_current is not None:
            on_current()
        return watch

    async def _write(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        subject = subjects.bucket_key(self.name, key)
        incoming = await self._session.request(subject, value, headers=headers)
        try:
            return placed(incoming.data, subject).sequence
        except StreamRefused as refusal:
            if refusal.code == WRONG_LAST_SEQUENCE:
                raise WrongRevision(self.name, key) from refusal
            raise


class Watch:
    """
    Everything that happens in a bucket, without a consumer.

    The stream republishes what it stored, each with its sequence; a hole in the sequences, and the clock, make the
    watch read what it missed. So it needs no repair after a reconnect. A bucket in memory begins anew when its servers
    do; the watch then begins anew as well, but what vanished with the old one is not told as gone.
    """

    def __init__(self, session: Session, bucket: str, on_change: Change, renewal_seconds: float) -> None:
        self._session = session
        self._streams = Streams(session)
        self._bucket = bucket
        self._on_change = on_change
        self._renewal_seconds = renewal_seconds
        self._cursor = 0
        self._told = NEVER
        self._missed = asyncio.Event()
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribe first, then read what is there."""
        self._subscription = await self._session.subscribe(subjects.bucket_changes(self._bucket), self._on_live)
        await self._session.barrier()
        await self._read()
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Follow no longer."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _on_live(self, incoming: Incoming) -> None:
        stored = stored_of(incoming)
        if stored.sequence == self._cursor + 1:
            self._tell(stored)
        elif stored.sequence > self._cursor:
            self._missed.set()
        elif _time_of(stored) > self._told:
            # Later than all that was told, under an earlier number: this is another stream.
            self._cursor = 0
            self._missed.set()

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._renewal_seconds):
                    await self._missed.wait()
            self._missed.clear()
            # While the bus is away nothing can be read; what was written meanwhile is read at the next renewal.
            with suppress(BusError):
                await self._read()

    async def _read(self) -> None:
        everything = subjects.bucket_key(self._bucket, ">")
        pending = 1
        while pending:
            page = await self._streams.batch(
                subjects.bucket_stream(self._bucket), everything, self._cursor, limit=256, max_bytes=512 * 1024
            )
            for stored in page.items:
                self._tell(stored)
            pending = page.pending

    def _tell(self, stored: Stored) -> None:
        if stored.sequence <= self._cursor:
            return
        self._cursor = stored.sequence
        self._told = _time_of(stored)
        value = None if _is_gone(stored.headers) else stored.data
        self._on_change(subjects.key_of(stored.subject, self._bucket), value, stored.sequence)


def _time_of(stored: Stored) -> datetime:
    return msgspec.convert(stored.time, datetime)


def _is_gone(headers: Mapping[str, str]) -> bool:
    return headers.get("KV-Operation") in GONE or "Nats-Marker-Reason" in headers
