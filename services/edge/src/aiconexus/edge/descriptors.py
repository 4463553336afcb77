"""Open files: a WebSocket needs one each, and many systems give a process only 1024 unless it asks."""

import resource

from aiconexus.protocol.errors import SettingsError

SPARE = 128
"""For the bus, the other port, connections that are just being refused, and Python itself."""


def allow(connections: int) -> None:
    """
    Ask for as many open files as this many connections need.

    Raises:
        SettingsError: If the system does not give that many.

    """
    needed = connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SettingsError([f"{connections} connections need {needed} open files, the system allows {hard}"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
