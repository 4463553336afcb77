"""Files from agent to agent: through a channel and through the mailbox, over deaths of either side."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.direct_agents import connected
from tests.integration.sdk_agents import SECONDS, Host

from aiconexus.protocol.direct_errors import TransferRefused
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.sdk import Agent, Direct
from aiconexus.sdk.direct.channel_config import DataChannelConfig
from aiconexus.sdk.sharing.giving import Step
from aiconexus.sdk.sharing.manifest import CHUNK_BYTES, read
from aiconexus.sdk.sharing.pieces import (
    CHUNK,
    COMPLETE,
    LEAVES,
    OFFER,
    PIECE,
    PROTOCOL,
    Piece,
    args_of,
    frame_of,
)
from aiconexus.sdk.sharing.taking import Offered, ReceivedFile

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
NO_DIRECT = Direct(enabled=False)


def file_of(folder: Path, size: int, name: str = "evidence.bin") -> Path:
    """A file of chance."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


class Inbox:
    """An agent that takes files."""

    def __init__(self, agent: Agent, folder: Path, **options: object) -> None:
        self.agent = agent
        self.folder = folder
        self.files: asyncio.Queue[ReceivedFile] = asyncio.Queue()
        agent.receive_files(folder, **options)  # type: ignore[arg-type]
        agent.on_file(self.files.put_nowait)


async def test_file_comes_through_a_channel(host: Host, tmp_path: Path) -> None:
    """50 MB arrive as they are, through the direct connection that there is, and the progress ends at the whole."""
    path = file_of(tmp_path / "out", 50 * MIB)
    bob = Inbox(host.make(), tmp_path / "in")
    alice = await host.open(host.make())
    await host.open(bob.agent)
    await connected(alice, bob.agent)
    steps: list[Step] = []
    async with asyncio.timeout(120):
        shared = await alice.share(path, bob.agent.did, progress=steps.append)
        file = await bob.files.get()

    assert ("direct", 50 * MIB, "evidence.bin", 0) == (shared.road, shared.size, shared.name, shared.resumed_bytes)
    assert path.read_bytes() == file.path.read_bytes()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256 == shared.sha256
    assert alice.did == file.sender
    assert 50 * MIB == steps[-1].done == steps[-1].total
    assert [step.done for step in steps] == sorted(step.done for step in steps)


async def test_file_comes_through_the_mailbox(host: Host, tmp_path: Path) -> None:
    """Without a direct connection pieces go through the mailbox, few at a time."""
    path = file_of(tmp_path / "out", 2 * MIB + 12_345)
    bob = Inbox(host.make(direct=NO_DIRECT), tmp_path / "in")
    alice = await host.open(host.make("text", direct=NO_DIRECT))
    await host.open(bob.agent)
    async with asyncio.timeout(60):
        shared = await alice.share(path, bob.agent.did)

    assert "relay" == shared.road
    assert path.read_bytes() == (await bob.files.get()).path.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1])
async def test_small_files(host: Host, tmp_path: Path, size: int) -> None:
    """Empty ones, and those that end at the end of a chunk."""
    path = file_of(tmp_path / "out", size)
    bob = Inbox(host.make(), tmp_path / "in")
    alice = await host.open(host.make())
    await host.open(bob.agent)
    async with asyncio.timeout(SECONDS):
        await alice.share(path, bob.agent.did, direct=False)

    assert path.read_bytes() == (await bob.files.get()).path.read_bytes()


async def test_same_file_again_is_there_already(host: Host, tmp_path: Path) -> None:
    """Nothing is sent twice, and another file of the same name does not take its place."""
    path = file_of(tmp_path / "out", 100_000)
    bob = Inbox(host.make(), tmp_path / "in")
    alice = await host.open(host.make())
    await host.open(bob.agent)
    async with asyncio.timeout(SECONDS):
        await alice.share(path, bob.agent.did, direct=False)
        again = await alice.share(path, bob.agent.did, direct=False)
        other = file_of(tmp_path / "out", 100_000)
        third = await alice.share(other, bob.agent.did, direct=False)

    assert ("evidence.bin", 100_000) == (again.name, again.resumed_bytes)
    assert "evidence (1).bin" == third.name
    assert other.read_bytes() == (tmp_path / "in" / third.name).read_bytes()


async def test_refusals_are_told(host: Host, tmp_path: Path) -> None:
    """Too large, not wanted, a name that is a path, an agent that takes no files."""
    path = file_of(tmp_path / "out", 10_000)
    offers: list[Offered] = []

    async def accept(offered: Offered) -> bool:
        offers.append(offered)
        return offered.name != "spam"

    bob = Inbox(host.make(), tmp_path / "in", accept=accept, max_bytes=20_000)
    alice = host.make()
    alice.on("MESSAGE")(print)
    await host.open(alice)
    await host.open(bob.agent)
    large = file_of(tmp_path / "out", 20_001, "large")
    async with asyncio.timeout(SECONDS):
        with pytest.raises(TransferRefused, match="more than"):
            await alice.share(large, bob.agent.did, direct=False)
        with pytest.raises(TransferRefused, match="want"):
            await alice.share(path, bob.agent.did, name="spam", direct=False)
        with pytest.raises(TransferRefused, match="name"):
            await alice.share(path, bob.agent.did, name="../evidence", direct=False)
        with pytest.raises(RemoteProblem):
            await bob.agent.share(path, alice.did, direct=False)

    assert [(alice.did, "spam", 10_000)] == [(each.sender, each.name, each.size) for each in offers]
    assert [] == [each for each in (tmp_path / "in").iterdir() if each.is_file()]


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "mailbox"])
async def test_recipient_that_is_started_anew_goes_on(host: Host, tmp_path: Path, direct: bool) -> None:
    """What it had of a file when it was closed is not sent again."""
    path = file_of(tmp_path / "out", 20 * MIB if direct else 4 * MIB)
    folder = tmp_path / "in"
    bob = Inbox(host.make(label="bob"), folder)
    alice = await host.open(host.make())
    await host.open(bob.agent)
    if direct:
        await connected(alice, bob.agent)
    halfway = asyncio.Event()

    def note(step: Step) -> None:
        if step.done > step.total // 4:
            halfway.set()

    sharing = asyncio.create_task(alice.share(path, bob.agent.did, progress=note, direct=False))
    async with asyncio.timeout(120):
        await halfway.wait()
        await bob.agent.close()
        anew = Inbox(host.make(label="bob"), folder)
        await host.open(anew.agent)
        shared = await sharing
        file = await anew.files.get()

    assert path.read_bytes() == file.path.read_bytes()
    assert shared.size == file.size


async def test_sender_that_is_started_anew_goes_on(host: Host, tmp_path: Path) -> None:
    """It remembers nothing; the recipient does."""
    path = file_of(tmp_path / "out", 4 * MIB)
    bob = Inbox(host.make(), tmp_path / "in")
    await host.open(bob.agent)
    alice = await host.open(host.make(label="alice"))
    halfway = asyncio.Event()

    def note(step: Step) -> None:
        if step.done > step.total // 4:
            halfway.set()

    sharing = asyncio.create_task(alice.share(path, bob.agent.did, progress=note, direct=False))
    async with asyncio.timeout(60):
        await halfway.wait()
        sharing.cancel()
        await asyncio.wait({sharing})
        await alice.close()
        anew = await host.open(host.make(label="alice"))
        shared = await anew.share(path, bob.agent.did, direct=False)

    assert shared.resumed_bytes >= MIB
    assert path.read_bytes() == (await bob.files.get()).path.read_bytes()


def tampered(chunk: bytes) -> bytes:
    """The same chunk with one bit flipped."""
    return bytes([chunk[0] ^ 1]) + chunk[1:]


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "mailbox"])
async def test_tampered_chunk_is_refused(host: Host, tmp_path: Path, direct: bool) -> None:
    """Whichever way it comes it is not written, its sender is told, and the right one completes the file."""
    path = file_of(tmp_path / "out", 100_000)
    bob = Inbox(host.make(), tmp_path / "in")
    alice = await host.open(host.make())
    await host.open(bob.agent)
    manifest, leaves = read(path, path.name)
    wrong = Piece(CHUNK, 0, tampered(path.read_bytes()[:CHUNK_BYTES]))
    hashes = Piece(LEAVES, 0, leaves)
    async with asyncio.timeout(SECONDS):
        await alice.call(bob.agent.did, capability=OFFER, args={"manifest": msgspec.to_builtins(manifest)})
        if direct:
            peer, _ = await connected(alice, bob.agent)
            channel = await peer.open_channel("share", DataChannelConfig(protocol=PROTOCOL))
            await channel.send(manifest.id)
            await channel.send(frame_of(hashes))
            await channel.send(frame_of(wrong))
            answer = msgspec.json.decode(await channel.receive())
        else:
            await alice.call(bob.agent.did, capability=PIECE, args=args_of(manifest.id, hashes))
            answer = await alice.call(bob.agent.did, capability=PIECE, args=args_of(manifest.id, wrong))
        shared = await alice.share(path, bob.agent.did, direct=False)

    assert "chunk 0 does not have its hash" == answer["refused"]
    assert path.read_bytes() == (tmp_path / "in" / shared.name).read_bytes()


async def test_hostile_offers_are_refused(host: Host, tmp_path: Path) -> None:
    """A name that leads elsewhere, hashes of another file, pieces of a share that was never offered."""
    path = file_of(tmp_path / "out", 100_000)
    bob = Inbox(host.make(), tmp_path / "in")
    alice = await host.open(host.make())
    await host.open(bob.agent)
    manifest, leaves = read(path, path.name)
    fields = msgspec.to_builtins(manifest)
    other = Piece(LEAVES, 0, bytes(len(leaves)))

    async def ask(capability: str, args: dict[str, Any]) -> str:
        answer = await alice.call(bob.agent.did, capability=capability, args=args)
        return str(answer["refused"])

    async with asyncio.timeout(SECONDS):
        assert "no name" in await ask(OFFER, {"manifest": fields | {"name": "../../evidence"}})
        assert "no manifest" in await ask(OFFER, {"manifest": fields | {"size": -1}})
        assert "not offered" in await ask(PIECE, args_of(manifest.id, other))
        assert "not offered" in await ask(COMPLETE, {"share": manifest.id})
        await alice.call(bob.agent.did, capability=OFFER, args={"manifest": fields})
        assert "not those that were announced" in await ask(PIECE, args_of(manifest.id, other))
        assert "no piece" in await ask(PIECE, {"share": manifest.id, "data": "?"})
