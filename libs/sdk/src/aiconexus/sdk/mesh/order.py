"""Sessions between two agents that have no channel, and the order of frames in them."""

from aiconexus.protocol.ids import envelope_id

HELD_MAX = 256
"""Frames that wait for earlier ones; more than mail may have under way."""
HELD_MAX_BYTES = 2 * 1024 * 1024
HEX_OF_TIME = 12


class Order:
    """
    The receiving end of one session: frames come by several ways, and leave by their numbers.

    Args:
        session: Its name.

    """

    def __init__(self, session: str) -> None:
        self.session = session
        self._next = 0
        self._held: dict[int, bytes | str] = {}
        self._bytes = 0

    @property
    def is_begun(self) -> bool:
        """Whether a frame has come."""
        return self._next > 0 or bool(self._held)

    def take(self, number: int, frame: bytes | str) -> list[bytes | str]:
        """
        Take a frame.

        Returns:
            All that is in its turn now; nothing if the frame was there already, or is too far ahead.

        """
        is_next = number == self._next
        is_near = self._next < number < self._next + HELD_MAX and self._bytes + len(frame) <= HELD_MAX_BYTES
        if number not in self._held and (is_next or is_near):
            self._held[number] = frame
            self._bytes += len(frame)
        found = []
        while self._next in self._held:
            found.append(self._held.pop(self._next))
            self._bytes -= len(found[-1])
            self._next += 1
        return found


def session_after(former: str, now_ms: int, randomness: bytes) -> str:
    """
    Name a session so that it counts more than a former one: of two sessions the later name counts.

    Args:
        former: The one before, empty if there was none.
        now_ms: Our clock, which may be behind that of the other side.
        randomness: Ten random bytes.

    """
    digits = former.replace("-", "")[:HEX_OF_TIME]
    try:
        before_ms = int(digits, 16) if digits else 0
    except ValueError:
        # Not one of ours: then the other side is left alone with it.
        before_ms = 0
    return envelope_id(max(now_ms, min(before_ms + 1, 2**48 - 1)), randomness)
