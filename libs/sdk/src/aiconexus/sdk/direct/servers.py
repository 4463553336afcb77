"""The STUN and TURN servers of one agent: who they are, and which of them answers from here."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.signal_bodies import IceServer, IceServers
from aiconexus.sdk.direct.probing import answers
from aiconexus.sdk.direct.stack import url_parts

MARGIN_MS = 30_000
"""Credentials are not used so shortly before their end."""
AGAIN_SECONDS = 15.0
"""How long the platform is left alone after it gave no servers."""
WORKING_SECONDS = 60.0
SILENT_SECONDS = 10.0
BETTER_SECONDS = 0.15
"""A better transport gets so much more time once another has answered."""
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

    """

    def __init__(self, given: Sequence[IceServer] | None, ask: Callable[[], Awaitable[IceServers]]) -> None:
        self._given = given
        self._ask = ask
        self._known: tuple[IceServer, ...] = ()
        self._fresh_until_ms = 0
        self._asking = asyncio.Lock()
        self._verdicts: dict[str, tuple[float, bool]] = {}

    async def stun(self) -> tuple[IceServer, ...]:
        """A STUN server that answers, or none: then there are our own addresses alone."""
        choices = [each for each in await self._choices() if each.scheme == "stun"]
        return await self._first(choices[:2])

    async def turn(self) -> tuple[IceServer, ...]:
        """The TURN server to use now, over the best transport that works from here, if any does."""
        choices = [each for each in await self._choices() if (each.scheme, each.transport) in RANKS]
        return await self._first(sorted(choices, key=lambda each: each.rank))

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
        except AiconexusError:
            # Two agents in one network need no server.
            self._fresh_until_ms, self._known = now_ms() + int(AGAIN_SECONDS * 1000), ()
            return
        self._known = answer.servers
        self._fresh_until_ms = max(answer.expires_ms - MARGIN_MS, now_ms() + int(AGAIN_SECONDS * 1000))

    async def _first(self, choices: Sequence[Choice]) -> tuple[IceServer, ...]:
        """The first of the list that answers; all are asked at once."""
        probes = [asyncio.ensure_future(self._works(choice)) for choice in choices]
        try:
            return await self._best(choices, probes)
        finally:
            for probe in probes:
                probe.cancel()

    async def _best(self, choices: Sequence[Choice], probes: "Sequence[asyncio.Future[bool]]") -> tuple[IceServer, ...]:
        pending = set(probes)
        patience: float | None = None
        while pending:
            done, pending = await asyncio.wait(pending, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            best = next((number for number, probe in enumerate(probes) if probe.done() and probe.result()), None)
            if best is not None and (not done or all(probe.done() for probe in probes[:best])):
                break
            patience = None if best is None else BETTER_SECONDS
        found = [choice for choice, probe in zip(choices, probes, strict=True) if probe.done() and probe.result()]
        return (found[0].server,) if found else ()

    async def _works(self, choice: Choice) -> bool:
        now = asyncio.get_running_loop().time()
        url = choice.server.urls[0]
        until, verdict = self._verdicts.get(url, (0.0, False))
        if until > now:
            return verdict
        verdict = await answers(choice.scheme, choice.host, choice.port, choice.transport)
        self._verdicts[url] = (now + (WORKING_SECONDS if verdict else SILENT_SECONDS), verdict)
        return verdict
