"""What a test tells an agent behind a NAT, and what it hears from there: JSON, one line each."""

from collections.abc import Mapping
from typing import Any

import msgspec
from tests.integration.lives import Life

from aiconexus.protocol.signal_bodies import IceServer


class Spec(Life, frozen=True, kw_only=True):
    """
    What one agent is.

    ``direct`` are settings of the direct path where they differ from the defaults; ``servers`` None asks signaling.
    """

    subprotocol: str = "aiconexus.v1"
    direct: Mapping[str, Any] = {}
    servers: tuple[IceServer, ...] | None = None


class Order(msgspec.Struct, frozen=True, tag_field="do"):
    """What it shall do."""


class Connect(Order, frozen=True, tag="connect"):
    """Open a direct connection, and say ``Connected``."""

    did: str
    timeout: float


class Send(Order, frozen=True, tag="send"):
    """Send numbered mail from now on."""

    did: str
    label: str
    per_second: float = 20.0


class Settle(Order, frozen=True, tag="settle"):
    """Send no more, wait until all of it has come to its end, and say ``Settled``."""


Orders = Connect | Send | Settle


class Word(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """What it says; ``at`` is in seconds of the machine's monotonic clock."""

    at: float


class Online(Word, frozen=True, kw_only=True, tag="online"):
    """The platform has it."""


class Connected(Word, frozen=True, kw_only=True, tag="connected"):
    """How connecting ended: after how long, on which road; or why not, and in which phase."""

    seconds: float
    road: str = ""
    problem: str = ""
    phase: str = ""


class Road(Word, frozen=True, kw_only=True, tag="road"):
    """The road to the peer is another one."""

    road: str


class Standing(Word, frozen=True, kw_only=True, tag="state"):
    """The connection to the peer stands elsewhere."""

    state: str


class Settled(Word, frozen=True, kw_only=True, tag="settled"):
    """Nothing is under way any more."""


Words = Online | Connected | Road | Standing | Settled
