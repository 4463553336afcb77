"""Envelope ids: UUID version 7, RFC 9562 section 5.7, made from a time and randomness that the caller brings."""

import uuid

RANDOM_BYTES = 10


def envelope_id(now_ms: int, randomness: bytes) -> str:
    """
    Make an id that sorts by time.

    Args:
        now_ms: Milliseconds since the epoch, below 2**48.
        randomness: Ten random bytes.

    """
    value = (now_ms << 80) | int.from_bytes(randomness[:RANDOM_BYTES], "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))
