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
from aiconexus.protocol.frames import FRAME_MAX_BYTES, Await, Here, NotTaken, Taken, read_word, write_word
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
"""Then the pipe is used all the same: a relay that is away must not hold up a peer that is here."""
HANDOVER_SECONDS = 2.0
TAKEN_SECONDS = 4.0
KNOWN_MAX = 1024
SESSIONS_MAX = 3
"""Connections of one peer whose frames are still taken: the present one, and those that it replaced."""


class Backlog(Protocol):
    """What the outbox tells and does for pipes."""

    def stored_for(self, recipient: str, limit: int, after: str = "") -> tuple[list[str], str | None]:
        """What waits at the relay and can be carried again, in order; and the last of it that cannot."""

    def put_first(self, recipient: str, ids: list[str]) -> None:
        """Send these before anything else to the recipient."""

    def requeue(self, recipient: str, ids: list[str], *, by_relay: bool = False) -> None:
        """Likewise, but only those that the relay does not have; ``by_relay`` if no pipe may have them again."""

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
        self._older: dict[tuple[str, str], Carriage] = {}
        self._arrivals: dict[tuple[str, str], Arrivals] = {}
        self._here: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._known: dict[str, None] = {}
        self._ready: dict[str, asyncio.Event] = {}

    # What the outbox asks

    def to(self, recipient: str) -> Carriage | None:
        """The pipe that envelopes to a recipient have to take now, if there is one."""
        carriage = self._carriages.get(recipient)
        return None if carriage is None or carriage.is_broken or not carriage.is_ready else carriage

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
        carriage, older = Carriage(pipe), self._carriages.get(did)
        self._carriages[did] = carriage
        if older is None or older.is_broken:
            self._crew.start(self._begin(carriage), f"direct-{did}")
        else:
            self._older[did, older.pipe.session] = older
            self._crew.start(self._hand_over(older, carriage), f"direct-{did}")

    def detach(self, did: str, session: str) -> None:
        """Use a pipe no more; what it carried goes through the relay."""
        older = self._older.pop((did, session), None)
        carriage = self._carriages.get(did)
        if older is not None and carriage is not None:
            self._succeed(older, carriage)
        elif carriage is not None and carriage.pipe.session == session:
            del self._carriages[did]
            taken, untaken = carriage.break_off()
            self._backlog.requeue(did, taken + untaken)

    async def drained(self, did: str, session: str, timeout_seconds: float) -> None:
        """Wait, not too long, until the peer has taken all that a pipe carried."""
        carriage = self._older.get((did, session)) or self._carriages.get(did)
        if carriage is None or carriage.pipe.session != session:
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
        carriage = self._older.get((pipe.did, pipe.session)) or self._carriages.get(pipe.did)
        match read_word(data):
            case Taken(ids=ids):
                if carriage is not None and carriage.pipe.session == pipe.session:
                    for id_ in carriage.note_taken(ids):
                        self._backlog.note_taken(id_, pipe.road)
            case NotTaken(id=id_):
                if carriage is not None and carriage.pipe.session == pipe.session:
                    self._backlog.requeue(pipe.did, carriage.note_taken((id_,), taken=False), by_relay=True)
            case Await() as word:
                self._arrivals_of(pipe).wait_for(word)
            case Here(id=id_):
                future = self._here.get((pipe.did, id_))
                if future is not None and not future.done():
                    future.set_result(None)
            case _:
                return False
        return True

    def _make_ready(self, carriage: Carriage) -> None:
        carriage.make_ready()
        if (event := self._ready.pop(carriage.pipe.did, None)) is not None:
            event.set()

    async def _begin(self, carriage: Carriage) -> None:
        """Let what lies at the relay arrive first, or take it along."""
        did = carriage.pipe.did
        again, last = self._backlog.stored_for(did, AGAIN_MAX)
        if last is not None:
            await self._await(carriage, last)
            if carriage.is_broken:
                return
            again, _ = self._backlog.stored_for(did, AGAIN_MAX, last)
        self._make_ready(carriage)
        self._backlog.put_first(did, again)

    async def _await(self, carriage: Carriage, id_: str) -> None:
        key = (carriage.pipe.did, id_)
        future = self._here[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(AWAIT_SECONDS):
                carriage.pipe.send(write_word(Await(id_)))
                await future
        except (TimeoutError, ChannelClosed):
            return
        finally:
            self._here.pop(key, None)

    async def _hand_over(self, older: Carriage, carriage: Carriage) -> None:
        """Let the older pipe run dry before the newer one is used."""
        try:
            async with asyncio.timeout(HANDOVER_SECONDS):
                await older.wait_idle()
        except TimeoutError:
            pass
        if self._older.pop((older.pipe.did, older.pipe.session), None) is not None:
            self._succeed(older, carriage)

    def _succeed(self, older: Carriage, carriage: Carriage) -> None:
        """The newer pipe answers for all that the peer took, and carries again what it may not have seen."""
        taken, untaken = older.break_off()
        if carriage.is_broken:
            self._backlog.requeue(older.pipe.did, taken + untaken)
            return
        carriage.adopt(taken)
        self._make_ready(carriage)
        self._backlog.put_first(older.pipe.did, untaken)
