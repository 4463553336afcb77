"""
Who an agent is: an Ed25519 key, kept in a file that nobody else may read.

The file is JSON with ``did`` and either ``seed`` (base64) or ``sealed``: the seed in a NaCl SecretBox whose key is
derived from a passphrase with Argon2id.
"""

import base64
import os
import stat
from pathlib import Path
from typing import Annotated, Self

import msgspec
from msgspec import Meta
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox

from aiconexus.protocol.errors import InvalidKeyFile
from aiconexus.protocol.keys import SEED_BYTES, SigningKey

FILE_MAX_BYTES = 4096
FORBIDDEN_MODE = stat.S_IRWXG | stat.S_IRWXO
# Bounds on what a foreign file may make us spend: libsodium's own "sensitive" level.
OPSLIMIT_MAX = argon2id.OPSLIMIT_SENSITIVE
MEMLIMIT_MAX = argon2id.MEMLIMIT_SENSITIVE


class SealedSeed(msgspec.Struct, frozen=True):
    """A seed under a passphrase; ``box`` is nonce, tag and cipher text."""

    box: bytes
    salt: bytes
    opslimit: Annotated[int, Meta(ge=1, le=OPSLIMIT_MAX)]
    memlimit: Annotated[int, Meta(ge=8192, le=MEMLIMIT_MAX)]
    kdf: str = "argon2id"


class KeyFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the file holds."""

    did: str
    seed: bytes | None = None
    sealed: SealedSeed | None = None


class Identity:
    """
    A signing key and the file it lives in.

    Args:
        key: The private half.
        path: Where it was loaded from; None for an identity that ends with the process.

    """

    def __init__(self, key: SigningKey, path: Path | None = None) -> None:
        self.key = key
        self.path = path

    @property
    def did(self) -> str:
        """The agent's name."""
        return self.key.did

    def __repr__(self) -> str:
        return f"Identity({self.did})"

    @classmethod
    def generate(cls) -> Self:
        """Make an identity that is kept in memory only."""
        return cls(SigningKey(os.urandom(SEED_BYTES)))

    @classmethod
    def create(cls, path: str | Path, *, passphrase: str | None = None) -> Self:
        """
        Make a new identity and its file, readable by the owner alone.

        Args:
            path: Must not exist; its directory is made if it lacks.
            passphrase: Encrypts the seed; it cannot be recovered.

        Raises:
            InvalidKeyFile: If the file exists or cannot be written.

        """
        place = Path(path)
        key = SigningKey(os.urandom(SEED_BYTES))
        content = KeyFile(key.did, seed=key.seed) if passphrase is None else _encrypt(key, passphrase)
        try:
            if not place.parent.is_dir():
                place.parent.mkdir(mode=0o700, parents=True)
            _write_new(place, msgspec.json.encode(content) + b"\n")
        except OSError as error:
            raise InvalidKeyFile(str(place), error.strerror or str(error)) from error
        return cls(key, place)

    @classmethod
    def load(cls, path: str | Path, *, passphrase: str | None = None) -> Self:
        """
        Read an identity from its file.

        Args:
            path: A file that belongs to us, with no permissions for others; a symbolic link is followed and its
                target must fulfil the same.
            passphrase: Of an encrypted file.

        Raises:
            InvalidKeyFile: If the file is not safe or not sound, with the reason.

        """
        place = Path(path)
        try:
            content = msgspec.json.decode(_read_private(place), type=KeyFile)
        except OSError as error:
            raise InvalidKeyFile(str(place), error.strerror or str(error)) from error
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise InvalidKeyFile(str(place), f"it is no key file: {error}") from error
        seed = _seed_of(place, content, passphrase)
        if len(seed) != SEED_BYTES:
            raise InvalidKeyFile(str(place), f"its seed has {len(seed)} bytes instead of {SEED_BYTES}")
        key = SigningKey(seed)
        if key.did != content.did:
            raise InvalidKeyFile(str(place), f"it names {content.did!r:.80}, its seed is that of {key.did}")
        return cls(key, place)

    @classmethod
    def load_or_create(cls, path: str | Path, *, passphrase: str | None = None) -> Self:
        """
        Read an identity, or make it the first time.

        Raises:
            InvalidKeyFile: If the file is there but not usable, or cannot be written.

        """
        if not Path(path).exists():
            try:
                return cls.create(path, passphrase=passphrase)
            except InvalidKeyFile:
                # Somebody else may have made it in between.
                if not Path(path).exists():
                    raise
        return cls.load(path, passphrase=passphrase)


def _encrypt(key: SigningKey, passphrase: str) -> KeyFile:
    salt = os.urandom(argon2id.SALTBYTES)
    opslimit, memlimit = argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE
    secret = argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), salt, opslimit, memlimit)
    box = bytes(SecretBox(secret).encrypt(key.seed))
    return KeyFile(key.did, sealed=SealedSeed(box, salt, opslimit, memlimit))


def _seed_of(place: Path, content: KeyFile, passphrase: str | None) -> bytes:
    if content.seed is not None:
        return content.seed
    sealed = content.sealed
    if sealed is None or sealed.kdf != "argon2id" or len(sealed.salt) != argon2id.SALTBYTES:
        raise InvalidKeyFile(str(place), "it holds no seed that this version can read")
    if passphrase is None:
        raise InvalidKeyFile(str(place), "it is encrypted, and no passphrase was given")
    secret = argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), sealed.salt, sealed.opslimit, sealed.memlimit)
    try:
        return SecretBox(secret).decrypt(sealed.box)
    except (CryptoError, ValueError) as error:
        raise InvalidKeyFile(str(place), "the passphrase does not open it") from error


def _read_private(place: Path) -> bytes:
    """Check the opened file and not its name, which could point elsewhere a moment later."""
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InvalidKeyFile(str(place), "it is no regular file")
        if status.st_uid != os.geteuid():
            raise InvalidKeyFile(str(place), f"it belongs to user {status.st_uid}, not to us ({os.geteuid()})")
        if status.st_mode & FORBIDDEN_MODE:
            mode = stat.S_IMODE(status.st_mode)
            raise InvalidKeyFile(str(place), f"others may use it (mode {mode:04o}); run chmod 600")
        data = file.read(FILE_MAX_BYTES + 1)
    if len(data) > FILE_MAX_BYTES:
        raise InvalidKeyFile(str(place), f"it has more than {FILE_MAX_BYTES} bytes")
    return data


def _write_new(place: Path, data: bytes) -> None:
    """Write beside the place, sync, then link: the file appears whole or not at all, and replaces nothing."""
    draft = place.with_name(f".{place.name}.{base64.b32encode(os.urandom(10)).decode().lower()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, place)
    finally:
        draft.unlink()
    directory = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
