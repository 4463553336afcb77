"""How an agent takes part in a mesh."""

from math import inf

import msgspec

from aiconexus.protocol.errors import SettingsError
from aiconexus.protocol.limits import HOPS_MAX
from aiconexus.sdk.topology import Rules


class MeshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    The settings of a mesh; every mistake is named at once.

    Args:
        name: All members use the same.
        ttl: Channels that a frame passes at most.
        at_once: Channels that we open at a time.
        gone_seconds: How long a member may be away before the others close the gap.
        absent_seconds: Likewise, from the start, for members that were never there.
        patience_seconds: How long a frame may go unanswered before another way is tried.
        tune_seconds: How often edges are judged by their costs; 0 never.
        rules: When an edge is exchanged.

    Raises:
        SettingsError: If anything is out of range.

    """

    name: str = "mesh"
    ttl: int = 8
    at_once: int = 8
    gone_seconds: float = 3.0
    absent_seconds: float = 30.0
    patience_seconds: float = 3.0
    tune_seconds: float = 30.0
    rules: Rules = Rules()

    def __post_init__(self) -> None:
        mistakes = []
        if not 1 <= self.ttl <= HOPS_MAX:
            mistakes.append(f"ttl is not between 1 and {HOPS_MAX}")
        if self.at_once < 1:
            mistakes.append("at_once is below 1")
        seconds = ("gone_seconds", "absent_seconds", "patience_seconds", "tune_seconds")
        mistakes += [f"{name} is not 0 or more" for name in seconds if not 0 <= getattr(self, name) <= inf]
        if mistakes:
            raise SettingsError(tuple(mistakes))
