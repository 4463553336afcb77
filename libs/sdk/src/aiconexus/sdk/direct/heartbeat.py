"""
Notice that nobody answers any more, long before the stack does; the clock is handed in.

Only what comes back proves a connection: in a one-way cut the other side is still heard.
"""

ROUND_TRIPS_MAX = 4.0
"""A slow way gets this many round trips before it counts as silent."""
ECHOES_TO_RETURN = 2
"""A silent connection counts again after so many answers in a row."""
SMOOTHING = 1 / 8
JITTER_SMOOTHING = 1 / 16
PENDING_MAX = 64


class Heartbeat:
    """
    The pulse of one connection.

    Args:
        dead_seconds: How long it may be silent.
        now: Seconds of a clock that does not jump.

    """

    def __init__(self, dead_seconds: float, now: float) -> None:
        self.is_silent = False
        self.rtt_seconds: float | None = None
        self.latest_seconds: float | None = None
        """The last round trip as it was."""
        self.jitter_seconds = 0.0
        """How much round trips differ from one to the next, smoothed as in RFC 3550 section 6.4.1."""
        self._dead_seconds = dead_seconds
        self._proven = now
        self._number = 0
        self._sent: dict[int, float] = {}
        self._echoes = 0

    @property
    def patience_seconds(self) -> float:
        """How long no proof may come."""
        return max(self._dead_seconds, ROUND_TRIPS_MAX * (self.rtt_seconds or 0.0))

    @property
    def deadline(self) -> float:
        """When the connection counts as silent unless something comes back."""
        return self._proven + self.patience_seconds

    def beat(self, now: float) -> int:
        """Ask; the number is to come back."""
        self._number += 1
        self._sent[self._number] = now
        if len(self._sent) > PENDING_MAX:
            del self._sent[next(iter(self._sent))]
        return self._number

    def awaits(self, number: int) -> bool:
        """Whether a question is out that has not been answered."""
        return number in self._sent

    def echo(self, number: int, now: float) -> bool:
        """
        Take an answer.

        Returns:
            Whether a silent connection is alive again.

        """
        sent = self._sent.pop(number, None)
        if sent is None:
            return False
        for older in [each for each in self._sent if each < number]:
            del self._sent[older]
        self._measure(now - sent)
        return self.prove(now)

    def prove(self, now: float) -> bool:
        """
        Take other proof that something came back: an acknowledgement of what we sent.

        Args:
            now: Not later than it came.

        Returns:
            Whether a silent connection is alive again.

        """
        self._proven = max(self._proven, now)
        if not self.is_silent:
            return False
        self._echoes += 1
        if self._echoes < ECHOES_TO_RETURN:
            return False
        self.is_silent = False
        return True

    def excuse(self, seconds: float) -> None:
        """Leave out of account what we ourselves were held up: the answer may lie in our socket."""
        self._proven += seconds

    def look(self, now: float) -> bool:
        """
        See whether the time is over.

        Returns:
            Whether the connection has just become silent.

        """
        if now < self.deadline:
            return False
        self._echoes = 0
        if self.is_silent:
            return False
        self.is_silent = True
        return True

    def _measure(self, seconds: float) -> None:
        if self.latest_seconds is not None:
            self.jitter_seconds += (abs(seconds - self.latest_seconds) - self.jitter_seconds) * JITTER_SMOOTHING
        self.latest_seconds = seconds
        known = self.rtt_seconds
        self.rtt_seconds = seconds if known is None else known + (seconds - known) * SMOOTHING
