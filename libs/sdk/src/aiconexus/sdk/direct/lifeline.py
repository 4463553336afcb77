"""The connection in use: what comes through it, what becomes of it, and how another takes its place."""

import asyncio
import random
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from aiconexus.protocol.direct_errors import ChannelClosed, ConnectionFailed
from aiconexus.protocol.errors import AiconexusError, EnvelopeError, RemoteProblem
from aiconexus.protocol.frames import Agree, Agreed, Beat, Disagreed, Echo, Leaving, Resume, read_word, write_word
from aiconexus.sdk.direct import metrics
from aiconexus.sdk.direct.connection import Connection
from aiconexus.sdk.direct.healing import pauses, seeking_pauses, starts_with_turn
from aiconexus.sdk.direct.hello import OFFERER
from aiconexus.sdk.direct.local import Local
from aiconexus.sdk.direct.negotiation import DIRECT
from aiconexus.sdk.direct.pulse import Pulse
from aiconexus.sdk.direct.retiring import REPLACED, Retiring, flush
from aiconexus.sdk.direct.states import ConnectionState, Happening, IceEvent
from aiconexus.sdk.direct.waiting import Waiting

if TYPE_CHECKING:
    from aiconexus.sdk.direct.relation import Relation

FOREIGN_MAX = 32
"""Frames that are none of ours; then the connection ends."""
POINTLESS = ("refused", "key_revoked")
"""Problems that no later attempt changes."""
ROTATIONS = ("rotate", "emergency")
TURN = "turn"


class Lifeline:
    """
    What one peer hangs on.

    Args:
        local: Our side.
        relation: Whose line.

    """

    def __init__(self, local: Local, relation: "Relation") -> None:
        self.current: Connection | None = None
        self.retiring = Retiring(local, relation)
        self._local = local
        self._relation = relation
        self._held: set[Connection] = set()
        self._pulse: Pulse | None = None
        self._beating: asyncio.Task[None] | None = None
        self._healing: asyncio.Task[None] | None = None
        self._seeking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._foreign = 0
        self._back = Waiting()

    @property
    def rtt_seconds(self) -> float | None:
        """The smoothed round trip."""
        return None if self._pulse is None else self._pulse.rtt_seconds

    def take_trip(self) -> tuple[float, float] | None:
        """The latest round trip and the jitter, once each."""
        return None if self._pulse is None else self._pulse.take_trip()

    def adopt(self, connection: Connection, reason: str) -> None:
        """Use a connection from now on, and let the former one run dry."""
        former, self.current = self.current, connection
        was_down = self._relation.state is ConnectionState.DISCONNECTED
        self._held.add(connection)
        self._foreign = 0
        self._begin_pulse(connection)
        self._relation.attach(connection)
        if was_down:
            self._note("direct_restored", connection, f"a new connection: {connection.road}")
        if former is not None:
            self._retire(former)
            if reason in ROTATIONS:
                metrics.note_rotated()
                self._note("key_rotated", connection, f"{reason}: {former.session} gave way")
        if self._seeking is not None:
            self._seeking.cancel()
            self._seeking = None
        if connection.road == TURN and connection.role == OFFERER and self._local.settings.policy == "all":
            self._seeking = self._start(self._seek_direct(connection), "seek")
        self._back.wake()

    def take(self, connection: Connection, data: bytes | str) -> None:
        """Take a frame of a verified connection."""
        if isinstance(data, str) and not data.startswith("{"):
            self._take_word(connection, data)
        else:
            self._pass_on(connection, data)

    def note_lost(self, connection: Connection) -> None:
        """A connection is over."""
        if connection not in self._held:
            return
        self._held.remove(connection)
        metrics.note_ended()
        if connection is not self.current:
            return
        self.current = None
        self._stop_pulse()
        self._relation.detach(connection)
        self._local.bury(connection)
        if self._relation.state is ConnectionState.CONNECTED:
            metrics.note_dropped()
            self._note("relay_fallback", connection, str(connection.error))
        if self._relation.state in (ConnectionState.CONNECTED, ConnectionState.DISCONNECTED):
            self._relation.happen(Happening.LOST)
            self._heal(lost=True)

    def say_leaving(self, reason: str) -> bool:
        """Tell the other side through the channel that we go; returns whether it will hear it."""
        if self.current is None or self._pulse is None or self._pulse.is_silent:
            return False
        return self._say(self.current, Leaving(reason))

    def stop(self) -> None:
        """Use it no more."""
        self._stop_pulse()
        if self.current is not None:
            self._relation.detach(self.current)
        for task in tuple(self._tasks):
            task.cancel()

    async def close(self) -> None:
        """Let the last word out, then close."""
        current, self.current = self.current, None
        if current is not None:
            await flush(current)
            await current.close()

    def _retire(self, former: Connection) -> None:
        self.retiring.begin(former)
        self._start(self.retiring.run(former), "retire").add_done_callback(lambda _: self.retiring.end(former))

    # What comes through

    def note_foreign(self, event: str, detail: str) -> None:
        """The peer put something into the channel that does not belong there; after some the connection ends."""
        self._foreign += 1
        if self._foreign == 1:
            self._relation.note_incident(event, detail)
        if self._foreign > FOREIGN_MAX and self.current is not None:
            reason = f"more than {FOREIGN_MAX} frames that are none"
            self.current.end(ConnectionFailed(self._relation.did, "open", reason))

    def _pass_on(self, connection: Connection, data: bytes | str) -> None:
        mail = self._local.mail
        if mail is not None and mail.frame(connection, data):
            return
        if not any(take(connection, data) for take in self._local.takers):
            self.note_foreign("foreign_frame", "a frame that nobody here takes")

    def _take_word(self, connection: Connection, data: str) -> None:
        try:
            word = read_word(data)
        except EnvelopeError as error:
            self.note_foreign("foreign_frame", str(error))
            return
        match word:
            case Beat(number=number):
                self._say(connection, Echo(number))
            case Echo(number=number):
                if connection is self.current and self._pulse is not None:
                    self._pulse.note_echo(number)
            case Leaving(reason=reason):
                self._note_leaving(connection, reason)
            case Agree() | Agreed() | Disagreed() | Resume():
                self._relation.channels.word(connection, word)
            case _:
                self._pass_on(connection, data)

    def _note_leaving(self, connection: Connection, reason: str) -> None:
        if reason == REPLACED or connection is not self.current:
            self.retiring.note_left(connection.session)
        else:
            self._relation.note_left(reason)

    # The pulse

    def _begin_pulse(self, connection: Connection) -> None:
        self._stop_pulse()
        self._pulse = Pulse(
            connection,
            self._local.settings,
            on_silent=lambda: self._note_silent(connection),
            on_alive=lambda: self._note_alive(connection),
            on_old=lambda: self._relation.attempt("rotate", with_turn=connection.road == TURN),
        )
        self._beating = self._start(self._pulse.run(), "pulse")

    def _stop_pulse(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        self._pulse = self._beating = None

    def _note_silent(self, connection: Connection) -> None:
        metrics.note_dropped()
        connection.note_pulse(IceEvent.SILENT)
        self._note("relay_fallback", connection, "no answer to the heartbeat")
        if self._local.mail is not None:
            self._local.mail.detach(self._relation.did, connection.session)
        self._relation.happen(Happening.SILENT)
        self._heal(lost=False)

    def _note_alive(self, connection: Connection) -> None:
        connection.note_pulse(IceEvent.ALIVE)
        self._note("direct_restored", connection, "it answers again")
        if self._local.mail is not None:
            self._local.mail.attach(connection)
        self._relation.happen(Happening.ALIVE)
        self._back.wake()

    # Healing

    def _heal(self, *, lost: bool) -> None:
        if self._healing is not None:
            self._healing.cancel()
        self._healing = self._start(self._try_again(lost=lost), "heal")

    async def _try_again(self, *, lost: bool) -> None:
        """Try until a connection works, whichever it is."""
        settings = self._local.settings
        waits = pauses(settings.heal_first_seconds, settings.heal_max_seconds, random.random, lost=lost)
        for attempt, pause in enumerate(waits, start=1):
            if await self._is_back(pause):
                return
            if not self._relation.is_negotiating:
                metrics.note_retried()
                self._relation.attempt("heal", with_turn=starts_with_turn(attempt))
            try:
                await self._relation.wait_connected()
            except AiconexusError as error:
                # Noted where it failed; the pauses become longer, unless it is pointless.
                if isinstance(error, RemoteProblem) and error.error.problem in POINTLESS:
                    self._relation.give_up(error)
                    return
                continue
            return

    async def _seek_direct(self, connection: Connection) -> None:
        """Look for a direct way again and again, while what goes through TURN goes on."""
        for pause in seeking_pauses(self._local.settings.seek_direct_seconds, random.random):
            await asyncio.sleep(pause)
            if connection is not self.current:
                return
            if self._relation.state is ConnectionState.CONNECTED:
                self._relation.attempt(DIRECT)

    async def _is_back(self, seconds: float) -> bool:
        """Whether the peer is connected again before the time is over."""
        try:
            async with asyncio.timeout(seconds):
                while self._relation.state is not ConnectionState.CONNECTED:
                    await self._back.wait()
        except TimeoutError:
            return False
        return True

    # Inside

    def _note(self, event: str, connection: Connection, detail: str) -> None:
        self._local.incidents.note(event, self._relation.did, connection.session, detail)

    def _say(self, connection: Connection, word: Echo | Leaving) -> bool:
        try:
            connection.send(write_word(word))
        except ChannelClosed:
            # The stack tells of its end.
            return False
        return True

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = self._local.crew.start(work, f"{name}-{self._relation.did}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
