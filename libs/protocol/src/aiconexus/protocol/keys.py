"""
Ed25519 keys, RFC 8032, through libsodium only.

Other libraries accept forgeries under small order keys; see ``did.check_public_key``.
"""

from nacl.bindings import (
    crypto_sign,
    crypto_sign_BYTES,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

from aiconexus.protocol.did import did_of, public_key_of
from aiconexus.protocol.errors import InvalidSignature

SEED_BYTES = 32
SIGNATURE_BYTES = crypto_sign_BYTES


class SigningKey:
    """
    The private half of an identity.

    Args:
        seed: 32 random bytes, RFC 8032 section 5.1.5.

    """

    __slots__ = ("_secret", "did", "public_key", "seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            message = f"a seed has {SEED_BYTES} bytes, this one {len(seed)}"
            raise ValueError(message)
        self.seed = seed
        self.public_key, self._secret = crypto_sign_seed_keypair(seed)
        self.did = did_of(self.public_key)

    @property
    def token(self) -> str:
        """The multibase part of the DID, for subjects."""
        return self.did.removeprefix("did:key:")

    def sign(self, data: bytes) -> bytes:
        """Sign bytes that already carry their domain; 64 bytes come back."""
        return crypto_sign(data, self._secret)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey({self.did})"


def verify(did: str, data: bytes, signature: bytes) -> None:
    """
    Check that the owner of the DID signed the bytes.

    Raises:
        InvalidDid: If the DID is not acceptable.
        InvalidSignature: If the signature is not theirs.

    """
    public_key = public_key_of(did)
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature(did)
    try:
        crypto_sign_open(signature + data, public_key)
    except BadSignatureError as error:
        raise InvalidSignature(did) from error
