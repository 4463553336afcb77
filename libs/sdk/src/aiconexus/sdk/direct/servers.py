"""The STUN and TURN servers of one agent: who they are, and which of them answers from here."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.signal_bodies import IceServer, IceServers
from aiconexus.sdk.direct.probing import PROBE_SECONDS, answers
from aiconexus.sdk.direct.stack import url_parts

TURN_PROBE_SECONDS = 4.0
"""Nobody waits for it who has another way, and without TURN there may be none: busy machines and far ones get time."""
MARGIN_MS = 30_000
"""Credentials are not used so shortly before their end."""
AGAIN_SECONDS = 2.0
"""Less than a try without TURN takes: who got no list may have one before that ends."""
WORKING_SECONDS = 60.0
SILENT_SECONDS = 10.0
HEAD_START_SECONDS = 0.15
"""So much sooner than the next server or transport a better one is asked."""
RANKS = {("turn", "udp"): 0, ("turn", "tcp"): 1, ("turns", "tcp"): 2}


class Choice(msgspec.Struct, frozen=True):
    """One URL of a server, and how good its transport is."""

    server: IceServer
    scheme: str
    host: str
    port: int
    transport: str

    @property
    def rank(self) -> int:
        """The lower the better: UDP before TCP before TLS."""
        return RANKS[self.scheme, self.transport]


class Servers:
    """
    What the stack may be handed.

    Args:
        given: The application's own list, None to ask the platform.
        ask: Puts LIST_SERVERS to signaling.
        again_seconds: How long the platform is left alone, whatever it answers.

    """

    def __init__(
        self,
        given: Sequence[IceServer] | None,
        ask: Callable[[], Awaitable[IceServers]],
        *,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        self._given = given
        self._ask = ask
        self._again_ms = int(again_seconds * 1000)
        self._known: tuple[IceServer, ...] = ()
        self._problem: AiconexusError | None = None
        self._fresh_until_ms = 0
        self._asking = asyncio.Lock()
        self._verdicts: dict[str, tuple[float, bool]] = {}
        self._probing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def stun(self) -> tuple[IceServer, ...]:
        """A STUN server that answers, or none: then there are our own addresses alone."""
        choices = [each for each in await self._choices() if each.scheme == "stun"]
        return await self._first(choices[:2], PROBE_SECONDS)

    async def turn(self) -> tuple[IceServer, ...]:
        """The TURN server to use now, over the best transport that works from here, if any does."""
        return await self._first(sorted(await self._relays(), key=lambda each: each.rank), TURN_PROBE_SECONDS)

    async def why_no_turn(self) -> str:
        """What to say where ``turn`` has found none: there is none, the platform did not name any, or none answers."""
        if await self._relays():
            return "no TURN server answers"
        return "no TURN server is known" if self._problem is None else f"no TURN server was named: {self._problem}"

    async def look_for_turn(self) -> None:
        """Find out which TURN server answers, for whoever asks soon."""
        await self.turn()

    async def _relays(self) -> list[Choice]:
        return [each for each in await self._choices() if (each.scheme, each.transport) in RANKS]

    async def _choices(self) -> list[Choice]:
        return [
            Choice(msgspec.structs.replace(server, urls=(url,)), *parts)
            for server in await self._list()
            for url in server.urls
            if (parts := url_parts(url)) is not None
        ]

    async def _list(self) -> Sequence[IceServer]:
        if self._given is not None:
            return self._given
        async with self._asking:
            if now_ms() >= self._fresh_until_ms:
                await self._renew()
        return self._known

    async def _renew(self) -> None:
        try:
            answer = await self._ask()
        except AiconexusError as error:
            # Two agents in one network need no server.
            self._problem = error
            self._fresh_until_ms, self._known = now_ms() + self._again_ms, ()
            return
        self._known, self._problem = answer.servers, None
        self._forget_others({url for server in answer.servers for url in server.urls})
        self._fresh_until_ms = max(answer.expires_ms - MARGIN_MS, now_ms() + self._again_ms)

    def _forget_others(self, urls: Collection[str]) -> None:
        """Keep nothing of servers that are not named any more; whoever asks one just now comes to an end by itself."""
        for url in self._verdicts.keys() | self._probing.keys():
            if url not in urls:
                self._verdicts.pop(url, None)
                self._probing.pop(url, None)

    async def _first(self, choices: Sequence[Choice], seconds: float) -> tuple[IceServer, ...]:
        """The first that answers; each is asked a little later than the one before, or once that has been of no use."""
        waiting = deque(choices)
        asked: dict[asyncio.Future[bool], Choice] = {}
        try:
            while waiting or asked:
                if waiting:
                    choice = waiting.popleft()
                    asked[asyncio.ensure_future(self._works(choice, seconds))] = choice
                await asyncio.wait(
                    asked, timeout=HEAD_START_SECONDS if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for probe in [each for each in asked if each.done()]:
                    choice = asked.pop(probe)
                    if probe.result():
                        return (choice.server,)
            return ()
        finally:
            for probe in asked:
                probe.cancel()

    async def _works(self, choice: Choice, seconds: float) -> bool:
        url = choice.server.urls[0]
        async with self._probing[url]:
            now = asyncio.get_running_loop().time()
            until, verdict = self._verdicts.get(url, (0.0, False))
            if until > now:
                return verdict
            verdict = await answers(choice.scheme, choice.host, choice.port, choice.transport, seconds)
            now = asyncio.get_running_loop().time()
            self._verdicts[url] = (now + (WORKING_SECONDS if verdict else SILENT_SECONDS), verdict)
            return verdict
