"""Fresh keys for every direct connection: each is replaced, make before break, and so many at a time."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.problems import problem_of

if TYPE_CHECKING:
    from aiconexus.sdk.direct.relation import Relation

AT_ONCE = 8
REPLACE_SECONDS = 20.0


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of one relation.

    ``before`` is the session whose keys are dead now if ``problem`` is None or ``closed`` is true; ``after`` the one
    that took its place.
    """

    did: str
    before: str | None
    after: str | None
    seconds: float
    problem: str | None = None
    closed: bool = False


async def rotate(peers: Sequence["Relation"], *, emergency: bool) -> list[Rotation]:
    """Replace the connections of these peers; in an emergency, close those that cannot be replaced."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(relation: "Relation") -> Rotation:
        async with room:
            return await _rotate_one(relation, emergency=emergency)

    return list(await asyncio.gather(*map(one, peers)))


async def _rotate_one(relation: "Relation", *, emergency: bool) -> Rotation:
    loop = asyncio.get_running_loop()
    began, before, problem = loop.time(), relation.session, None
    try:
        async with asyncio.timeout(REPLACE_SECONDS):
            await relation.replace("emergency" if emergency else "rotate")
            await relation.wait_retired(before)
    except TimeoutError:
        problem = "timeout"
    except AiconexusError as error:
        problem = problem_of(error).name
    closed = problem is not None and emergency
    if closed:
        await relation.close("emergency")
    seconds = loop.time() - began
    return Rotation(
        did=relation.did, before=before, after=relation.session, seconds=seconds, problem=problem, closed=closed
    )
