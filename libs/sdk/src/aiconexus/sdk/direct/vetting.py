"""A key that its owner has revoked must not live on in a channel that was opened before."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from aiconexus.protocol.bodies import AgentCard
from aiconexus.protocol.errors import AiconexusError
from aiconexus.sdk.direct.peers import Peers

Resolve = Callable[[Sequence[str]], Awaitable[dict[str, AgentCard]]]


async def vet(peers: Peers, resolve: Resolve, pause_seconds: float) -> None:
    """
    Ask the registry about all connected peers again and again, and leave those whose keys are void.

    While the platform is away nobody can revoke anything either.

    Args:
        peers: All of an agent.
        resolve: Fetches cards.
        pause_seconds: The longest between two questions.

    """
    while True:
        await asyncio.sleep(pause_seconds * random.uniform(0.75, 1.0))  # noqa: S311 - spreads load, keeps no secret
        dids = sorted(did for did, relation in peers.relations.items() if relation.current is not None)
        try:
            cards = await resolve(dids) if dids else {}
        except AiconexusError:
            continue
        revoked = [
            peers.relations[did] for did in dids if did in cards and cards[did].revoked and did in peers.relations
        ]
        for relation in revoked:
            relation.note_incident("key_revoked", "its owner has revoked the peer's key")
        # Whoever does not hear that we leave must not hold up the leave of the others.
        await asyncio.gather(*(relation.close("key_revoked") for relation in revoked))
