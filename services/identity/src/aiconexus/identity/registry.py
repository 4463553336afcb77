"""
The bucket of everybody who has ever registered.

A key that was revoked stays so: every write depends on what was read before it, so no replica can undo another's.
"""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from aiconexus.bus.buckets import Bucket
from aiconexus.identity.roster import Roster
from aiconexus.protocol.bodies import Register
from aiconexus.protocol.did import token_in
from aiconexus.protocol.errors import KeyRevoked, Refused, WrongRevision
from aiconexus.protocol.records import REGISTRY, RegistryRecord

ATTEMPTS = 16

read_record = msgspec.msgpack.Decoder(RegistryRecord).decode
_encode = msgspec.msgpack.Encoder().encode


def enrolled(previous: RegistryRecord | None, did: str, body: Register, now_ms: int) -> RegistryRecord:
    """
    The record of an agent that registers.

    Returns:
        The previous one itself, if it says the same.

    Raises:
        KeyRevoked: If the key is void.

    """
    if previous is not None and previous.revoked_ms:
        raise KeyRevoked(did)
    record = RegistryRecord(
        did=did,
        name=body.name,
        capabilities=body.capabilities,
        codecs=body.codecs,
        policy=body.policy,
        callers=body.callers,
        registered_ms=previous.registered_ms if previous else now_ms,
        updated_ms=now_ms,
    )
    unchanged = previous is not None and replace(record, updated_ms=previous.updated_ms) == previous
    return previous if previous is not None and unchanged else record


def revoked(previous: RegistryRecord | None, did: str, now_ms: int) -> RegistryRecord:
    """The record of an agent whose key is void from now on; the first revocation counts."""
    if previous is None:
        return RegistryRecord(did=did, registered_ms=now_ms, updated_ms=now_ms, revoked_ms=now_ms)
    return previous if previous.revoked_ms else replace(previous, updated_ms=now_ms, revoked_ms=now_ms)


class Registry:
    """
    Reads and writes records.

    Args:
        bucket: REGISTRY.
        roster: Learns at once what was written.
        agents_max: More are refused.

    """

    def __init__(self, bucket: Bucket, roster: Roster, agents_max: int) -> None:
        self._bucket = bucket
        self._roster = roster
        self._agents_max = agents_max

    async def enroll(self, did: str, body: Register, now_ms: int) -> RegistryRecord:
        """
        Write down what an agent says of itself.

        Raises:
            KeyRevoked: If its key is void.
            Refused: If it is new and there is no room.
            BusError: If nothing was written.

        """
        return await self._change(did, lambda previous: enrolled(previous, did, body, now_ms))

    async def revoke(self, did: str, now_ms: int) -> RegistryRecord:
        """
        Write down that a key is void.

        Raises:
            Refused: If it never registered and there is no room.
            BusError: If nothing was written.

        """
        return await self._change(did, lambda previous: revoked(previous, did, now_ms))

    async def _change(self, did: str, change: Callable[[RegistryRecord | None], RegistryRecord]) -> RegistryRecord:
        token = token_in(did)
        for _ in range(ATTEMPTS):
            entry = await self._bucket.get(token)
            previous = read_record(entry.value) if entry is not None else None
            if previous is None and self._roster.size >= self._agents_max:
                reason = f"the registry holds {self._agents_max} agents, which is all it may"
                raise Refused(reason)
            record = change(previous)
            if record is previous:
                return record
            try:
                revision = await self._write(token, record, entry.revision if entry is not None else None)
            except WrongRevision:
                continue
            self._roster.apply_record(token, record, revision)
            return record
        raise WrongRevision(REGISTRY, token)

    async def _write(self, token: str, record: RegistryRecord, revision: int | None) -> int:
        value = _encode(record)
        if revision is None:
            return await self._bucket.create(token, value)
        return await self._bucket.update(token, value, revision)
