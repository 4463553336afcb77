"""Who else is there: pages of the registry, cards, and what a peer can read."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence

from aiconexus.protocol.bodies import AgentCard, Agents, Discover, Resolve
from aiconexus.protocol.errors import UnknownAgent
from aiconexus.protocol.limits import PAGE_MAX
from aiconexus.protocol.seal import Codec
from aiconexus.sdk.link import Link

CARD_SECONDS = 60.0
CARDS_MAX = 4096


class Discovery:
    """
    Questions to the registry.

    Args:
        link: The way to identity.

    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._codecs: OrderedDict[str, tuple[float, Codec]] = OrderedDict()

    async def discover(
        self, *, capability: str | None = None, name: str | None = None, online: bool | None = None
    ) -> AsyncIterator[AgentCard]:
        """
        List agents that fit all the filters, page by page.

        Raises:
            RemoteProblem: If identity refuses.
            BusError: If it does not answer.

        """
        cursor: str | None = None
        while True:
            question = Discover(capability=capability, name=name, online=online, cursor=cursor, limit=PAGE_MAX)
            page = await self._link.services.ask("identity", question, Agents)
            for card in page.agents:
                yield card
            cursor = page.cursor
            if cursor is None:
                return

    async def resolve(self, dids: Sequence[str]) -> dict[str, AgentCard]:
        """
        Fetch cards; unknown agents are left out.

        Raises:
            RemoteProblem: If identity refuses.
            BusError: If it does not answer.

        """
        cards: dict[str, AgentCard] = {}
        for start in range(0, len(dids), PAGE_MAX):
            answer = await self._link.services.ask(
                "identity", Resolve(dids=tuple(dids[start : start + PAGE_MAX])), Agents
            )
            cards.update({card.did: card for card in answer.agents})
        for did, card in cards.items():
            self._note_codec(did, card)
        return cards

    async def resolve_one(self, did: str) -> AgentCard:
        """
        Fetch one card.

        Raises:
            UnknownAgent: If there is none.

        """
        card = (await self.resolve([did])).get(did)
        if card is None:
            raise UnknownAgent(did)
        return card

    def guess_codec(self, did: str) -> Codec:
        """What the peer could read when we last asked, else what this road prefers."""
        known = self._codecs.get(did)
        return self._link.road.writes[0] if known is None else known[1]

    async def codec_for(self, did: str) -> Codec:
        """
        What the peer can read, asked at most once a minute, and not at all where a card has told it meanwhile.

        Raises:
            RemoteProblem: If identity refuses.
            BusError: If it does not answer.

        """
        writes = self._link.road.writes
        if len(writes) == 1:
            return writes[0]
        known = self._codecs.get(did)
        if known is not None and known[0] > asyncio.get_running_loop().time():
            return known[1]
        card = (await self.resolve([did])).get(did)
        return self._note_codec(did, card)

    def _note_codec(self, did: str, card: AgentCard | None) -> Codec:
        """Remember what to write to somebody; whether a stranger may be written to is for the relay to say."""
        readable = (Codec.MSGPACK, Codec.JSON) if card is None else card.codecs
        codec = next((codec for codec in self._link.road.writes if codec in readable), Codec.JSON)
        self._codecs[did] = (asyncio.get_running_loop().time() + CARD_SECONDS, codec)
        self._codecs.move_to_end(did)
        if len(self._codecs) > CARDS_MAX:
            self._codecs.popitem(last=False)
        return codec
