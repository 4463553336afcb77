"""The way to one member with whom we have no channel: what mail takes for a pipe, over others."""

import os
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.frames import Beat, Hop, write_word
from aiconexus.protocol.hops import frame_in, sign_hop
from aiconexus.protocol.ids import RANDOM_BYTES
from aiconexus.protocol.keys import SigningKey
from aiconexus.sdk.direct.mail import Mail
from aiconexus.sdk.mesh import metrics
from aiconexus.sdk.mesh.order import Order, session_after

ROAD = "mesh"
TRIES_MAX = 2
"""Ways that are tried, one after the other, before mail goes through the relay."""
ANSWERS_MAX = 4.0
"""So many usual answer times are waited for, if that is more than our patience: a busy mesh must not get more to do."""
SMOOTHING = 1 / 8
REST_SECONDS = 10.0
"""How long the relay is then used."""
REMIND_SECONDS = 1.0


class MeshPipe:
    """
    One session, as mail sees it.

    Args:
        did: The other end.
        session: Its name.
        emit: Sends a frame with its number.

    """

    road = ROAD
    buffered_amount = 0

    def __init__(self, did: str, session: str, emit: Callable[["MeshPipe", int, bytes | str], None]) -> None:
        self.did = did
        self.session = session
        self.is_open = True
        self._emit = emit
        self._number = 0

    @property
    def is_begun(self) -> bool:
        """Whether anything was sent in it."""
        return self._number > 0

    def send(self, frame: bytes | str) -> None:
        """
        Send a frame.

        Raises:
            ChannelClosed: If another session took the place of this one.

        """
        if not self.is_open:
            raise ChannelClosed(self.session)
        number, self._number = self._number, self._number + 1
        self._emit(self, number, frame)


class Pace:
    """
    How long answers usually take, from whomever.

    Args:
        patience_seconds: What we wait at least.

    """

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._usual_seconds = 0.0

    def note(self, seconds: float) -> None:
        """An answer took so long."""
        self._usual_seconds += (seconds - self._usual_seconds) * SMOOTHING

    def patience_seconds(self, tries: int) -> float:
        """How long to wait after so many tries that failed; each time twice as long."""
        return max(self._patience_seconds, ANSWERS_MAX * self._usual_seconds) * float(2**tries)


class Sending(NamedTuple):
    """
    How frames leave us.

    ``hand_on`` sends a hop to a neighbour other than those named, and says to which; None if there is none. ``watch``
    has a way looked at once in a while, until there is nothing to see.
    """

    key: SigningKey
    ttl: int
    pace: Pace
    hand_on: Callable[[Hop, frozenset[str]], str | None]
    clock: Callable[[], float]
    watch: Callable[["Way"], None]


class Way:
    """
    What we know of one member that we reach over others.

    Args:
        did: The member.
        mail: May use it.
        sending: How frames leave us.
        on_word: Told of words that are not mail's.

    """

    def __init__(self, did: str, mail: Mail, sending: Sending, on_word: Callable[[str, str], None]) -> None:
        self.did = did
        self.is_used = False
        self._mail = mail
        self._sending = sending
        self._on_word = on_word
        self._pipe: MeshPipe | None = None
        self._order = Order("")
        self._left = ""
        self._waiting_since: float | None = None
        self._tries = 0
        self._firsts: set[str] = set()
        self._failed: frozenset[str] = frozenset()
        self._rests_until = 0.0
        self._reminded_at = -REMIND_SECONDS

    def use(self) -> None:
        """Have mail go this way, in a new session: a member that was away may know nothing of the one before."""
        if not self.is_used:
            self.is_used = True
            self._rests_until = 0.0
            if self._pipe is None or self._pipe.is_begun or self._order.is_begun:
                self._begin(None)
            else:
                self._mail.attach(self._pipe)

    def leave(self) -> None:
        """Have mail go another way: there is a channel now, or nobody is there."""
        if self.is_used:
            self.is_used = False
            self._stop()

    def say(self, text: str) -> None:
        """Send a word that is not mail's."""
        self._present.send(text)

    def take(self, hop: Hop) -> None:
        """Take a frame that the other end has signed."""
        pipe = self._session_of(hop)
        if pipe is None:
            self._remind()
            return
        try:
            arrived = frame_in(hop)
        except UnicodeDecodeError:
            # No word of ours, whoever signed it; the session ends here, as its number is missing.
            return
        for frame in self._order.take(hop.number, arrived):
            self._note_progress()
            if not self._mail.frame(pipe, frame) and isinstance(frame, str):
                self._on_word(self.did, frame)

    def look(self) -> bool:
        """
        Try another way if nothing comes back, and the relay in the end.

        Returns:
            Whether there is more to look at.

        """
        now = self._sending.clock()
        if self._rests_until:
            if now >= self._rests_until and self.is_used:
                self._rests_until, self._tries, self._failed = 0.0, 0, frozenset()
                self._begin(None)
            return bool(self._rests_until) and self.is_used
        carriage = self._mail.to(self.did)
        if carriage is None or carriage.pipe is not self._pipe or carriage.is_idle:
            self._waiting_since = None
        elif self._waiting_since is not None and now - self._waiting_since > self._patience_seconds:
            self._fail(now)
        return self._waiting_since is not None or bool(self._rests_until)

    @property
    def _patience_seconds(self) -> float:
        return self._sending.pace.patience_seconds(self._tries)

    @property
    def _present(self) -> MeshPipe:
        return self._pipe or self._begin(None)

    def _session_of(self, hop: Hop) -> MeshPipe | None:
        """The session of a frame; None if it is over, or ours counts more and something was said in it."""
        pipe = self._pipe
        if pipe is not None and hop.session == pipe.session:
            return pipe
        if hop.session <= self._left or (pipe is not None and pipe.is_begun and hop.session < pipe.session):
            return None
        # Whoever takes up a session can be reached.
        self._rests_until = 0.0
        return self._begin(hop.session)

    def _remind(self) -> None:
        """Tell the other end which session counts, once in a while."""
        now = self._sending.clock()
        if now - self._reminded_at >= REMIND_SECONDS:
            self._reminded_at = now
            self._present.send(write_word(Beat(0)))

    def _begin(self, session: str | None) -> MeshPipe:
        """Take up a session: theirs, or a new one of ours."""
        former = self._pipe
        if former is not None and (former.is_begun or self._order.is_begun):
            self._left = max(self._left, former.session)
        latest = max(self._left, "" if former is None else former.session)
        name = session or session_after(latest, now_ms(), os.urandom(RANDOM_BYTES))
        self._order = Order(name)
        pipe = self._pipe = MeshPipe(self.did, name, self._emit)
        self._waiting_since = None
        self._firsts = set()
        if self.is_used and not self._rests_until:
            self._mail.attach(pipe)
        if former is not None:
            former.is_open = False
            self._mail.detach(self.did, former.session)
        return pipe

    def _stop(self) -> None:
        if self._pipe is not None:
            self._mail.detach(self.did, self._pipe.session)
        self._waiting_since = None

    def _note_progress(self) -> None:
        self._tries = 0
        self._failed = frozenset()
        if self._waiting_since is not None and self._waiting_since != -inf:
            now = self._sending.clock()
            self._sending.pace.note(now - self._waiting_since)
            metrics.note_answer(now - self._waiting_since)
            self._waiting_since = now

    def _fail(self, now: float) -> None:
        self._tries += 1
        self._failed |= self._firsts
        if self._tries < TRIES_MAX:
            metrics.note_detour()
            self._begin(None)
            return
        metrics.note_fallback()
        self._rests_until = now + REST_SECONDS
        self._sending.watch(self)
        self._stop()

    def _emit(self, pipe: MeshPipe, number: int, frame: bytes | str) -> None:
        sending = self._sending
        hop = sign_hop(sending.key, self.did, pipe.session, number, frame, hops=sending.ttl)
        first = sending.hand_on(hop, self._failed) or sending.hand_on(hop, frozenset())
        if first is not None:
            self._firsts.add(first)
        else:
            self._tries = TRIES_MAX
        if isinstance(frame, bytes) and self._waiting_since is None:
            self._waiting_since = sending.clock() if first is not None else -inf
            sending.watch(self)
