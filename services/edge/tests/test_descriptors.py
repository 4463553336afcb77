"""The limit of open files, tried in a process of its own."""

import subprocess
import sys

PROGRAM = """
import resource, sys
from aiconexus.edge.descriptors import allow
from aiconexus.protocol.errors import SettingsError
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1000))
try:
    allow(int(sys.argv[1]))
except SettingsError as error:
    print(error)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def tried(connections: int) -> str:
    """What a process with at most 1000 open files says of so many connections."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(connections)], capture_output=True, text=True, check=True)
    return done.stdout


def test_limit_is_raised_as_far_as_needed() -> None:
    """An edge takes the connections that its settings promise."""
    assert "628\n" == tried(500)


def test_promise_that_cannot_be_kept_is_a_mistake() -> None:
    """Settings beyond what the system allows are refused at the start, not when the agents come."""
    assert "2000 connections need 2128 open files" in tried(2000)
