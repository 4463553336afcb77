"""
The life of peers and channels as log lines of ``logging``, for whoever runs the agent.

The logger is ``aiconexus.direct``. The facts are in the line, and as fields for formatters that write fields. A session
is the trace id of a connection: both ends, signaling's log and incidents name it.
"""

import logging

_log = logging.getLogger("aiconexus.direct")


def note_peer(peer: str, session: str | None, state: str, road: str) -> None:
    """A peer stands elsewhere now, or is reached another way."""
    facts = {"peer": peer, "session": session, "state": state, "road": road}
    _log.info("direct.peer_changed peer=%(peer)s session=%(session)s state=%(state)s road=%(road)s", facts, extra=facts)


def note_channel(peer: str, session: str | None, label: str, state: str) -> None:
    """A channel stands elsewhere now."""
    facts = {"peer": peer, "session": session, "label": label, "state": state}
    _log.info(
        "direct.channel_changed peer=%(peer)s session=%(session)s label=%(label)r state=%(state)s", facts, extra=facts
    )
