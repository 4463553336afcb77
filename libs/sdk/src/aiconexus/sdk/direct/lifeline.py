"""The connection in use: its pulse, what comes through it, and how another takes its place."""

import asyncio
import random
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from aiconexus.protocol.direct_errors import ChannelClosed, ConnectionFailed
from aiconexus.protocol.errors import AiconexusError, EnvelopeError
from aiconexus.protocol.frames import Agree, Agreed, Beat, Disagreed, Echo, Leaving, read_word, write_word
from aiconexus.sdk.direct import metrics, stack
from aiconexus.sdk.direct.connection import Connection
from aiconexus.sdk.direct.healing import pauses, starts_with_turn
from aiconexus.sdk.direct.heartbeat import Heartbeat
from aiconexus.sdk.direct.local import Local
from aiconexus.sdk.direct.states import ConnectionState, Happening, IceEvent

if TYPE_CHECKING:
    from aiconexus.sdk.direct.peer import Peer

DRAIN_SECONDS = 3.0
"""How long a replaced connection may take to deliver what it carries."""
LEAVE_SECONDS = 2.0
"""How long it then waits for the other side to have done the same."""
POLL_SECONDS = 0.02
HELD_UP_SECONDS = 0.25
"""When we wake up so much later than we wanted, this process was busy with something else."""
FOREIGN_MAX = 32
"""Frames that are none of ours; then the connection ends."""
ROTATE_SPREAD = 0.1
CLOSE, REPLACED = "close", "replaced"


class Lifeline:
    """
    What one peer hangs on.

    Args:
        local: Our side.
        peer: Whose line.

    """

    def __init__(self, local: Local, peer: "Peer") -> None:
        self.current: Connection | None = None
        self._local = local
        self._peer = peer
        self._pulse: Heartbeat | None = None
        self._retiring: dict[str, asyncio.Event] = {}
        self._closing: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._healing: asyncio.Task[None] | None = None
        self._foreign = 0
        self._changed = asyncio.Event()

    @property
    def rtt_seconds(self) -> float | None:
        """The smoothed round trip."""
        return None if self._pulse is None else self._pulse.rtt_seconds

    def adopt(self, connection: Connection) -> None:
        """Use a connection from now on, and let the former one run dry."""
        former, self.current = self.current, connection
        self._foreign = 0
        self._pulse = Heartbeat(self._local.settings.dead_seconds, self._now)
        self._attach(connection)
        self._changed.set()
        self._start(self._watch(connection, self._pulse), "watch")
        if former is not None:
            self._retiring[former.session] = asyncio.Event()
            self._start(self._retire(former), "retire")

    def take(self, connection: Connection, data: bytes | str) -> None:
        """Take a frame of a verified connection."""
        if isinstance(data, str) and not data.startswith("{") and self._hear(connection, data):
            return
        mail = self._local.mail
        if mail is not None and mail.frame(connection, data):
            return
        if not any(take(connection, data) for take in self._local.takers):
            self._note_foreign(connection)

    def note_lost(self, connection: Connection) -> None:
        """A connection is over."""
        metrics.note_ended()
        self._local.crew.start(connection.close(), f"lost-{connection.session}")
        if connection is not self.current:
            return
        self.current, self._pulse = None, None
        self._detach(connection)
        if self._peer.state in (ConnectionState.CONNECTED, ConnectionState.DISCONNECTED):
            if self._peer.state is ConnectionState.CONNECTED:
                self._note_down(connection, str(connection.error))
            self._peer.happen(Happening.LOST)
            self._heal(lost=True)

    def say_leaving(self, reason: str) -> bool:
        """Tell the other side through the channel that we go; returns whether it will hear it."""
        current = self.current
        if current is None or self._pulse is None or self._pulse.is_silent:
            return False
        try:
            current.send(write_word(Leaving(reason)))
        except ChannelClosed:
            return False
        return True

    def stop(self) -> None:
        """Use it no more."""
        if self.current is not None:
            self._detach(self.current)
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Let the last word out, then close."""
        current = self.current
        self.current, self._pulse = None, None
        if current is not None:
            await self._flush(current)
            await current.close()

    async def wait_retired(self, session: str | None) -> None:
        """Wait until a replaced connection is closed."""
        while session in self._retiring or session in self._closing:
            self._changed.clear()
            await self._changed.wait()

    # The pulse

    async def _watch(self, connection: Connection, pulse: Heartbeat) -> None:
        """Ask every second, and see whether anything comes back."""
        settings = self._local.settings
        rotate_at = self._rotation_of(connection)
        acknowledged = stack.acknowledged(connection.pc)
        beat_at = self._now
        while connection is self.current:
            now = self._now
            if now >= beat_at and connection.is_open:
                beat_at = now + settings.heartbeat_seconds
                self._say(connection, Beat(pulse.beat(now)))
            if (latest := stack.acknowledged(connection.pc)) != acknowledged and not pulse.is_silent:
                acknowledged = latest
                pulse.prove(now)
            if pulse.look(now):
                self._note_silent(connection)
            if now >= rotate_at:
                rotate_at = now + settings.connect_seconds
                self._peer.attempt("rotate", with_turn=connection.road == "turn")
            wake_at = max(beat_at if pulse.is_silent else min(beat_at, pulse.deadline), now + POLL_SECONDS)
            await asyncio.sleep(wake_at - self._now)
            if (late := self._now - wake_at) > HELD_UP_SECONDS:
                pulse.excuse(late)

    def _rotation_of(self, connection: Connection) -> float:
        """When its keys are too old; the answerer lets the offerer go first."""
        seconds = self._local.settings.rotate_seconds
        if not seconds:
            return float("inf")
        late = ROTATE_SPREAD if connection.role == "answerer" else 0.0
        return self._now + seconds * (1 + late + ROTATE_SPREAD / 2 * random.random())  # noqa: S311 - no secret

    def _hear(self, connection: Connection, data: str) -> bool:
        """Whether it was a word for us."""
        try:
            word = read_word(data)
        except EnvelopeError:
            return False
        match word:
            case Beat(number=number):
                self._say(connection, Echo(number))
            case Echo(number=number):
                self._note_echo(connection, number)
            case Leaving(reason=reason):
                self._note_leaving(connection, reason)
            case Agree() | Agreed() | Disagreed() if self._peer.channels_host is not None:
                self._peer.channels_host.word(connection, word)
            case _:
                return False
        return True

    def _note_echo(self, connection: Connection, number: int) -> None:
        pulse = self._pulse
        if connection is not self.current or pulse is None:
            return
        if pulse.echo(number, self._now):
            self._note_alive(connection)
        if pulse.rtt_seconds is not None:
            metrics.note_rtt(connection.road, pulse.rtt_seconds)

    def _note_silent(self, connection: Connection) -> None:
        metrics.note_dropped()
        connection.note_pulse(IceEvent.SILENT)
        self._note_down(connection, "no answer to the heartbeat")
        if self._local.mail is not None:
            self._local.mail.detach(self._peer.did, connection.session)
        self._peer.happen(Happening.SILENT)
        self._heal(lost=False)

    def _note_alive(self, connection: Connection) -> None:
        connection.note_pulse(IceEvent.ALIVE)
        self._local.incidents.note("direct_restored", self._peer.did, connection.session, "it answers again")
        if self._local.mail is not None:
            self._local.mail.attach(connection)
        self._peer.happen(Happening.ALIVE)
        self._changed.set()

    def _note_down(self, connection: Connection, why: str) -> None:
        self._local.incidents.note("relay_fallback", self._peer.did, connection.session, why)

    def _note_foreign(self, connection: Connection) -> None:
        self._foreign += 1
        if self._foreign == 1:
            self._local.incidents.note("foreign_frame", self._peer.did, connection.session, "a frame that is none")
        if self._foreign > FOREIGN_MAX:
            connection.end(ConnectionFailed(self._peer.did, "open", f"more than {FOREIGN_MAX} frames that are none"))

    # Healing

    def _heal(self, *, lost: bool) -> None:
        if self._healing is not None and not self._healing.done():
            self._healing.cancel()
        self._healing = self._start(self._try_again(lost=lost), "heal")

    async def _try_again(self, *, lost: bool) -> None:
        """Try until a connection works, whichever it is."""
        settings = self._local.settings
        waits = pauses(settings.heal_first_seconds, settings.heal_max_seconds, random.random, lost=lost)
        for attempt, pause in enumerate(waits, start=1):
            if await self._is_back(pause):
                return
            if not self._peer.is_negotiating:
                metrics.note_retried()
                self._peer.attempt("heal", with_turn=starts_with_turn(attempt))
            try:
                await self._peer.wait_connected()
            except AiconexusError:
                # Noted where it failed; the pauses become longer.
                continue
            return

    async def _is_back(self, seconds: float) -> bool:
        """Whether the peer is connected again before the time is over."""
        end = self._now + seconds
        while self._peer.state is not ConnectionState.CONNECTED:
            self._changed.clear()
            try:
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return True

    # The end of a connection

    def _note_leaving(self, connection: Connection, reason: str) -> None:
        retiring = self._retiring.get(connection.session)
        if retiring is not None:
            retiring.set()
        elif reason == REPLACED:
            # The other side was quicker to change over; we are about to.
            self._retiring[connection.session] = event = asyncio.Event()
            event.set()
        elif connection is self.current:
            self._peer.note_left(reason)

    async def _retire(self, former: Connection) -> None:
        """Make before break: what the former connection carries arrives, both sides say so, then it ends."""
        host, did = self._peer.channels_host, self._peer.did
        left = self._retiring.setdefault(former.session, asyncio.Event())
        try:
            if former.is_open:
                if self._local.mail is not None:
                    await self._local.mail.drained(did, former.session, DRAIN_SECONDS)
                if host is not None:
                    await host.drained(former.session, DRAIN_SECONDS)
                self._say(former, Leaving(REPLACED))
                await self._wait_left(left)
                await self._flush(former)
        finally:
            self._closing.add(former.session)
            self._retiring.pop(former.session, None)
            self._detach(former)
            self._local.crew.start(self._bury(former), f"retired-{former.session}")

    async def _bury(self, former: Connection) -> None:
        await former.close()
        self._closing.discard(former.session)
        self._changed.set()

    async def _wait_left(self, left: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await left.wait()
        except TimeoutError:
            return

    async def _flush(self, connection: Connection) -> None:
        """Wait, not too long, until the last word has left us and was acknowledged."""
        end = self._now + LEAVE_SECONDS / 4
        before = stack.outstanding(connection.pc)
        while before and connection.is_open and self._now < end:
            await asyncio.sleep(POLL_SECONDS)
            before = stack.outstanding(connection.pc)

    # Inside

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _attach(self, connection: Connection) -> None:
        if self._peer.channels_host is not None:
            self._peer.channels_host.attach(connection)
        if self._local.mail is not None:
            self._local.mail.attach(connection)

    def _detach(self, connection: Connection) -> None:
        if self._local.mail is not None:
            self._local.mail.detach(self._peer.did, connection.session)
        if self._peer.channels_host is not None:
            self._peer.channels_host.detach(connection.session)

    def _say(self, connection: Connection, word: Beat | Echo | Leaving) -> None:
        try:
            connection.send(write_word(word))
        except ChannelClosed:
            # Its end is told by the stack.
            return

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = self._local.crew.start(work, f"{name}-{self._peer.did}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
