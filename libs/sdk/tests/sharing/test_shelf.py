"""Partial files on disk."""

import errno
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from aiconexus.protocol.direct_errors import TransferRefused
from aiconexus.sdk.sharing.manifest import CHUNK_BYTES, Manifest, read
from aiconexus.sdk.sharing.pieces import leaves_from
from aiconexus.sdk.sharing.shelf import NO_ROOM, NOTED_CHUNKS, PARTIAL_FOLDER, PARTIALS_OF_ONE_MAX, Parcel, Shelf

SENDER = "did:key:a"
COUNT = NOTED_CHUNKS + 6


class File:
    """A file that somebody wants to send."""

    def __init__(self, folder: Path, name: str = "evidence.bin") -> None:
        self.data = os.urandom(COUNT * CHUNK_BYTES - 100)
        path = folder / "original"
        path.write_bytes(self.data)
        self.manifest, self.leaves = read(path, name)

    def chunk(self, index: int) -> bytes:
        return self.data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]

    def give(self, parcel: Parcel, *, until: int = COUNT) -> None:
        for piece in leaves_from(self.leaves, parcel.leaves):
            parcel.put_leaves(piece.index, piece.data)
        for index in range(parcel.state.have, until):
            parcel.put_chunk(index, self.chunk(index))


@pytest.fixture
def file(tmp_path: Path) -> File:
    """A file to send."""
    return File(tmp_path)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty shelf."""
    return Shelf(tmp_path / "in", max_bytes=10_000_000)


def opened(shelf: Shelf, manifest: Manifest) -> Parcel:
    """A parcel on it."""
    return shelf.open(SENDER, manifest)


def test_whole_file_gets_its_name(shelf: Shelf, file: File) -> None:
    """And nothing of it is left below the folder but the note that it has come."""
    parcel = opened(shelf, file.manifest)
    file.give(parcel)

    assert parcel.is_complete
    assert file.data == parcel.finish().read_bytes()
    parcel.close()
    assert [".state"] == [path.suffix for path in (shelf.folder / PARTIAL_FOLDER).iterdir()]
    state = shelf.find(SENDER, file.manifest.id)
    assert state is not None
    assert "evidence.bin" == state.placed


def test_chunks_may_come_in_any_order_and_twice(shelf: Shelf, file: File) -> None:
    """As the mailbox may bring them."""
    parcel = opened(shelf, file.manifest)
    file.give(parcel, until=0)
    for index in [*reversed(range(COUNT)), 0, 5]:
        parcel.put_chunk(index, file.chunk(index))

    assert file.data == parcel.finish().read_bytes()
    parcel.close()


def test_process_that_dies_leaves_what_it_had(shelf: Shelf, file: File) -> None:
    """Nobody closes anything; at most the last chunks have to be sent again."""
    file.give(opened(shelf, file.manifest), until=COUNT - 1)
    again = Shelf(shelf.folder, max_bytes=10_000_000)
    parcel = opened(again, file.manifest)

    assert NOTED_CHUNKS == parcel.state.have
    assert COUNT == parcel.leaves
    file.give(parcel)
    assert file.data == parcel.finish().read_bytes()
    parcel.close()


def test_tampered_chunk_is_refused(shelf: Shelf, file: File) -> None:
    """It is not written, and the right one is taken after it."""
    parcel = opened(shelf, file.manifest)
    file.give(parcel, until=3)
    with pytest.raises(TransferRefused, match="chunk 3 does not have its hash"):
        parcel.put_chunk(3, file.chunk(4))
    with pytest.raises(TransferRefused, match="hash"):
        parcel.put_chunk(3, file.chunk(3)[:-1])

    assert 3 == parcel.state.have
    file.give(parcel)
    assert file.data == parcel.finish().read_bytes()
    parcel.close()


def test_tampered_hashes_are_refused(shelf: Shelf, file: File) -> None:
    """The offer is bound to them; until they are right no chunk is taken."""
    parcel = opened(shelf, file.manifest)
    with pytest.raises(TransferRefused, match="announced"):
        parcel.put_leaves(0, bytes(len(file.leaves)))
    with pytest.raises(TransferRefused, match="out of turn"):
        parcel.put_chunk(0, file.chunk(0))

    file.give(parcel)
    assert parcel.is_complete
    parcel.close()


def test_file_that_changed_on_the_disk_is_not_delivered(shelf: Shelf, file: File) -> None:
    """What lies there is read again before it gets its name; then all of it has to come again."""
    parcel = opened(shelf, file.manifest)
    file.give(parcel)
    next((shelf.folder / PARTIAL_FOLDER).glob("*.part")).write_bytes(b"something else")
    with pytest.raises(TransferRefused, match="on the disk"):
        parcel.finish()

    assert 0 == parcel.state.have
    assert [] == [path for path in shelf.folder.iterdir() if path.is_file()]
    file.give(parcel)
    assert file.data == parcel.finish().read_bytes()
    parcel.close()


def test_nothing_is_overwritten_unless_asked(shelf: Shelf, file: File, tmp_path: Path) -> None:
    """A second file of a name gets a number; with ``overwrite`` it takes the place."""
    (shelf.folder / "evidence.bin").write_text("old")
    parcel = opened(shelf, file.manifest)
    file.give(parcel)
    assert "evidence (1).bin" == parcel.finish().name
    parcel.close()
    assert "old" == (shelf.folder / "evidence.bin").read_text()

    other = File(tmp_path)
    bold = Shelf(shelf.folder, max_bytes=10_000_000, overwrite=True)
    parcel = opened(bold, other.manifest)
    other.give(parcel)
    assert other.data == parcel.finish().read_bytes() == (shelf.folder / "evidence.bin").read_bytes()
    parcel.close()


def test_file_that_was_replaced_is_not_there_any_more(shelf: Shelf, file: File, tmp_path: Path) -> None:
    """Another file of the same name and size took its place: whoever shares the first again has to bring it again."""
    bold = Shelf(shelf.folder, max_bytes=10_000_000, overwrite=True)
    other = File(tmp_path)
    for each in (file, other):
        parcel = opened(bold, each.manifest)
        each.give(parcel)
        parcel.finish()
        parcel.close()

    assert bold.find(SENDER, file.manifest.id) is None
    assert bold.find(SENDER, other.manifest.id) is not None


def test_file_does_not_take_the_place_of_a_folder(shelf: Shelf, file: File) -> None:
    """Not even where files may be overwritten; its sender hears why."""
    bold = Shelf(shelf.folder, max_bytes=10_000_000, overwrite=True)
    (shelf.folder / "evidence.bin").mkdir()
    parcel = opened(bold, file.manifest)
    file.give(parcel)
    with pytest.raises(TransferRefused, match="folder"):
        parcel.finish()
    parcel.close()


def test_file_system_without_links_is_good_enough(
    shelf: Shelf, file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On sticks for cameras and computers, too, files get their names, and nothing is overwritten."""

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    other = File(tmp_path)
    names = []
    for each in (file, other):
        parcel = opened(shelf, each.manifest)
        each.give(parcel)
        names.append(parcel.finish().name)
        parcel.close()

    assert ["evidence.bin", "evidence (1).bin"] == names
    assert [file.data, other.data] == [(shelf.folder / name).read_bytes() for name in names]


def test_folder_that_is_gone_does_not_keep_us_from_closing(shelf: Shelf, file: File) -> None:
    """Whoever removes it while files come loses these, and nothing else breaks."""
    parcel = opened(shelf, file.manifest)
    file.give(parcel, until=3)
    shutil.rmtree(shelf.folder)
    parcel.close()

    assert not shelf.folder.exists()


def test_one_sender_does_not_take_the_room_of_all(shelf: Shelf, file: File) -> None:
    """Beyond its share of files it is refused, and others are not; what is a week old makes room."""
    for number in range(PARTIALS_OF_ONE_MAX):
        opened(shelf, replace(file.manifest, name=str(number))).close()
    with pytest.raises(TransferRefused, match="under way"):
        shelf.check(SENDER, file.manifest)
    shelf.check("did:key:b", file.manifest)
    for path in (shelf.folder / PARTIAL_FOLDER).iterdir():
        os.utime(path, (0, 0))
    shelf.check(SENDER, file.manifest)

    assert [] == list((shelf.folder / PARTIAL_FOLDER).iterdir())


def test_link_in_place_of_a_partial_file_is_not_followed(shelf: Shelf, file: File, tmp_path: Path) -> None:
    """Whoever can write into the folder cannot have us write elsewhere."""
    opened(shelf, file.manifest).close()
    part = next((shelf.folder / PARTIAL_FOLDER).glob("*.part"))
    part.unlink()
    (tmp_path / "victim").write_text("precious")
    part.symlink_to(tmp_path / "victim")

    with pytest.raises(OSError, match="symbolic"):
        opened(shelf, file.manifest)
    assert "precious" == (tmp_path / "victim").read_text()


def test_offer_that_cannot_be_taken_is_refused(shelf: Shelf, file: File) -> None:
    """Too large for us, or for the disk."""
    with pytest.raises(TransferRefused, match="more than"):
        Shelf(shelf.folder, max_bytes=100).check(SENDER, file.manifest)
    huge = Manifest(name="x", size=2**50, sha256="0" * 64, root="0" * 64)
    with pytest.raises(TransferRefused, match=NO_ROOM):
        Shelf(shelf.folder, max_bytes=2**60).check(SENDER, huge)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Have the operating system refuse to let a file grow any further."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_disk_that_is_full_has_a_name(shelf: Shelf, file: File) -> None:
    """It is refused for that reason, and what came before is kept."""
    parcel = opened(shelf, file.manifest)
    file.give(parcel, until=10)
    with largest_file(10 * CHUNK_BYTES), pytest.raises(TransferRefused, match=NO_ROOM):
        parcel.put_chunk(10, file.chunk(10))

    assert 10 == parcel.state.have
    file.give(parcel)
    assert file.data == parcel.finish().read_bytes()
    parcel.close()


def test_what_nobody_went_on_with_is_forgotten(shelf: Shelf, file: File) -> None:
    """After a week, when the folder is used again."""
    opened(shelf, file.manifest).close()
    for path in (shelf.folder / PARTIAL_FOLDER).iterdir():
        os.utime(path, (0, 0))
    Shelf(shelf.folder, max_bytes=1)

    assert [] == list((shelf.folder / PARTIAL_FOLDER).iterdir())
