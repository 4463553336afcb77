"""The process's wall clock and entropy, in one place: the protocol takes both as arguments."""

import os
import time

from aiconexus.protocol.ids import RANDOM_BYTES, envelope_id


def now_ms() -> int:
    """Whole milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A fresh envelope id."""
    return envelope_id(now_ms(), os.urandom(RANDOM_BYTES))
