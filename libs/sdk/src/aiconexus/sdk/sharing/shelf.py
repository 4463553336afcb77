"""Where files lie while they come: the partial file, its hashes, and how far it is, all of it on disk."""

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aiconexus.protocol.direct_errors import TransferRefused
from aiconexus.sdk.sharing.manifest import CHUNK_BYTES, LEAF_BYTES, Manifest, leaf_of, read, root_of
from aiconexus.sdk.sharing.placing import mark_of, place

PARTIAL_FOLDER = ".aiconexus-share"
KEPT_SECONDS = 7 * 24 * 3600
PARTIALS_MAX = 64
PARTIALS_OF_ONE_MAX = 16
"""Of one sender, so that nobody takes the room of all."""
NOTED_CHUNKS = 64
"""How far a file is gets written down after so many chunks; what came since is sent again after a crash."""
RESERVE_BYTES = 16 * 1024 * 1024
NO_ROOM = "there is no room on the disk"
AHEAD_MAX = 1024


class State(msgspec.Struct, kw_only=True):
    """
    What is known of a partial file.

    ``placed`` is the name of the whole one, once it is there, and ``mark`` tells whether it is still that one.
    """

    sender: str
    manifest: Manifest
    have: int = 0
    placed: str | None = None
    mark: tuple[int, ...] = ()


class Parcel:
    """
    One file that comes.

    Args:
        shelf: Where it will lie.
        key: Its name on the shelf.
        state: What is known of it.

    """

    def __init__(self, shelf: "Shelf", key: str, state: State) -> None:
        self.state = state
        self._shelf = shelf
        self._key = key
        self._leaves = bytearray(_content_of(shelf.partial(key, "leaves")))
        self._ahead: set[int] = set()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(shelf.partial(key, "part"), flags, 0o600)
        if not self._is_bound:
            self._leaves.clear()

    @property
    def manifest(self) -> Manifest:
        """What was announced."""
        return self.state.manifest

    @property
    def leaves(self) -> int:
        """How many hashes are known, from the first on."""
        return len(self._leaves) // LEAF_BYTES

    @property
    def is_complete(self) -> bool:
        """Whether every chunk is there."""
        return self.state.have == self.manifest.count and self._is_bound

    def put_leaves(self, index: int, data: bytes) -> None:
        """
        Take hashes of chunks, in their order.

        Raises:
            TransferRefused: If they are not those that the offer is bound to.

        """
        if (
            index != self.leaves
            or len(data) % LEAF_BYTES
            or self.leaves + len(data) // LEAF_BYTES > self.manifest.count
        ):
            return  # a repetition
        self._leaves += data
        if self.leaves == self.manifest.count:
            if not self._is_bound:
                self._leaves.clear()
                raise TransferRefused(self.manifest.name, "its hashes are not those that were announced")
            self._write("leaves", bytes(self._leaves))

    def put_chunk(self, index: int, chunk: bytes) -> None:
        """
        Take a chunk.

        Raises:
            TransferRefused: If it does not have its hash, or the disk has no room for it.

        """
        if index < self.state.have or index in self._ahead:
            return
        if index >= self.manifest.count or index > self.state.have + AHEAD_MAX or not self._is_bound:
            raise TransferRefused(self.manifest.name, f"chunk {index} comes out of turn")
        leaf = self._leaves[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]
        if len(chunk) != self.manifest.length_of(index) or leaf_of(chunk) != leaf:
            raise TransferRefused(self.manifest.name, f"chunk {index} does not have its hash")
        with _naming(self.manifest.name):
            os.pwrite(self._file, chunk, index * CHUNK_BYTES)
        self._ahead.add(index)
        while self.state.have in self._ahead:
            self._ahead.remove(self.state.have)
            self.state.have += 1
            if self.state.have % NOTED_CHUNKS == 0:
                self.note()

    def note(self) -> None:
        """Write down how far it is."""
        self._write("state", msgspec.json.encode(self.state))

    def finish(self) -> Path:
        """
        Check what lies on the disk, and put it where it belongs; takes its time.

        Raises:
            TransferRefused: If it is not what was announced.

        """
        name, part = self.manifest.name, self._shelf.partial(self._key, "part")
        with _naming(name):
            os.ftruncate(self._file, self.manifest.size)
            os.fsync(self._file)
        found, _ = read(part, name)
        if found != self.manifest:
            self.state.have = 0
            self.note()
            raise TransferRefused(name, "what lies on the disk is not what was announced")
        placed = self._shelf.place(part, name)
        self.state.placed, self.state.mark = placed.name, mark_of(placed)
        self.note()
        self._shelf.partial(self._key, "leaves").unlink(missing_ok=True)
        return placed

    def close(self) -> None:
        """Leave it as it is; where that cannot be written down, what came last has to come again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            with contextlib.suppress(OSError, TransferRefused):
                self.note()

    @property
    def _is_bound(self) -> bool:
        return (
            self.leaves == self.manifest.count
            and root_of(self.manifest.size, bytes(self._leaves)) == self.manifest.root
        )

    def _write(self, kind: str, data: bytes) -> None:
        path = self._shelf.partial(self._key, kind)
        draft = path.with_name(path.name + ".new")
        with _naming(self.manifest.name):
            draft.write_bytes(data)
            draft.replace(path)


class Shelf:
    """
    A folder for files that come.

    Args:
        folder: Where they lie once they are whole.
        max_bytes: The largest file.
        overwrite: Whether a new file takes the place of one of the same name; otherwise it gets another name.

    """

    def __init__(self, folder: Path, *, max_bytes: int, overwrite: bool = False) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._overwrite = overwrite
        self._partials = folder / PARTIAL_FOLDER
        self._partials.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()

    def partial(self, key: str, kind: str) -> Path:
        """Where something of a partial file lies."""
        return self._partials / f"{key}.{kind}"

    def check(self, sender: str, manifest: Manifest) -> None:
        """
        Say no to what cannot be taken.

        Raises:
            TransferRefused: If it is too large, the disk has no room, or too many files are under way.

        """
        if manifest.size > self._max_bytes:
            raise TransferRefused(manifest.name, f"{manifest.size} bytes are more than {self._max_bytes}")
        if shutil.disk_usage(self._partials).free < manifest.size + RESERVE_BYTES:
            raise TransferRefused(manifest.name, NO_ROOM)
        self._sweep()
        parts = list(self._partials.glob("*.part"))
        theirs = [part for part in parts if part.name.startswith(_prefix_of(sender))]
        if len(parts) >= PARTIALS_MAX or len(theirs) >= PARTIALS_OF_ONE_MAX:
            raise TransferRefused(manifest.name, "too many files are under way")

    def find(self, sender: str, share: str) -> State | None:
        """What is known of a file that this sender began to send, or has sent; it was accepted then."""
        data = _content_of(self.partial(_key_of(sender, share), "state"))
        with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
            state = msgspec.json.decode(data, type=State)
            if (state.sender, state.manifest.id) == (sender, share) and self._is_there(state):
                return state
        return None

    def open(self, sender: str, manifest: Manifest) -> Parcel:
        """
        Begin a file, or go on with it.

        Raises:
            TransferRefused: If the disk has no room.

        """
        state = self.find(sender, manifest.id) or State(sender=sender, manifest=manifest)
        with _naming(manifest.name):
            parcel = Parcel(self, _key_of(sender, manifest.id), state)
            parcel.note()
        return parcel

    def place(self, part: Path, name: str) -> Path:
        """Give a whole file its name; see ``placing``."""
        return place(part, self.folder, name, overwrite=self._overwrite)

    def _is_there(self, state: State) -> bool:
        """Whether what the state says is still so."""
        if state.placed is None:
            return self.partial(_key_of(state.sender, state.manifest.id), "part").exists()
        path = self.folder / state.placed
        return path.is_file() and mark_of(path) == state.mark

    def _sweep(self) -> None:
        """Forget what nobody went on with for a week."""
        oldest = time.time() - KEPT_SECONDS
        for path in self._partials.iterdir():
            if path.stat(follow_symlinks=False).st_mtime < oldest:
                path.unlink()


def _key_of(sender: str, share: str) -> str:
    return _prefix_of(sender) + hashlib.sha256(f"{sender}/{share}".encode()).hexdigest()[:32]


def _prefix_of(sender: str) -> str:
    return hashlib.sha256(sender.encode()).hexdigest()[:16] + "-"


def _content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Give a full disk its name."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise TransferRefused(name, NO_ROOM) from error
        raise
