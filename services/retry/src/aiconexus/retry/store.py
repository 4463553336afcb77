"""
Jobs, their envelopes, and dead letters, as the streams keep them.

A record is changed by whoever read its present revision, and by nobody else. What nobody ends is forgotten some days
after its envelope has ended.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from aiconexus.bus.streams import Stored, Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.did import PREFIX
from aiconexus.protocol.errors import MalformedEnvelope, StreamRefused, WrongRevision
from aiconexus.protocol.job_bodies import JobState
from aiconexus.protocol.records import DEAD, JOBS
from aiconexus.retry.job import JobRecord

WRONG_LAST_SEQUENCE = 10071
"""err_code: wrong last sequence."""

ORPHAN_MS = 2 * 24 * 3_600_000
SCANNED_MAX = 1_000
"""Entries that one page looks at, however few of them fit."""
PAGE_BYTES = 512 * 1024
DIGEST_CHARACTERS = 32
NAMESAKES_MAX = 16


class Found(msgspec.Struct, frozen=True):
    """A record and the revision under which it may be changed."""

    record: JobRecord
    revision: int


class DeadLetter(msgspec.Struct, frozen=True):
    """What was given up: the record of its end, and the sealed envelope."""

    record: JobRecord
    letter: bytes


class Buried(msgspec.Struct, frozen=True):
    """The envelope of a dead letter, and the place where that lies."""

    letter: bytes
    grave: int


class Listing(msgspec.Struct, frozen=True):
    """A page of records, and where the next one begins; None if there is none."""

    records: tuple[JobRecord, ...]
    cursor: int | None


_record_decoder = msgspec.msgpack.Decoder(JobRecord)
_dead_decoder = msgspec.msgpack.Decoder(DeadLetter)


T = TypeVar("T")


class Store:
    """
    The streams of jobs and of dead letters.

    Args:
        streams: To the bus.
        now_ms: A clock in milliseconds since the epoch.
        finished_kept_seconds: How long a record outlives its job.
        dead_kept_seconds: How long a dead letter is kept.

    """

    def __init__(
        self, streams: Streams, now_ms: Callable[[], int], finished_kept_seconds: float, dead_kept_seconds: float
    ) -> None:
        self._streams = streams
        self._now_ms = now_ms
        self._finished_kept_seconds = finished_kept_seconds
        self._dead_kept_seconds = dead_kept_seconds

    async def get(self, key: str) -> Found | None:
        """
        The record at a key, perhaps of a moment ago: whoever changes it notices.

        Raises:
            BusError: If it cannot be read.

        """
        return _found(await self._streams.last(JOBS, subjects.job("record", key)))

    async def open_now(self, key: str) -> Found | None:
        """
        The record at a key, if its job is open; for whoever does nothing more if it is not.

        Raises:
            BusError: If it cannot be read.

        """
        found = await self.get(key)
        if found is None or not found.record.is_open:
            found = _found(await self._streams.newest(JOBS, subjects.job("record", key)))
        return found if found is not None and found.record.is_open else None

    async def find(self, job: str) -> list[Found]:
        """
        The records of a name: of more than one job, if their sender has used an id for several recipients.

        Raises:
            BusError: If it cannot be read.

        """
        sender, _, id_ = job.partition(".")
        pattern = subjects.job("record", f"{subjects.job_key(sender, id_)}.*")
        page = await self._streams.batch(JOBS, pattern, 0, limit=NAMESAKES_MAX, max_bytes=PAGE_BYTES)
        return [Found(_record_of(item), item.sequence) for item in page.items]

    async def open(self, record: JobRecord, letter: bytes) -> None:
        """
        Keep a new job.

        Raises:
            WrongRevision: If there is one already.
            BusError: If it was not kept.

        """
        await self.keep_letter(record, letter)
        await self._write(record, 0)

    async def keep_letter(self, record: JobRecord, letter: bytes) -> None:
        """
        Keep the envelope of a job.

        Raises:
            BusError: If it was not kept.

        """
        await self._streams.publish(_letter_of(record), letter, headers=_lives(self._orphan_ms(record)))

    async def letter(self, record: JobRecord) -> bytes | None:
        """
        The sealed envelope of an open job.

        Raises:
            BusError: If it cannot be read.

        """
        stored = await self._last(JOBS, _letter_of(record))
        return None if stored is None else stored.data

    async def forget_letter(self, record: JobRecord) -> None:
        """
        Nobody needs the envelope of a job any longer.

        Raises:
            BusError: If it is not sure that it was forgotten.

        """
        await self._streams.purge(JOBS, _letter_of(record))

    async def save(self, found: Found, record: JobRecord) -> None:
        """
        Change a record; one that has ended needs its envelope no longer.

        Raises:
            WrongRevision: If somebody else has changed it since it was read.
            BusError: If it was not written.

        """
        await self._write(record, found.revision)
        if not record.is_open:
            await self.forget_letter(record)

    async def open_jobs(self, sender: str) -> int:
        """
        How many open jobs a sender has; ``sender`` is a token.

        Raises:
            BusError: If they cannot be counted.

        """
        pattern = subjects.job("letter", f"{sender}.*.*.*")
        page = await self._streams.batch(JOBS, pattern, 0, limit=1, max_bytes=1)
        return len(page.items) + page.pending

    async def bury(self, record: JobRecord, letter: bytes) -> None:
        """
        Keep a dead letter; the same one again changes nothing.

        Raises:
            BusError: If it was not kept.

        """
        data = msgspec.msgpack.encode(DeadLetter(record, letter))
        await self._streams.publish(subjects.dead_letter(record.key), data)

    async def buried(self, key: str) -> Buried | None:
        """
        The dead letter at a key.

        Raises:
            BusError: If it cannot be read.

        """
        stored = await self._last(DEAD, subjects.dead_letter(key))
        return None if stored is None else Buried(_dead_of(stored).letter, stored.sequence)

    async def unbury(self, key: str, grave: int) -> None:
        """
        Forget the dead letter in a place, and none that was buried later.

        Raises:
            BusError: If it is not sure that it was forgotten.

        """
        await self._streams.purge(DEAD, subjects.dead_letter(key), grave)

    async def jobs(
        self, sender: str | None, recipient: str | None, state: JobState | None, *, after: int, limit: int
    ) -> Listing:
        """
        List records behind a cursor; None fits everything.

        Raises:
            BusError: If they cannot be read.

        """
        pattern = subjects.job("record", _pattern(sender, recipient))
        return await self._list(JOBS, pattern, _record_of, state=state, after=after, limit=limit)

    async def dead_letters(self, sender: str | None, recipient: str | None, *, after: int, limit: int) -> Listing:
        """
        Likewise the records of dead letters.

        Raises:
            BusError: If they cannot be read.

        """
        pattern = subjects.dead_letter(_pattern(sender, recipient))
        return await self._list(DEAD, pattern, _dead_record_of, state=None, after=after, limit=limit)

    async def _last(self, stream: str, subject: str) -> Stored | None:
        """What must not be missed: a server that has not heard of it yet is not believed."""
        return await self._streams.last(stream, subject) or await self._streams.newest(stream, subject)

    async def _list(
        self,
        stream: str,
        pattern: str,
        read: Callable[[Stored], JobRecord],
        *,
        state: JobState | None,
        after: int,
        limit: int,
    ) -> Listing:
        records: list[JobRecord] = []
        scanned, pending = 0, 1
        while pending and len(records) < limit and scanned < SCANNED_MAX:
            page = await self._streams.batch(stream, pattern, after, limit=limit - len(records), max_bytes=PAGE_BYTES)
            records += [record for record in map(read, page.items) if state is None or record.state is state]
            scanned += len(page.items)
            pending = page.pending if page.items else 0
            after = page.items[-1].sequence if page.items else after
        return Listing(tuple(records), after if pending else None)

    async def _write(self, record: JobRecord, revision: int) -> None:
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision), **_lives(self._kept_ms(record))}
        try:
            await self._streams.publish(
                subjects.job("record", record.key), msgspec.msgpack.encode(record), headers=headers
            )
        except StreamRefused as refused:
            if refused.code == WRONG_LAST_SEQUENCE:
                raise WrongRevision(JOBS, record.job) from refused
            raise

    def _kept_ms(self, record: JobRecord) -> float:
        if record.is_open:
            return self._orphan_ms(record)
        dead = record.state is JobState.DEAD
        return (self._dead_kept_seconds if dead else self._finished_kept_seconds) * 1000

    def _orphan_ms(self, record: JobRecord) -> float:
        return max(record.ends_ms - self._now_ms(), 0) + ORPHAN_MS


def _letter_of(record: JobRecord) -> str:
    """Where the envelope of a job lies: with its digest, so that no other one under its id can take the place."""
    return subjects.job("letter", f"{record.key}.{record.digest.hex()[:DIGEST_CHARACTERS]}")


def _lives(milliseconds: float) -> dict[str, str]:
    return {"Nats-TTL": f"{max(1, int(milliseconds / 1000))}s"}


def _pattern(sender: str | None, recipient: str | None) -> str:
    return ".".join((_token(sender), "*", _token(recipient)))


def _token(did: str | None) -> str:
    return "*" if did is None else did.removeprefix(PREFIX)


def _found(stored: Stored | None) -> Found | None:
    return None if stored is None else Found(_record_of(stored), stored.sequence)


def _record_of(stored: Stored) -> JobRecord:
    return _read(_record_decoder, stored)


def _dead_of(stored: Stored) -> DeadLetter:
    return _read(_dead_decoder, stored)


def _dead_record_of(stored: Stored) -> JobRecord:
    return _dead_of(stored).record


def _read(decoder: "msgspec.msgpack.Decoder[T]", stored: Stored) -> T:
    try:
        return decoder.decode(stored.data)
    except msgspec.DecodeError as error:
        raise MalformedEnvelope(f"{stored.subject}: {error}") from error
