"""
The texts that NATS gives to keys: "U…" for a user, "SU…" for its seed.

A did:key and a user's nkey are the same 32 bytes in two spellings. An nkey is base32 without padding over a prefix,
the key and a CRC-16/XMODEM, low byte first.
"""

import base64
import binascii
from enum import IntEnum

from aiconexus.protocol.did import KEY_BYTES, check_public_key

PUBLIC_CHARACTERS = 56
SEED_CHARACTERS = 58

_SEED = 18 << 3
_CRC_BYTES = 2


class Kind(IntEnum):
    """What a key is for; the letter is the first of its text, behind the S of a seed."""

    ACCOUNT = 0 << 3
    SERVER = 13 << 3
    USER = 20 << 3
    CURVE = 23 << 3

    @property
    def letter(self) -> str:
        """A, N, U or X."""
        return {Kind.ACCOUNT: "A", Kind.SERVER: "N", Kind.USER: "U", Kind.CURVE: "X"}[self]


def user_nkey(public_key: bytes) -> str:
    """The text of a user's key of 32 bytes."""
    return public_text(Kind.USER, public_key)


def public_text(kind: Kind, public_key: bytes) -> str:
    """The text of a public key of 32 bytes."""
    return _armor(bytes([kind]) + public_key)


def public_key_of(kind: Kind, text: str) -> bytes:
    """
    The 32 bytes of a public key's text.

    Raises:
        ValueError: If it is no such text; for keys that sign, InvalidDid if they are not usable.

    """
    public_key = unchecked_key_of(kind, text)
    if kind is not Kind.CURVE:
        check_public_key(public_key)
    return public_key


def unchecked_key_of(kind: Kind, text: str) -> bytes:
    """
    Likewise, for who checks the key itself before believing anything under it.

    Raises:
        ValueError: If it is no such text.

    """
    if len(text) != PUBLIC_CHARACTERS:
        message = f"an nkey has {PUBLIC_CHARACTERS} characters, this one {len(text)}"
        raise ValueError(message)
    raw = _unarmor(text)
    if raw[0] != kind:
        message = f"not the nkey of a key of kind {kind.letter}"
        raise ValueError(message)
    return raw[1:]


def seed_text(kind: Kind, seed: bytes) -> str:
    """The secret text of a seed of 32 bytes."""
    if len(seed) != KEY_BYTES:
        message = f"a seed has {KEY_BYTES} bytes, this one {len(seed)}"
        raise ValueError(message)
    return _armor(bytes([_SEED | kind >> 5, (kind & 31) << 3]) + seed)


def seed_of(text: str) -> tuple[Kind, bytes]:
    """
    The kind and the 32 bytes of a seed's text.

    Raises:
        ValueError: If it is no such text; the message does not repeat it.

    """
    if len(text) != SEED_CHARACTERS:
        message = f"a seed's text has {SEED_CHARACTERS} characters, this one {len(text)}"
        raise ValueError(message)
    raw = _unarmor(text)
    if raw[0] & 0xF8 != _SEED:
        message = "not the text of a seed"
        raise ValueError(message)
    return Kind((raw[0] & 7) << 5 | raw[1] >> 3), raw[2:]


def _armor(data: bytes) -> str:
    return base64.b32encode(data + _crc(data)).decode().rstrip("=")


def _unarmor(text: str) -> bytes:
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError as error:
        message = "not base32"
        raise ValueError(message) from error
    data, crc = raw[:-_CRC_BYTES], raw[-_CRC_BYTES:]
    if _crc(data) != crc or _armor(data) != text:
        message = "the checksum of the nkey is wrong"
        raise ValueError(message)
    return data


def _crc(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(_CRC_BYTES, "little")
