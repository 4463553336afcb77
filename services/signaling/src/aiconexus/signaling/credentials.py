"""
Logins for TURN that end by themselves: no I/O, no clock.

The user name holds the end, the password proves that we wrote it, and the TURN server needs nothing but the shared
secret to check both (draft-uberti-behave-turn-rest-00; coturn's ``use-auth-secret``).
"""

import hmac
from base64 import b64encode
from hashlib import sha256

import msgspec

USER_CHARACTERS = 32


class Login(msgspec.Struct, frozen=True):
    """What a TURN server asks for, good until ``expires_seconds`` of the epoch."""

    username: str
    credential: str
    expires_seconds: int


def user_of(did: str) -> str:
    """
    What a TURN server learns of an agent.

    It counts allocations by this name, so an agent always has the same; its DID is none of the server's business.
    """
    return sha256(did.encode()).hexdigest()[:USER_CHARACTERS]


def login_of(secret: str, user: str, expires_seconds: int) -> Login:
    """
    Write a login.

    Args:
        secret: Shared with the TURN server.
        user: See ``user_of``.
        expires_seconds: Until when an allocation may be asked for, in seconds of the epoch. One that is there stays.

    """
    username = f"{expires_seconds}:{user}"
    return Login(username, credential_of(secret, username), expires_seconds)


def credential_of(secret: str, username: str) -> str:
    """The password that belongs to a user name."""
    return b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()
