"""
How the edge closes a WebSocket, and what the agent should do then.

RFC 6455 section 7.4; private codes are 4000 to 4999. Below 4400 the agent connects again, from 4400 on it gives up.
"""

from enum import IntEnum

GIVE_UP = 4400


class Close(IntEnum):
    """Why a connection ends."""

    NORMAL = 1000
    GOING_AWAY = 1001
    TOO_LARGE = 1009
    TRY_LATER = 1013
    SILENT = 4000
    SLOW_READER = 4001
    NOT_REGISTERED = 4002
    TOO_FAST = 4003
    MALFORMED = 4400
    INVALID_SIGNATURE = 4401
    REFUSED = 4403
    UNSUPPORTED = 4406
    TAKEN_OVER = 4409


REASONS: dict[Close, str] = {
    Close.NORMAL: "unregistered",
    Close.GOING_AWAY: "the edge is going away, connect again",
    Close.TOO_LARGE: "frame too large",
    Close.TRY_LATER: "no room, try later",
    Close.SILENT: "no sign of life",
    Close.SLOW_READER: "you read too slowly",
    Close.NOT_REGISTERED: "no REGISTER in time",
    Close.TOO_FAST: "too many frames",
    Close.MALFORMED: "malformed frame",
    Close.INVALID_SIGNATURE: "invalid signature",
    Close.REFUSED: "refused",
    Close.UNSUPPORTED: "unsupported version or subprotocol",
    Close.TAKEN_OVER: "another session took over",
}


def gives_up(code: int) -> bool:
    """Whether connecting again is pointless."""
    return code in (Close.NORMAL, Close.TOO_LARGE) or code >= GIVE_UP
