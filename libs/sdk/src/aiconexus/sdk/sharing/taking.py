"""The receiving side: says yes or no to offers, takes pieces, and tells the application of whole files."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from aiconexus.protocol.direct_errors import ChannelClosed, TransferRefused
from aiconexus.sdk.executions import Call
from aiconexus.sdk.handlers import Handler, Handlers, Interrupted
from aiconexus.sdk.notices import Notices
from aiconexus.sdk.sharing.manifest import Manifest, manifest_of
from aiconexus.sdk.sharing.pieces import (
    COMPLETE,
    LEAVES,
    OFFER,
    PIECE,
    PROTOCOL,
    Piece,
    Progress,
    piece_of,
    piece_of_args,
)
from aiconexus.sdk.sharing.shelf import Parcel, Shelf

if TYPE_CHECKING:
    from aiconexus.sdk.direct.channel import Channel
    from aiconexus.sdk.direct.peer import Peer

MAX_BYTES = 4 * 1024**3
OPEN_MAX = 16
"""Files that come at a time."""
TOLD_CHUNKS = 32
"""The sender hears after so many chunks how far we are."""
CANNOT_WRITE = "the recipient cannot write it down"


class ReceivedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that has come as a whole."""

    sender: str
    path: Path
    name: str
    """What its sender calls it; ``path`` may have another name if that was taken."""
    size: int
    sha256: str


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """A file that somebody wants to send."""

    sender: str
    name: str
    size: int
    sha256: str


Accept = Callable[[Offered], Any]
OnFile = Callable[[ReceivedFile], Any]


class Taking:
    """
    Takes files into a folder.

    Args:
        shelf: The folder.
        accept: Says of each offer whether it is taken, at once or as a coroutine; None takes all.
        on_file: Told of each file that is whole.
        idle_seconds: A file of which nothing came for so long makes room for another.
        wait_seconds: A sender that asks whether all is there is answered when nothing came for so long.

    """

    def __init__(
        self,
        shelf: Shelf,
        accept: Accept | None,
        on_file: Callable[[ReceivedFile], None],
        *,
        idle_seconds: float,
        wait_seconds: float,
    ) -> None:
        self._shelf = shelf
        self._accept = accept
        self._on_file = on_file
        self._idle_seconds = idle_seconds
        self._wait_seconds = wait_seconds
        self._parcels: dict[tuple[str, str], Parcel] = {}
        self._finishing: dict[tuple[str, str], asyncio.Task[Progress]] = {}
        self._came = asyncio.Event()
        self._came_at: dict[tuple[str, str], float] = {}
        self._on_error: Callable[[Exception], None]
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, handlers: Handlers, notices: Notices) -> None:
        """Answer calls, and read channels, of whoever sends files."""
        for name, function in ((OFFER, self.offer), (PIECE, self.piece), (COMPLETE, self.complete)):
            handlers.add_capability(name, Handler(function, Interrupted.RERUN))
        notices.on_peer(self._note_peer)
        self._on_error = notices.error

    async def offer(self, args: dict[str, Any], call: Call) -> dict[str, Any]:
        """Somebody wants to send a file, or to go on."""
        try:
            return _answer(await self._open(call.sender, manifest_of(args.get("manifest"))))
        except TransferRefused as error:
            return _answer(Progress(refused=error.reason))

    async def piece(self, args: dict[str, Any], call: Call) -> dict[str, Any]:
        """A piece came through the mailbox."""
        try:
            parcel = self._parcel(call.sender, str(args.get("share")))
            self._put(parcel, piece_of_args(args))
            return _answer(_progress_of(parcel))
        except TransferRefused as error:
            return _answer(Progress(refused=error.reason))

    async def complete(self, args: dict[str, Any], call: Call) -> dict[str, Any]:
        """The sender has sent all: it is answered when all is there, or nothing more comes."""
        key = call.sender, str(args.get("share"))
        try:
            while (whole := self._whole(*key)) is None:
                parcel = self._parcel(*key)
                if parcel.is_complete:
                    return _answer(await self._finish(key, parcel))
                if not await self._wait(key, parcel):
                    return _answer(_progress_of(parcel))
            return _answer(whole)
        except TransferRefused as error:
            return _answer(Progress(refused=error.reason))

    def close(self) -> None:
        """Leave what is not whole for another time."""
        for task in self._tasks:
            task.cancel()
        for key in tuple(self._parcels):
            self._lay_down(key)

    async def _open(self, sender: str, manifest: Manifest) -> Progress:
        key = sender, manifest.id
        if (parcel := self._parcels.get(key)) is not None:
            return _progress_of(parcel)
        if (whole := self._whole(*key)) is not None:
            return whole
        if self._shelf.find(*key) is None:
            self._shelf.check(sender, manifest)
            if not await self._is_accepted(sender, manifest):
                raise TransferRefused(manifest.name, "the recipient does not want it")
        return _progress_of(self._begin(sender, manifest))

    def _whole(self, sender: str, share: str) -> Progress | None:
        """What the sender hears of a file that is there already."""
        known = None if (sender, share) in self._parcels else self._shelf.find(sender, share)
        if known is None or known.placed is None:
            return None
        return Progress(leaves=known.manifest.count, have=known.manifest.count, name=known.placed)

    def _begin(self, sender: str, manifest: Manifest) -> Parcel:
        key = sender, manifest.id
        if key not in self._parcels:
            if len(self._parcels) >= OPEN_MAX and not self._lay_down_idle():
                raise TransferRefused(manifest.name, "too many files come at once")
            self._parcels[key] = self._shelf.open(sender, manifest)
            self._came_at[key] = asyncio.get_running_loop().time()
        return self._parcels[key]

    def _lay_down_idle(self) -> bool:
        """Close the file of which nothing came for the longest time; returns whether one was idle long enough."""
        oldest = min(self._came_at.keys() - self._finishing.keys(), key=self._came_at.__getitem__, default=None)
        if oldest is None or self._came_at[oldest] > asyncio.get_running_loop().time() - self._idle_seconds:
            return False
        self._lay_down(oldest)
        return True

    def _lay_down(self, key: tuple[str, str]) -> None:
        del self._came_at[key]
        self._parcels.pop(key).close()

    async def _is_accepted(self, sender: str, manifest: Manifest) -> bool:
        if self._accept is None:
            return True
        offered = Offered(sender=sender, name=manifest.name, size=manifest.size, sha256=manifest.sha256)
        answer = self._accept(offered)
        return bool(await answer if inspect.isawaitable(answer) else answer)

    def _parcel(self, sender: str, share: str) -> Parcel:
        """A file that was accepted, by this process or one before."""
        parcel = self._parcels.get((sender, share))
        if parcel is not None:
            return parcel
        known = self._shelf.find(sender, share)
        if known is None or known.placed is not None:
            raise TransferRefused("", "it was not offered")
        return self._begin(sender, known.manifest)

    def _put(self, parcel: Parcel, piece: Piece) -> None:
        before = parcel.leaves, parcel.state.have
        if piece.kind == LEAVES:
            parcel.put_leaves(piece.index, piece.data)
        else:
            parcel.put_chunk(piece.index, piece.data)
        if before != (parcel.leaves, parcel.state.have):
            self._came_at[parcel.state.sender, parcel.manifest.id] = asyncio.get_running_loop().time()
        self._came.set()

    async def _wait(self, key: tuple[str, str], parcel: Parcel) -> bool:
        """Wait for more of a file to come; returns whether it did."""
        before = _progress_of(parcel)
        try:
            async with asyncio.timeout(self._wait_seconds):
                while self._parcels.get(key) is parcel and _progress_of(parcel) == before:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            return False
        return True

    async def _finish(self, key: tuple[str, str], parcel: Parcel) -> Progress:
        if key not in self._finishing:
            self._finishing[key] = asyncio.create_task(self._place(key, parcel))
        return await asyncio.shield(self._finishing[key])

    async def _place(self, key: tuple[str, str], parcel: Parcel) -> Progress:
        """Check it as a whole, and give it to the application."""
        try:
            path = await asyncio.to_thread(parcel.finish)
        finally:
            del self._finishing[key]
            if self._parcels.get(key) is parcel:
                self._lay_down(key)
            self._came.set()
        manifest = parcel.manifest
        self._on_file(
            ReceivedFile(sender=key[0], path=path, name=manifest.name, size=manifest.size, sha256=manifest.sha256)
        )
        return Progress(leaves=manifest.count, have=manifest.count, name=path.name)

    # Channels

    def _note_peer(self, peer: "Peer") -> None:
        def note(channel: "Channel") -> None:
            if channel.config.protocol == PROTOCOL:
                task = asyncio.create_task(self._read(peer.did, channel), name="share")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        peer.on_channel(note)

    async def _read(self, sender: str, channel: "Channel") -> None:
        """Take the pieces of one file, after its id."""
        try:
            share, told = str(await channel.receive()), -1
            self._parcel(sender, share)
            async for message in channel:
                if self._whole(sender, share) is not None:
                    return  # it came another way meanwhile
                parcel = self._parcel(sender, share)
                self._put(parcel, piece_of(message))
                have = parcel.state.have
                if have - told >= TOLD_CHUNKS or parcel.is_complete:
                    told = have
                    await channel.send(_text(_progress_of(parcel)))
        except TransferRefused as error:
            await self._refuse(channel, error)
        except OSError as error:
            self._on_error(error)
            await self._refuse(channel, TransferRefused("", CANNOT_WRITE))
        except ChannelClosed:
            return  # the sender will go on

    async def _refuse(self, channel: "Channel", error: TransferRefused) -> None:
        try:
            await channel.send(_text(Progress(refused=error.reason)))
            await channel.close()
        except ChannelClosed:
            return


def _progress_of(parcel: Parcel) -> Progress:
    return Progress(leaves=parcel.leaves, have=parcel.state.have)


def _answer(progress: Progress) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(progress)
    return found


def _text(progress: Progress) -> str:
    return msgspec.json.encode(progress).decode()
