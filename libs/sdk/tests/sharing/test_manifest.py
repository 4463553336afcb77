"""What a file is, before any of it is sent."""

import os
from pathlib import Path

import msgspec
import pytest

from aiconexus.protocol.direct_errors import TransferRefused
from aiconexus.sdk.sharing.manifest import CHUNK_BYTES, LEAF_BYTES, check_name, manifest_of, read
from aiconexus.sdk.sharing.pieces import (
    CHUNK,
    LEAVES,
    Piece,
    Progress,
    args_of,
    frame_of,
    leaves_from,
    piece_of,
    piece_of_args,
)

GOOD = {"name": "a.txt", "size": 5, "sha256": "0" * 64, "root": "f" * 64}


@pytest.mark.parametrize("name", ["a", "report 2.pdf", "Beweis-№1.jpg", "x" * 200])
def test_names_of_files_are_taken(name: str) -> None:
    """Whatever people call their files."""
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "../a",
        "a/b",
        "/etc/passwd",
        "a\\b",
        "..",
        ".hidden",
        "a\0b",
        "a\nb",
        "C:a",
        "a*",
        " a",
        "a ",
        "a.",
        "\u202eexe.txt",
        "\ud800",
        "ü" * 101,
    ],
)
def test_names_that_are_more_than_names_are_refused(name: str) -> None:
    """Paths, hidden files, what a terminal would misread, what another system would."""
    with pytest.raises(TransferRefused):
        check_name(name)


@pytest.mark.parametrize(
    "wrong", [{"size": -1}, {"size": "5"}, {"sha256": "0"}, {"root": "g" * 64}, {"name": ""}, {"name": "../a"}], ids=str
)
def test_manifest_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    """Nothing of it is believed before."""
    assert 5 == manifest_of(GOOD).size
    with pytest.raises(TransferRefused):
        manifest_of(GOOD | wrong)


def test_id_is_that_of_the_content_and_the_name() -> None:
    """The same file is the same share; under another name it is another."""
    assert manifest_of(GOOD).id == manifest_of(dict(GOOD)).id
    assert 2 == len({manifest_of(GOOD | other).id for other in ({}, {"name": "b"})})


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_hash_of_each_chunk(tmp_path: Path, size: int) -> None:
    """One for each, the last one for what is left."""
    (tmp_path / "file").write_bytes(bytes(size))
    manifest, leaves = read(tmp_path / "file", "file")

    assert manifest.count == len(leaves) // LEAF_BYTES
    assert size == sum(manifest.length_of(index) for index in range(manifest.count))


@pytest.mark.parametrize("piece", [Piece(CHUNK, 7, b"x"), Piece(LEAVES, 0, b"")])
def test_both_roads_carry_the_same_pieces(piece: Piece) -> None:
    """What went in comes out."""
    assert piece == piece_of(frame_of(piece))
    assert piece == piece_of_args(args_of("id", piece))


def test_what_is_no_piece_is_refused() -> None:
    """Whichever way it comes."""
    for frame in ("text", b"", b"\1"):
        with pytest.raises(TransferRefused):
            piece_of(frame)
    for args in ({}, {"kind": 1, "index": 0, "data": "?"}, {"kind": "1", "index": 0, "data": ""}):
        with pytest.raises(TransferRefused):
            piece_of_args(args)


def test_hashes_go_on_where_the_recipient_is() -> None:
    """In pieces that fit into an envelope."""
    leaves = bytes(3000 * LEAF_BYTES)
    pieces = list(leaves_from(leaves, 1000))

    assert [1000, 2024] == [piece.index for piece in pieces]
    assert 2000 * LEAF_BYTES == sum(len(piece.data) for piece in pieces)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_no_file(tmp_path: Path, kind: str) -> None:
    """It is said at once instead of waiting for what nobody writes, or reading for ever."""
    path = Path("/dev/zero") if kind == "device" else tmp_path / "pipe"
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(OSError, match="no regular file"):
        read(path, "evidence")


@pytest.mark.parametrize("wrong", [{"have": -1}, {"leaves": -1}], ids=str)
def test_progress_below_nothing_is_none(wrong: dict[str, int]) -> None:
    """A recipient cannot have us read before the beginning of a file."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Progress)
