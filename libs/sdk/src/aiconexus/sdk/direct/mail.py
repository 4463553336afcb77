"""
Mail on the direct road: envelopes of the outbox through a channel, so that nothing is lost, doubled or overtaken.

A pipe only carries. Every envelope stays in its sender's outbox until the recipient's receipt says that it was
processed; what a broken pipe carried goes through the relay under the same id, and the recipient knows ids that it has
seen. Each road carries all that is not processed, in order, from the oldest on, so whichever copy comes first comes in
its turn.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiconexus.protocol import text
from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.errors import EnvelopeError, IdentityError
from aiconexus.protocol.frames import FRAME_MAX_BYTES, Await, Here, Meet, NotTaken, Taken, read_word, write_word
from aiconexus.protocol.seal import Codec, Sealed, split
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.direct.arrivals import Arrivals, DirectTicket, TakeDirect
from aiconexus.sdk.direct.carriage import Carriage
from aiconexus.sdk.direct.seam import Pipe
from aiconexus.sdk.progress import Ticket
from aiconexus.sdk.voice import Spoken

AGAIN_MAX = 256
"""Stored envelopes that a new pipe carries once more; if more wait, the recipient has to fetch them first."""
AWAIT_SECONDS = 3.0
"""If nothing moves for so long, the pipe is used all the same: a relay that is away holds up no peer that is here."""
HANDOVER_SECONDS = 2.0
TAKEN_SECONDS = 4.0
KNOWN_MAX = 1024
SESSIONS_MAX = 3
"""Connections of one peer whose frames are still taken: the present one, and those that it replaced."""


class Backlog(Protocol):
    """What the outbox tells and does for pipes."""

    def stored_for(self, recipient: str, limit: int, after: str = "") -> tuple[list[str], str | None]:
        """What waits at the relay and can be carried again, in order; and the last of it that cannot."""

    def oldest_for(self, recipient: str) -> str | None:
        """What has waited longest at the relay."""

    def put_back(self, recipient: str, ids: list[str]) -> None:
        """Send these again, each in its place; the relay gets only what it does not have."""

    def by_relay(self, recipient: str, ids: list[str]) -> None:
        """Likewise, and through the relay alone."""

    def note_taken(self, id_: str, road: str) -> None:
        """The recipient has it, and we keep it until it is processed."""


class Mail:
    """
    All pipes of one agent.

    Args:
        did: Ours.
        backlog: The outbox.
        crew: Its background work.
        take: Gets what arrives.
        is_known: Whether an envelope of a sender has come, whichever way.
        on_refused: Told of what a peer sent and we do not believe.

    """

    def __init__(
        self,
        did: str,
        backlog: Backlog,
        crew: Crew,
        *,
        take: TakeDirect,
        is_known: Callable[[str, str], bool],
        on_refused: Callable[[str, Exception], None],
    ) -> None:
        self._did = did
        self._backlog = backlog
        self._crew = crew
        self._take = take
        self._is_known = is_known
        self._on_refused = on_refused
        self._carriages: dict[str, Carriage] = {}
        self._older: dict[str, list[Carriage]] = {}
        self._arrivals: dict[tuple[str, str], Arrivals] = {}
        self._here: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._known: dict[str, None] = {}
        self._ready: dict[str, asyncio.Event] = {}

    # What the outbox asks

    def to(self, recipient: str) -> Carriage | None:
        """The pipe that envelopes to a recipient have to take now, if there is one."""
        carriage = self._carriages.get(recipient)
        return carriage if carriage is not None and (carriage.is_ready or carriage.succeeds) else None

    async def wait_ready(self, recipient: str) -> None:
        """Wait until there is one."""
        while self.to(recipient) is None:
            await self._ready.setdefault(recipient, asyncio.Event()).wait()

    def knows(self, recipient: str) -> bool:
        """Whether there ever was a pipe: then stored envelopes may be carried once more."""
        return recipient in self._known

    def forget(self, recipient: str, id_: str) -> None:
        """An envelope has come to its end."""
        if (carriage := self._carriages.get(recipient)) is not None:
            carriage.forget(id_)

    async def hand(self, recipient: str, spoken: Spoken) -> bool:
        """Bring a receipt; returns whether it was taken, otherwise it has to go through the relay."""
        carriage = self._carriages.get(recipient)
        return carriage is not None and await carriage.hand(spoken.id, spoken.sealed, TAKEN_SECONDS)

    def finish(self, ticket: Ticket) -> bool:
        """Be done with an entry; returns whether it came through a pipe."""
        if isinstance(ticket, DirectTicket):
            ticket.finish()
            return True
        return False

    def note_arrived(self, sender: str, id_: str) -> None:
        """An envelope came, whichever way."""
        for (did, _), arrivals in self._arrivals.items():
            if did == sender:
                arrivals.note_arrived(id_)

    # What the peer tells

    def attach(self, pipe: Pipe) -> None:
        """Use a pipe, once nothing that goes another way can be overtaken."""
        did = pipe.did
        if len(self._known) < KNOWN_MAX:
            self._known[did] = None
        older = self._carriages.get(did)
        if older is not None and older.pipe is pipe:
            return
        carriage = self._carriages[did] = Carriage(pipe, self._note_closed)
        if older is None:
            self._crew.start(self._begin(carriage), f"direct-{did}")
            return
        # One that was not ready itself has nothing under way that could be overtaken, but may succeed others.
        carriage.succeeds = older.is_ready or older.succeeds
        self._older.setdefault(did, []).append(older)
        work = self._take_over(carriage) if carriage.succeeds else self._begin(carriage)
        self._crew.start(work, f"direct-{did}")

    def detach(self, did: str, session: str) -> None:
        """Use a pipe no more; what it carried goes through the relay, or through the pipe that took its place."""
        carriage = self._carriages.get(did)
        if carriage is not None and carriage.pipe.session == session:
            del self._carriages[did]
            self._retire(did, [*self._older.pop(did, []), carriage])
        else:
            self._retire(did, [older for older in self._older.get(did, []) if older.pipe.session == session])

    async def drained(self, did: str, session: str, timeout_seconds: float) -> None:
        """Wait, not too long, until the peer has taken all that a pipe carried."""
        carriage = self._find(did, session)
        if carriage is None:
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                await carriage.wait_idle()
        except TimeoutError:
            return

    def frame(self, pipe: Pipe, data: bytes | str) -> bool:
        """Take what arrived; returns whether it was meant for mail."""
        try:
            if isinstance(data, bytes):
                return self._arrive(pipe, split(data))
            if data.startswith("{"):
                payload, signature, _ = text.parts_of(data, FRAME_MAX_BYTES)
                return self._arrive(pipe, Sealed(Codec.JSON, payload, signature))
            return self._hear(pipe, data)
        except (EnvelopeError, IdentityError) as error:
            self._on_refused(pipe.did, error)
            return True

    def release(self) -> None:
        """Leave to the relay what is not processed: we are about to go."""
        for did, carriage in tuple(self._carriages.items()):
            self.detach(did, carriage.pipe.session)

    async def close(self) -> None:
        """Stop."""
        await self._crew.close()
        self.release()

    def _arrive(self, pipe: Pipe, sealed: Sealed) -> bool:
        self._arrivals_of(pipe).arrive(sealed)
        return True

    def _arrivals_of(self, pipe: Pipe) -> Arrivals:
        """The receiving end of a pipe; it hears the peer even while we do not rely on the way back."""
        arrivals = self._arrivals.get((pipe.did, pipe.session))
        if arrivals is None:
            arrivals = Arrivals(pipe, self._did, self._take, self._is_known)
            self._arrivals[pipe.did, pipe.session] = arrivals
            sessions = [key for key in self._arrivals if key[0] == pipe.did]
            for key in sessions[:-SESSIONS_MAX]:
                del self._arrivals[key]
        return arrivals

    def _hear(self, pipe: Pipe, data: str) -> bool:
        carriage = self._find(pipe.did, pipe.session)
        match read_word(data):
            case Taken(ids=ids):
                if carriage is not None:
                    for id_ in carriage.note_taken(ids):
                        self._backlog.note_taken(id_, pipe.road)
            case NotTaken(id=id_):
                if carriage is not None:
                    self._backlog.by_relay(pipe.did, carriage.note_taken((id_,), taken=False))
            case Await() as word:
                self._arrivals_of(pipe).wait_for(word)
            case Here(id=id_):
                future = self._here.get((pipe.did, id_))
                if future is not None and not future.done():
                    future.set_result(None)
            case Meet():
                # Whoever is in no mesh, or not yet, does not answer.
                return True
            case _:
                return False
        return True

    def _find(self, did: str, session: str) -> Carriage | None:
        carriages = (*self._older.get(did, ()), *filter(None, (self._carriages.get(did),)))
        return next((each for each in carriages if each.pipe.session == session), None)

    def _note_closed(self, carriage: Carriage) -> None:
        """A pipe is closed that nobody has detached yet."""
        self.detach(carriage.pipe.did, carriage.pipe.session)

    def _make_ready(self, carriage: Carriage) -> None:
        carriage.make_ready()
        if (event := self._ready.pop(carriage.pipe.did, None)) is not None:
            event.set()

    async def _begin(self, carriage: Carriage) -> None:
        """Let what lies at the relay arrive first, or take it along."""
        did = carriage.pipe.did
        again, last = self._backlog.stored_for(did, AGAIN_MAX)
        while last is not None:
            oldest = self._backlog.oldest_for(did)
            is_here = await self._await(carriage, last)
            if carriage.is_broken:
                return
            if is_here or oldest == self._backlog.oldest_for(did):
                again, _ = self._backlog.stored_for(did, AGAIN_MAX, last)
                break
            # Its recipient works on what came before: what follows goes the same way until it is through.
            again, last = self._backlog.stored_for(did, AGAIN_MAX)
        self._make_ready(carriage)
        self._backlog.put_back(did, again)

    async def _await(self, carriage: Carriage, id_: str) -> bool:
        """Whether an envelope that went through the mailbox came, before the time was over."""
        key = (carriage.pipe.did, id_)
        future = self._here[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(AWAIT_SECONDS):
                carriage.pipe.send(write_word(Await(id_)))
                await future
        except (TimeoutError, ChannelClosed):
            return False
        finally:
            self._here.pop(key, None)
        return True

    async def _take_over(self, carriage: Carriage) -> None:
        """Let older pipes run dry before a newer one is used."""
        did = carriage.pipe.did
        while not carriage.is_broken and (older := next(iter(self._older.get(did, ())), None)) is not None:
            try:
                async with asyncio.timeout(HANDOVER_SECONDS):
                    await older.wait_idle()
            except TimeoutError:
                pass
            self._retire(did, [older])
        if self._carriages.get(did) is carriage:
            self._make_ready(carriage)

    def _retire(self, did: str, carriages: list[Carriage]) -> None:
        """The present pipe answers for all that the peer took of these, and carries again what it may not have seen."""
        current = self._carriages.get(did)
        waiting = [older for older in self._older.get(did, ()) if older not in carriages]
        if waiting:
            self._older[did] = waiting
        else:
            self._older.pop(did, None)
        again: list[str] = []
        for carriage in carriages:
            taken, untaken = carriage.break_off()
            if current is None:
                again += taken
            else:
                current.adopt(taken)
            again += untaken
        self._backlog.put_back(did, again)
