"""What a file is, before any of it is sent: its name, its size and its hashes."""

import errno
import hashlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aiconexus.protocol.direct_errors import TransferRefused

CHUNK_BYTES = 32 * 1024
"""A chunk fits into one envelope."""
LEAF_BYTES = 32
NAME_MAX_BYTES = 200
SIZE_MAX = 2**50
_DOMAIN = b"aiconexus.share.v1"

Hex = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """
    A file as its sender announces it.

    ``sha256`` is that of the whole, ``root`` that of the size and the hashes of all chunks: it binds each of them.
    """

    name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX_BYTES)]
    size: Annotated[int, Meta(ge=0, le=SIZE_MAX)]
    sha256: Hex
    root: Hex

    @property
    def id(self) -> str:
        """The same for the same file under the same name, so that a sender can go on that remembers nothing."""
        return hashlib.sha256(f"{self.root}/{self.name}".encode()).hexdigest()[:32]

    @property
    def count(self) -> int:
        """How many chunks it has."""
        return -(-self.size // CHUNK_BYTES)

    def length_of(self, index: int) -> int:
        """Bytes of a chunk."""
        return min(CHUNK_BYTES, self.size - index * CHUNK_BYTES)


def manifest_of(fields: Any) -> Manifest:
    """
    Read an announced manifest.

    Raises:
        TransferRefused: If it is none, or its name could lie anywhere but in one folder.

    """
    try:
        manifest = msgspec.convert(fields, Manifest)
    except msgspec.ValidationError as error:
        raise TransferRefused("", f"no manifest: {error}") from error
    check_name(manifest.name)
    return manifest


def check_name(name: str) -> None:
    """
    Refuse names that are more than a name.

    Raises:
        TransferRefused: If it names a path, hides itself, or cannot be shown.

    """
    is_plain = name.isprintable() and not any(each in name for each in '/\\:<>|?*"')
    if not is_plain or name.startswith(".") or name != name.strip() or name.endswith("."):
        raise TransferRefused(name, "that is no name for a file")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise TransferRefused(name, "that is no name for a file") from error
    if size > NAME_MAX_BYTES:
        raise TransferRefused(name, f"its name is longer than {NAME_MAX_BYTES} bytes")


def root_of(size: int, leaves: bytes) -> str:
    """What binds a file's chunks."""
    return hashlib.sha256(_DOMAIN + size.to_bytes(8, "big") + leaves).hexdigest()


def leaf_of(chunk: bytes) -> bytes:
    """The hash of a chunk."""
    return hashlib.sha256(chunk).digest()


def read(path: Path, name: str, is_stopped: Callable[[], bool] = lambda: False) -> tuple[Manifest, bytes]:
    """
    Read a file as a whole, which takes its time: not in the event loop.

    Args:
        path: Where it lies.
        name: What it is to be called.
        is_stopped: Asked now and then whether it is still wanted.

    Returns:
        Its manifest, and the hashes of its chunks.

    Raises:
        OSError: If it cannot be read, or has no end: a pipe, a device.

    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    whole, leaves, size = hashlib.sha256(), bytearray(), 0
    with path.open("rb") as file:
        while (chunk := file.read(CHUNK_BYTES)) and not is_stopped():
            whole.update(chunk)
            leaves += leaf_of(chunk)
            size += len(chunk)
    manifest = Manifest(name=name, size=size, sha256=whole.hexdigest(), root=root_of(size, bytes(leaves)))
    return manifest, bytes(leaves)
