"""A key that was revoked does not stay, whatever its owner's peer does not hear."""

import asyncio
from collections.abc import Sequence
from typing import cast

from aiconexus.protocol.bodies import AgentCard
from aiconexus.sdk.direct.peers import Peers
from aiconexus.sdk.direct.vetting import vet

SECONDS = 5.0
REVOKED = ("did:key:a", "did:key:b", "did:key:c")
HONEST = "did:key:d"


class Relation:
    """One that is connected, and whose leave nobody ever hears."""

    def __init__(self) -> None:
        self.current = self
        self.noted: list[str] = []
        self.left = asyncio.Event()

    def note_incident(self, event: str, _: str) -> None:
        """Keep it for the test."""
        self.noted.append(event)

    async def close(self, _: str) -> None:
        """Take for ever."""
        self.left.set()
        await asyncio.Event().wait()


class Table:
    """The peers of one agent."""

    def __init__(self) -> None:
        self.relations = {did: Relation() for did in (*REVOKED, HONEST)}


async def resolve(dids: Sequence[str]) -> dict[str, AgentCard]:
    """What the registry says."""
    return {did: AgentCard(did=did, revoked=did in REVOKED) for did in dids}


async def test_all_that_are_revoked_are_left_at_once() -> None:
    """One that takes long to leave does not hold up the others."""
    table = Table()
    vetting = asyncio.create_task(vet(cast("Peers", table), resolve, 0.01))
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(table.relations[did].left.wait() for did in REVOKED))
    vetting.cancel()

    assert [["key_revoked"]] * len(REVOKED) == [table.relations[did].noted for did in REVOKED]
    assert not table.relations[HONEST].left.is_set()
