"""
Read and write did:key names of Ed25519 keys, strictly.

W3C did:key, multicodec ed25519-pub (0xed 0x01), multibase base58btc. One key has exactly one accepted text.
"""

from functools import lru_cache

import base58
from nacl.bindings import crypto_core_ed25519_is_valid_point

from aiconexus.protocol.errors import InvalidDid

PREFIX = "did:key:"
MULTICODEC = b"\xed\x01"
KEY_BYTES = 32
# 34 bytes that begin with ed 01 take 47 base58 digits; the z of multibase makes 48.
TOKEN_CHARACTERS = 48


def did_of(public_key: bytes) -> str:
    """Name an Ed25519 public key of 32 bytes."""
    return PREFIX + token_of(public_key)


def token_of(public_key: bytes) -> str:
    """
    The multibase part of a DID: letters and digits only, so it fits a subject or a bucket key.

    Raises:
        InvalidDid: If it is no usable public key.

    """
    check_public_key(public_key)
    return "z" + base58.b58encode(MULTICODEC + public_key).decode()


def check_public_key(public_key: bytes) -> None:
    """
    Refuse what is no point of the main subgroup: small order and mixed order keys let forgeries through.

    Raises:
        InvalidDid: With the reason.

    """
    if len(public_key) != KEY_BYTES:
        raise InvalidDid(public_key[:KEY_BYTES].hex(), f"{len(public_key)} bytes instead of {KEY_BYTES}")
    if not crypto_core_ed25519_is_valid_point(public_key):
        raise InvalidDid(public_key.hex(), "the key is not on the main subgroup of the curve")


@lru_cache(maxsize=65_536)
def public_key_of(did: str) -> bytes:
    """
    The 32 bytes of the Ed25519 key that a DID names.

    Raises:
        InvalidDid: If it is not the one canonical text of a usable key.

    """
    # The length comes first: base58 decodes in quadratic time.
    if len(did) != len(PREFIX) + TOKEN_CHARACTERS:
        raise InvalidDid(did, f"{len(did)} characters instead of {len(PREFIX) + TOKEN_CHARACTERS}")
    if not did.startswith(PREFIX + "z"):
        raise InvalidDid(did, "it does not start with did:key:z")
    try:
        decoded = base58.b58decode(did[len(PREFIX) + 1 :])
    except ValueError as error:
        raise InvalidDid(did, "it is not base58btc") from error
    if len(decoded) != len(MULTICODEC) + KEY_BYTES or not decoded.startswith(MULTICODEC):
        raise InvalidDid(did, "it does not hold an Ed25519 key (multicodec 0xed01 and 32 bytes)")
    # 34 bytes that begin with ed need all 47 digits, so neither a leading 1 nor white space (which base58 strips) is
    # left here, and the text is the one that did_of writes.
    public_key = decoded[len(MULTICODEC) :]
    check_public_key(public_key)
    return public_key


def key_text_of(did: str) -> str:
    """
    The key that a DID names, as REGISTER spells it: base58btc of the 32 bytes alone.

    Raises:
        InvalidDid: If the DID is not acceptable.

    """
    return base58.b58encode(public_key_of(did)).decode()


def token_in(did: str) -> str:
    """
    The subject token of a DID.

    Raises:
        InvalidDid: If the DID is not acceptable.

    """
    public_key_of(did)
    return did[len(PREFIX) :]


def did_for_token(token: str) -> str:
    """
    The DID of a subject token.

    Raises:
        InvalidDid: If no acceptable DID has this token.

    """
    did = PREFIX + token
    public_key_of(did)
    return did
