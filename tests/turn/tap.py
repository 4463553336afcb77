"""Everything that two agents tell each other through the platform while they connect."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiconexus.bus.session import Incoming, Session
from aiconexus.cli.platform import Platform
from aiconexus.protocol import subjects
from aiconexus.protocol.seal import unseal
from aiconexus.protocol.signal_bodies import Answer, IceCandidate, Offer

Signal = Offer | Answer | IceCandidate


@asynccontextmanager
async def overheard(platform: Platform) -> AsyncIterator[list[Signal]]:
    """All live signals that pass through a platform without an edge, for the length of a block."""
    signals: list[Signal] = []

    async def note(incoming: Incoming) -> None:
        body = unseal(incoming.data).body
        if isinstance(body, Signal):
            signals.append(body)

    # An edge hears the inboxes of all agents, and none of them runs here.
    session = await Session.connect(
        [platform.endpoints().nats],
        platform.home.key("edge"),
        name="tap",
        inbox_prefix=subjects.service_inbox("edge"),
    )
    try:
        await session.subscribe(subjects.all_inboxes(), note)
        await session.barrier()
        yield signals
    finally:
        await session.close()


def kinds_in(signal: Signal) -> list[str]:
    """The kinds of all candidates that it tells: each is the word after ``typ``."""
    if isinstance(signal, IceCandidate):
        text = " ".join([signal.candidate, *(more.candidate for more in signal.more)])
    else:
        text = signal.sdp
    words = text.split()
    return [after for word, after in itertools.pairwise(words) if word == "typ"]
