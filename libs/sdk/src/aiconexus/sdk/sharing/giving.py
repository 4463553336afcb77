"""The sending side: offers a file, brings across what the recipient does not have, and asks whether it is whole."""

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.direct_errors import ChannelClosed, TransferRefused
from aiconexus.protocol.errors import AiconexusError, Refused
from aiconexus.sdk.sharing.manifest import CHUNK_BYTES, LEAF_BYTES, Manifest, check_name, leaf_of, read
from aiconexus.sdk.sharing.pieces import (
    CHUNK,
    COMPLETE,
    OFFER,
    PIECE,
    PROTOCOL,
    Piece,
    Progress,
    args_of,
    frame_of,
    leaves_from,
)

if TYPE_CHECKING:
    from aiconexus.sdk.direct.channel import Channel
    from aiconexus.sdk.direct.peer import Peer

WINDOW = 8
"""Pieces on their way through the mailbox at a time."""
OFFER_SECONDS = 120.0
PIECE_SECONDS = 30.0
CONNECT_SECONDS = 10.0
LOOK_SECONDS = 0.25
TRIES_WITHOUT_PROGRESS = 3


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """A file that its recipient has as a whole, and said so."""

    name: str
    """What it is called there."""
    size: int
    sha256: str
    road: str
    """Which way its last pieces went: ``direct``, ``turn`` or ``relay``."""
    seconds: float
    resumed_bytes: int
    """What the recipient had when we began."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file is; ``done`` are bytes that the recipient has and that have their hashes."""

    done: int
    total: int
    road: str


OnStep = Callable[[Step], Any]


class Speaker(Protocol):
    """What is needed of an agent."""

    async def call(self, did: str, *, capability: str, args: dict[str, Any], timeout: float) -> Any:  # noqa: ASYNC109
        """Call another agent."""

    async def connect_to(self, did: str, *, timeout: float) -> "Peer":  # noqa: ASYNC109
        """Connect directly."""

    def peer(self, did: str) -> "Peer | None":
        """Who is connected."""


class Giving:
    """
    One file on its way to one agent.

    Args:
        agent: Whose.
        path: The file.
        did: To whom.
        name: What it is to be called.
        on_step: Told how far it is.
        direct: Whether to try for a direct connection.
        stall_seconds: A channel through which nothing comes for so long is left; the mailbox may do.

    """

    def __init__(
        self,
        agent: Speaker,
        path: Path,
        did: str,
        *,
        name: str | None,
        on_step: OnStep | None,
        direct: bool,
        stall_seconds: float,
    ) -> None:
        self._agent = agent
        self._path = path
        self._did = did
        self._name = path.name if name is None else name
        self._on_step = on_step
        self._direct = direct
        self._stall_seconds = stall_seconds
        self._leaves = b""
        self._manifest: Manifest
        self._road = "relay"
        self._done = 0

    async def run(self) -> Shared:
        """
        Bring it across.

        Raises:
            OSError: If the file cannot be read.
            TransferRefused: If the recipient does not take it, or the file changes under way.
            RemoteProblem: If the recipient is unknown, or takes no files.
            NotAcknowledged: If the recipient is not there.

        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        check_name(self._name)
        self._manifest, self._leaves = await self._read()
        progress = await self._ask(OFFER, OFFER_SECONDS)
        resumed = progress.have * CHUNK_BYTES
        idle = 0
        while progress.name is None:
            before, self._done = progress.leaves + progress.have, min(progress.have, self._manifest.count)
            if self._direct and not idle and self._peer() is None:
                await self._connect()
            await self._pour(progress, use_mail=idle > 0)
            progress = await self._ask(COMPLETE if self._done == self._manifest.count else OFFER, OFFER_SECONDS)
            idle = 0 if progress.leaves + progress.have > before else idle + 1
            if idle > TRIES_WITHOUT_PROGRESS:
                raise TransferRefused(self._name, "the recipient gets nothing of what is sent")
        self._tell(self._manifest.count)
        return Shared(
            name=progress.name,
            size=self._manifest.size,
            sha256=self._manifest.sha256,
            road=self._road,
            seconds=loop.time() - began,
            resumed_bytes=min(resumed, self._manifest.size),
        )

    async def _read(self) -> tuple[Manifest, bytes]:
        stop = threading.Event()
        try:
            return await asyncio.to_thread(read, self._path, self._name, stop.is_set)
        finally:
            stop.set()

    async def _ask(self, capability: str, seconds: float) -> Progress:
        manifest = msgspec.to_builtins(self._manifest)
        args = {"manifest": manifest} if capability == OFFER else {"share": self._manifest.id}
        return self._heard(await self._agent.call(self._did, capability=capability, args=args, timeout=seconds))

    async def _connect(self) -> None:
        """A direct connection is quicker, but nobody needs it."""
        with contextlib.suppress(AiconexusError, TimeoutError):
            await self._agent.connect_to(self._did, timeout=CONNECT_SECONDS)

    def _peer(self) -> "Peer | None":
        peer = self._agent.peer(self._did)
        return peer if peer is not None and peer.state == "connected" else None

    async def _pour(self, progress: Progress, *, use_mail: bool) -> None:
        """Send what is missing, the best way there is; whatever ends it early is tried again."""
        peer = None if use_mail else self._peer()
        with self._path.open("rb") as file:
            pieces = self._pieces(file.fileno(), progress)
            if peer is None:
                self._road = "relay"
                await self._pour_mail(pieces, use_mail=use_mail)
                return
            self._road = peer.road
            with contextlib.suppress(ChannelClosed, Refused, TimeoutError):
                label = f"share {self._manifest.id[:8]} {secrets.token_hex(4)}"
                await self._pour_channel(peer, label, pieces)

    def _pieces(self, file: int, progress: Progress) -> Iterator[Piece]:
        yield from leaves_from(self._leaves, progress.leaves)
        for index in range(progress.have, self._manifest.count):
            chunk = os.pread(file, self._manifest.length_of(index), index * CHUNK_BYTES)
            if leaf_of(chunk) != self._leaves[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]:
                raise TransferRefused(self._name, "the file has changed meanwhile")
            yield Piece(CHUNK, index, chunk)

    # Through a channel

    async def _pour_channel(self, peer: "Peer", label: str, pieces: Iterator[Piece]) -> None:
        from aiconexus.sdk.direct.channel_config import DataChannelConfig, Priority  # noqa: PLC0415 - only then

        channel = await peer.open_channel(label, DataChannelConfig(protocol=PROTOCOL, priority=Priority.LOW))
        moved = asyncio.Event()
        hearing = asyncio.create_task(self._hear(channel, moved))
        others = (asyncio.create_task(self._send_all(channel, pieces, moved)), asyncio.create_task(_lost(peer)))
        try:
            await asyncio.wait({hearing, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in (hearing, *others):
                if task.done():
                    task.result()
        finally:
            for task in (hearing, *others):
                task.cancel()
            await asyncio.gather(hearing, *others, return_exceptions=True)
            with contextlib.suppress(ChannelClosed):
                await channel.close(timeout=1.0 if peer.state == "connected" else 0.0)

    async def _send_all(self, channel: "Channel", pieces: Iterator[Piece], moved: asyncio.Event) -> None:
        """Send all pieces, and wait until the recipient has them, as long as anything moves."""
        await channel.send(self._manifest.id)
        for piece in pieces:
            async with asyncio.timeout(self._stall_seconds):
                await channel.send(frame_of(piece))
        while self._done < self._manifest.count:
            moved.clear()
            async with asyncio.timeout(self._stall_seconds):
                await moved.wait()

    async def _hear(self, channel: "Channel", moved: asyncio.Event) -> None:
        """Follow what the recipient says of its progress."""
        async for message in channel:
            self._heard(_progress_of(message))
            moved.set()

    # Through the mailbox

    async def _pour_mail(self, pieces: Iterator[Piece], *, use_mail: bool) -> None:
        """A few pieces at a time, until all are there or there is a better way."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            for piece in pieces:
                tasks.add(asyncio.create_task(self._mail(piece)))
                if len(tasks) >= WINDOW or piece.kind != CHUNK:
                    tasks = await _some(tasks)
                if not use_mail and self._peer() is not None:
                    break
            while tasks:
                tasks = await _some(tasks)
        except NotAcknowledged:
            return  # the recipient is away; it says what it has when it is back
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _mail(self, piece: Piece) -> None:
        args = args_of(self._manifest.id, piece)
        self._heard(await self._agent.call(self._did, capability=PIECE, args=args, timeout=PIECE_SECONDS))

    # What the recipient says

    def _heard(self, answer: Any) -> Progress:
        try:
            progress = msgspec.convert(answer, Progress)
        except msgspec.ValidationError as error:
            raise TransferRefused(self._name, "the recipient does not understand") from error
        if progress.refused is not None:
            raise TransferRefused(self._name, progress.refused)
        self._tell(min(progress.have, self._manifest.count))
        return progress

    def _tell(self, have: int) -> None:
        self._done = max(self._done, have)
        if self._on_step is not None:
            total = self._manifest.size
            self._on_step(Step(done=min(have * CHUNK_BYTES, total), total=total, road=self._road))


async def _some(tasks: "set[asyncio.Task[None]]") -> "set[asyncio.Task[None]]":
    """Wait for some of them; what one raises is raised here."""
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return pending


async def _lost(peer: "Peer") -> None:
    """Wait until there is no connection any more; the mailbox tells sooner when the recipient is back."""
    while peer.state == "connected":  # noqa: ASYNC110 - callbacks of a peer cannot be taken back
        await asyncio.sleep(LOOK_SECONDS)


def _progress_of(message: bytes | str) -> Any:
    try:
        return msgspec.json.decode(message)
    except msgspec.DecodeError:
        return None
