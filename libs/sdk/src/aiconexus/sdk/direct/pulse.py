"""The heartbeat of one connection at work, and the age of its keys."""

import asyncio
import random
from collections.abc import Callable

from aiconexus.protocol.direct_errors import ChannelClosed, ConnectionFailed
from aiconexus.protocol.frames import Beat, write_word
from aiconexus.sdk.direct import metrics, stack
from aiconexus.sdk.direct.connection import Connection
from aiconexus.sdk.direct.heartbeat import Heartbeat
from aiconexus.sdk.direct.hello import ANSWERER
from aiconexus.sdk.direct.settings import Direct

HELD_UP_SECONDS = 0.25
"""When we wake up so much later than we wanted, this process was busy with something else."""
NAP_SECONDS = 0.02
ROTATE_SPREAD = 0.1


class Pulse:
    """
    Asks the other side every second, and tells when nothing comes back.

    Args:
        connection: Which one.
        settings: How often, how long, and how much may pile up.
        on_silent: Told when nothing came back for too long.
        on_alive: Told when the other side answers again.
        on_old: Told when the keys are old.

    """

    def __init__(
        self,
        connection: Connection,
        settings: Direct,
        *,
        on_silent: Callable[[], None],
        on_alive: Callable[[], None],
        on_old: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._on_silent = on_silent
        self._on_alive = on_alive
        self._on_old = on_old
        self._heart = Heartbeat(settings.dead_seconds, self._now)
        self._acknowledged = stack.acknowledged(connection.pc)
        self._looked_at = self._now
        self._echoes = 0

    @property
    def is_silent(self) -> bool:
        """Whether nothing comes back."""
        return self._heart.is_silent

    @property
    def rtt_seconds(self) -> float | None:
        """The smoothed round trip."""
        return self._heart.rtt_seconds

    def take_trip(self) -> tuple[float, float] | None:
        """The latest round trip and the jitter, once each; None if no answer came since."""
        echoes, self._echoes = self._echoes, 0
        latest = self._heart.latest_seconds
        return None if not echoes or latest is None else (latest, self._heart.jitter_seconds)

    async def run(self) -> None:
        """Beat until cut off."""
        beat_at, old_at = self._now, self._old_at()
        while True:
            now = self._now
            if now >= beat_at:
                beat_at = now + self._settings.heartbeat_seconds
                self._beat(now)
                self._check_memory()
            self._look(now)
            if now >= old_at:
                old_at = now + self._settings.connect_seconds
                self._on_old()
            wake_at = beat_at if self.is_silent else min(beat_at, self._heart.deadline)
            wake_at = max(min(wake_at, old_at), now + NAP_SECONDS)
            await asyncio.sleep(wake_at - self._now)
            if (late := self._now - wake_at) > HELD_UP_SECONDS:
                self._heart.excuse(late)

    def note_echo(self, number: int) -> None:
        """An answer came; one to what we never asked says nothing."""
        if not self._heart.awaits(number):
            return
        is_back = self._heart.echo(number, self._now)
        self._echoes += 1
        if self._heart.latest_seconds is not None:
            metrics.note_rtt(self._connection.road, self._heart.latest_seconds)
        if is_back:
            self._on_alive()

    def _beat(self, now: float) -> None:
        try:
            self._connection.send(write_word(Beat(self._heart.beat(now))))
        except ChannelClosed:
            # The stack tells of its end.
            return

    def _check_memory(self) -> None:
        """End a connection that the other side makes keep more and more."""
        connection, settings = self._connection, self._settings
        incomplete, unsent = stack.incomplete_bytes(connection.pc), connection.buffered_amount
        # Whoever uses the system channel waits long before: only a peer that asks and does not listen comes so far.
        if incomplete > settings.incomplete_max_bytes or unsent > settings.unsent_max_bytes:
            reason = f"{incomplete} bytes of messages without an end, {unsent} bytes that the peer does not take"
            connection.end(ConnectionFailed(connection.did, "open", reason))

    def _look(self, now: float) -> None:
        latest = stack.acknowledged(self._connection.pc)
        if latest != self._acknowledged and not self.is_silent:
            # Mail may fill the channel, so that the beat waits in it; its acknowledgement proves as much. When it
            # came since the last look is not known.
            self._heart.prove(self._looked_at)
        self._acknowledged, self._looked_at = latest, now
        if self._heart.look(now):
            self._on_silent()

    def _old_at(self) -> float:
        """When the keys are too old; the answerer lets the offerer go first."""
        seconds = self._settings.rotate_seconds
        if not seconds:
            return float("inf")
        late = ROTATE_SPREAD if self._connection.role == ANSWERER else 0.0
        return self._now + seconds * (1 + late + ROTATE_SPREAD / 2 * random.random())  # noqa: S311 - no secret

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()
