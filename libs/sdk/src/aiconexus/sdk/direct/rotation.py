"""Fresh keys for every direct connection: each is replaced, make before break, and so many at a time."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.problems import problem_of
from aiconexus.sdk.direct import metrics

if TYPE_CHECKING:
    from aiconexus.sdk.direct.peer import Peer

AT_ONCE = 8
REPLACE_SECONDS = 20.0


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of one peer.

    ``before`` is the session whose keys are dead now if ``problem`` is None or ``closed`` is true; ``after`` the one
    that took its place.
    """

    did: str
    before: str | None
    after: str | None
    seconds: float
    problem: str | None = None
    closed: bool = False


async def rotate(peers: Sequence["Peer"], *, emergency: bool) -> list[Rotation]:
    """Replace the connections of these peers; in an emergency, close those that cannot be replaced."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(peer: "Peer") -> Rotation:
        async with room:
            return await _rotate_one(peer, emergency=emergency)

    return list(await asyncio.gather(*map(one, peers)))


async def _rotate_one(peer: "Peer", *, emergency: bool) -> Rotation:
    loop = asyncio.get_running_loop()
    began, before, problem = loop.time(), peer.session, None
    try:
        async with asyncio.timeout(REPLACE_SECONDS):
            await peer.replace("emergency" if emergency else "rotate")
            await peer.wait_retired(before)
    except TimeoutError:
        problem = "timeout"
    except AiconexusError as error:
        problem = problem_of(error).name
    closed = problem is not None and emergency
    if closed:
        await peer.close("emergency")
    if problem is None:
        metrics.note_rotated()
        peer.note_incident("key_rotated", f"{before} gave way to {peer.session}")
    seconds = loop.time() - began
    return Rotation(did=peer.did, before=before, after=peer.session, seconds=seconds, problem=problem, closed=closed)
