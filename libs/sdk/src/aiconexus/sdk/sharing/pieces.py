"""The pieces of a file as both roads carry them: hashes first, then chunks."""

import base64
import binascii
import struct
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aiconexus.protocol.direct_errors import TransferRefused
from aiconexus.sdk.sharing.manifest import CHUNK_BYTES, LEAF_BYTES

OFFER = "aiconexus.share.offer"
PIECE = "aiconexus.share.piece"
COMPLETE = "aiconexus.share.complete"
CAPABILITIES = (OFFER, PIECE, COMPLETE)
PROTOCOL = "aiconexus.share.v1"
"""What is spoken in the data channel: pieces one way, ``Progress`` as JSON text the other way."""

LEAVES, CHUNK = 0, 1
LEAVES_IN_PIECE = CHUNK_BYTES // LEAF_BYTES
_HEAD = struct.Struct("!BQ")


class Piece(msgspec.Struct, frozen=True):
    """Some hashes, or a chunk; ``index`` is that of the first."""

    kind: int
    index: int
    data: bytes


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the recipient is; ``refused`` says why it does not go on."""

    leaves: Annotated[int, Meta(ge=0)] = 0
    have: Annotated[int, Meta(ge=0)] = 0
    name: str | None = None
    """What the file is called there, once it is whole."""
    refused: str | None = None


def frame_of(piece: Piece) -> bytes:
    """A piece as a message of a data channel."""
    return _HEAD.pack(piece.kind, piece.index) + piece.data


def piece_of(frame: bytes | str) -> Piece:
    """
    Read a message of a data channel.

    Raises:
        TransferRefused: If it is no piece.

    """
    if isinstance(frame, str) or len(frame) < _HEAD.size:
        raise TransferRefused("", "no piece")
    kind, index = _HEAD.unpack_from(frame)
    return Piece(kind, index, frame[_HEAD.size :])


def args_of(share: str, piece: Piece) -> dict[str, Any]:
    """A piece as the arguments of a call, which every codec can carry."""
    return {"share": share, "kind": piece.kind, "index": piece.index, "data": base64.b64encode(piece.data).decode()}


def piece_of_args(args: dict[str, Any]) -> Piece:
    """
    Read the arguments of a call.

    Raises:
        TransferRefused: If they are no piece.

    """
    match args:
        case {"kind": int(kind), "index": int(index), "data": str(data)}:
            try:
                return Piece(kind, index, base64.b64decode(data, validate=True))
            except binascii.Error as error:
                raise TransferRefused("", "no piece") from error
    raise TransferRefused("", "no piece")


def leaves_from(leaves: bytes, known: int) -> Iterator[Piece]:
    """The hashes that the recipient does not know."""
    for index in range(known, len(leaves) // LEAF_BYTES, LEAVES_IN_PIECE):
        yield Piece(LEAVES, index, leaves[index * LEAF_BYTES : (index + LEAVES_IN_PIECE) * LEAF_BYTES])
