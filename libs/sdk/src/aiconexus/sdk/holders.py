"""Who has a capability and is here, and which of them is asked."""

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from aiconexus.protocol.delivery_errors import NoHolder
from aiconexus.protocol.errors import BusError, RemoteProblem
from aiconexus.sdk.discovery import Discovery

FRESH_SECONDS = 2.0
REMEMBERED_MAX = 256
HOLDERS_MAX = 1000

NEVER_BEGUN = frozenset({"no_handler", "expired", "unsupported_type"})
"""What a recipient says of an envelope that it did not begin to handle."""


class Holders:
    """
    Those who can do something.

    Args:
        discovery: Knows them.
        me: Our own DID, which is never among them.

    """

    def __init__(self, discovery: Discovery, me: str) -> None:
        self._discovery = discovery
        self._me = me
        self._found: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._load: Counter[str] = Counter()

    async def choose(self, capability: str, without: Collection[str] = ()) -> str:
        """
        One of those who are here; of two at random the one who is less busy with what we asked.

        Raises:
            NoHolder: If there is none.

        """
        found = [did for did in await self._find(capability) if did not in without]
        if not found:
            self._found.pop(capability, None)
            raise NoHolder(capability)
        return chosen(found, self._load, random.random)

    @contextmanager
    def busy(self, did: str) -> Iterator[None]:
        """Count something that somebody does for us."""
        self._load[did] += 1
        try:
            yield
        finally:
            self._load[did] -= 1
            if not self._load[did]:
                del self._load[did]

    async def is_here(self, did: str) -> bool:
        """Whether an agent is connected, as identity sees it now; if nobody knows, it may be."""
        try:
            card = (await self._discovery.resolve([did])).get(did)
        except (BusError, RemoteProblem):
            return True
        return card is not None and card.online

    async def _find(self, capability: str) -> tuple[str, ...]:
        now = asyncio.get_running_loop().time()
        known = self._found.get(capability)
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[1]
        dids: list[str] = []
        async for card in self._discovery.discover(capability=capability, online=True):
            if card.did != self._me:
                dids.append(card.did)
            if len(dids) >= HOLDERS_MAX:
                break
        self._found[capability] = (now, tuple(dids))
        self._found.move_to_end(capability)
        if len(self._found) > REMEMBERED_MAX:
            self._found.popitem(last=False)
        return tuple(dids)


def chosen(dids: Sequence[str], load: Mapping[str, int], random01: Callable[[], float]) -> str:
    """The less busy one of two that chance picks; at the same load the first."""
    first, second = (dids[int(random01() * len(dids))] for _ in range(2))
    return second if load.get(second, 0) < load.get(first, 0) else first


def never_ran(error: RemoteProblem, callee: str) -> bool:
    """Whether an error proves that the callee has not begun: it says so, or the platform did not even store it."""
    problem = error.error.problem
    if error.reporter == callee:
        return problem in NEVER_BEGUN
    return problem not in ("expired", "timeout", "unavailable", "internal")
