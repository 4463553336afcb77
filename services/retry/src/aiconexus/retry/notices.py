"""Tell a sender that its envelope is a dead letter."""

from collections.abc import Mapping
from hashlib import sha256

from aiconexus.protocol.bodies import Receipt, ReceiptItem, ReceiptStatus
from aiconexus.protocol.ids import RANDOM_BYTES, envelope_id
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import compose
from aiconexus.retry.job import JobRecord


def notice_of(record: JobRecord, key: SigningKey, services: Mapping[str, str]) -> bytes | None:
    """
    The receipt ``dead_lettered`` for a job that was given up.

    Its bytes are the same for everybody who works it out, so that a replica that takes over in the middle says
    nothing twice.

    Args:
        record: Of the job.
        key: Ours.
        services: Their DIDs by name; they have no mailbox.

    Returns:
        None if nobody waits for it.

    """
    if record.type == Receipt.TYPE or record.sender in services.values():
        return None
    seed = f"{record.sender} {record.id} {record.recipient} {record.attempts}"
    id_ = envelope_id(record.changed_ms, sha256(seed.encode()).digest()[:RANDOM_BYTES])
    item = ReceiptItem(id=record.id, status=ReceiptStatus.DEAD_LETTERED, problem=record.problem)
    return compose(Receipt(items=(item,)), key, record.sender, id_=id_, now_ms=record.changed_ms, in_reply_to=record.id)
