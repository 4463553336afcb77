"""
The command `aiconexus`.

Each command lives in a module of its own and imports what it needs when it runs, so that `--help` is quick.
"""

import sys

import typer

from aiconexus.cli.commands.agents import agents
from aiconexus.cli.commands.call import call
from aiconexus.cli.commands.dead_letters import dead_letters
from aiconexus.cli.commands.demo import demo
from aiconexus.cli.commands.init import init
from aiconexus.cli.commands.jobs import jobs
from aiconexus.cli.commands.keygen import keygen
from aiconexus.cli.commands.listen import listen
from aiconexus.cli.commands.receive import receive
from aiconexus.cli.commands.send import send
from aiconexus.cli.commands.share import share
from aiconexus.cli.commands.status import status
from aiconexus.cli.commands.topology import topology
from aiconexus.cli.commands.up import up
from aiconexus.cli.failure import sentence_of, status_of
from aiconexus.cli.shown import printable
from aiconexus.protocol.errors import AiconexusError

commands = typer.Typer(
    help="Signed envelopes between agents. Start with `aiconexus up`, then try `aiconexus agents` beside it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for function in (up, demo, init, keygen, status, agents, send, listen, call, share, receive, jobs):
    commands.command()(function)
commands.add_typer(dead_letters, name="dead-letters")
commands.add_typer(topology, name="topology")


def app() -> int:
    """
    Run the command line.

    Returns:
        The exit status: 0 done, 1 failed, 2 wrong use or settings, 3 no platform there, 4 refused, 5 timed out.

    """
    try:
        commands()
    except (AiconexusError, OSError, TimeoutError) as error:
        sys.stderr.write(f"aiconexus: {printable(sentence_of(error))}\n")
        return status_of(error)
    return 0
