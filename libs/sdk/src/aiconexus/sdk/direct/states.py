"""
Where a connection and a peer can stand, and what leads from one state to the next: these tables are all there is.

Everything that changes a state goes through ``advance``, and whatever stands in no table cannot happen. This module
knows neither the WebRTC stack nor which side we are.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from aiconexus.protocol.direct_errors import UnexpectedSignal


class ConnectionState(StrEnum):
    """Where a peer stands; ``failed`` and ``closed`` are for good, ``disconnected`` is being healed."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


class Happening(StrEnum):
    """What changes the state of a peer."""

    ATTEMPT = "attempt"
    ESTABLISHED = "established"
    SILENT = "silent"
    ALIVE = "alive"
    LOST = "lost"
    GIVEN_UP = "given_up"
    CLOSE = "close"


PEER: Mapping[ConnectionState, Mapping[Happening, ConnectionState]] = {
    ConnectionState.NEW: {
        Happening.ATTEMPT: ConnectionState.CONNECTING,
        Happening.CLOSE: ConnectionState.CLOSED,
    },
    ConnectionState.CONNECTING: {
        Happening.ATTEMPT: ConnectionState.CONNECTING,
        Happening.ESTABLISHED: ConnectionState.CONNECTED,
        Happening.GIVEN_UP: ConnectionState.FAILED,
        Happening.CLOSE: ConnectionState.CLOSED,
    },
    ConnectionState.CONNECTED: {
        Happening.ATTEMPT: ConnectionState.CONNECTED,
        Happening.ESTABLISHED: ConnectionState.CONNECTED,
        Happening.ALIVE: ConnectionState.CONNECTED,
        Happening.SILENT: ConnectionState.DISCONNECTED,
        Happening.LOST: ConnectionState.DISCONNECTED,
        Happening.CLOSE: ConnectionState.CLOSED,
    },
    ConnectionState.DISCONNECTED: {
        Happening.ATTEMPT: ConnectionState.DISCONNECTED,
        Happening.ESTABLISHED: ConnectionState.CONNECTED,
        Happening.ALIVE: ConnectionState.CONNECTED,
        Happening.LOST: ConnectionState.DISCONNECTED,
        Happening.GIVEN_UP: ConnectionState.FAILED,
        Happening.CLOSE: ConnectionState.CLOSED,
    },
    ConnectionState.FAILED: {Happening.CLOSE: ConnectionState.CLOSED},
    ConnectionState.CLOSED: {},
}


class IceState(StrEnum):
    """Where ICE stands, RFC 8445 and RTCIceConnectionState; ``disconnected`` is what our heartbeat says."""

    NEW = "new"
    CHECKING = "checking"
    COMPLETED = "completed"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


class IceEvent(StrEnum):
    """What the stack says of ICE, and what the heartbeat does."""

    CHECKING = "checking"
    COMPLETED = "completed"
    FAILED = "failed"
    CLOSED = "closed"
    SILENT = "silent"
    ALIVE = "alive"


ICE: Mapping[IceState, Mapping[IceEvent, IceState]] = {
    IceState.NEW: {
        IceEvent.CHECKING: IceState.CHECKING,
        IceEvent.COMPLETED: IceState.COMPLETED,
        IceEvent.FAILED: IceState.FAILED,
        IceEvent.CLOSED: IceState.CLOSED,
    },
    IceState.CHECKING: {
        IceEvent.COMPLETED: IceState.COMPLETED,
        IceEvent.FAILED: IceState.FAILED,
        IceEvent.CLOSED: IceState.CLOSED,
    },
    IceState.COMPLETED: {
        IceEvent.SILENT: IceState.DISCONNECTED,
        IceEvent.FAILED: IceState.FAILED,
        IceEvent.CLOSED: IceState.CLOSED,
    },
    IceState.DISCONNECTED: {
        IceEvent.ALIVE: IceState.COMPLETED,
        IceEvent.FAILED: IceState.FAILED,
        IceEvent.CLOSED: IceState.CLOSED,
    },
    IceState.FAILED: {IceEvent.CLOSED: IceState.CLOSED},
    IceState.CLOSED: {},
}


class Step(StrEnum):
    """How far one session has come, RFC 9429 section 3.2 and what follows it."""

    NEW = "new"
    DESCRIBING = "describing"
    OFFERED = "offered"
    CONNECTING = "connecting"
    OPENING = "opening"
    GREETING = "greeting"
    ESTABLISHED = "established"
    ENDED = "ended"


class Turn(StrEnum):
    """What takes a session further."""

    DESCRIBE = "describe"
    OFFER_SENT = "offer_sent"
    ANSWER_SENT = "answer_sent"
    ANSWER_TAKEN = "answer_taken"
    TRANSPORT_UP = "transport_up"
    CHANNEL_OPEN = "channel_open"
    HELLO_VERIFIED = "hello_verified"
    END = "end"


SESSION: Mapping[Step, Mapping[Turn, Step]] = {
    Step.NEW: {Turn.DESCRIBE: Step.DESCRIBING, Turn.END: Step.ENDED},
    Step.DESCRIBING: {Turn.OFFER_SENT: Step.OFFERED, Turn.ANSWER_SENT: Step.CONNECTING, Turn.END: Step.ENDED},
    Step.OFFERED: {Turn.ANSWER_TAKEN: Step.CONNECTING, Turn.END: Step.ENDED},
    Step.CONNECTING: {Turn.TRANSPORT_UP: Step.OPENING, Turn.END: Step.ENDED},
    Step.OPENING: {Turn.CHANNEL_OPEN: Step.GREETING, Turn.END: Step.ENDED},
    Step.GREETING: {Turn.HELLO_VERIFIED: Step.ESTABLISHED, Turn.END: Step.ENDED},
    Step.ESTABLISHED: {Turn.END: Step.ENDED},
    Step.ENDED: {Turn.END: Step.ENDED},
}

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


def advance(table: Mapping[State, Mapping[Event, State]], state: State, event: Event) -> State:
    """
    The next state.

    Raises:
        UnexpectedSignal: If the event has no place here.

    """
    try:
        return table[state][event]
    except KeyError as error:
        raise UnexpectedSignal(state, event) from error


class Verdict(StrEnum):
    """What becomes of an OFFER: it is answered, or ours goes on and theirs is passed over."""

    TAKE = "take"
    PASS_OVER = "pass_over"  # noqa: S105 - no password


def judge_offer(us: str, them: str, pending: Step | None, *, ours: bool) -> Verdict:
    """
    Resolve glare: both sides offer at once, and exactly one of the offers must count.

    The offer of the lower DID yields. Only an offer that is out and unanswered can cross another one; in every other
    state the other side knows of ours, has given it up, or never heard of it.

    Args:
        us: Our DID.
        them: The sender of the OFFER.
        pending: How far the negotiation has come that is under way, if there is one.
        ours: Whether that one is an offer of ours.

    """
    crossed = ours and pending is Step.OFFERED
    return Verdict.PASS_OVER if crossed and us > them else Verdict.TAKE
