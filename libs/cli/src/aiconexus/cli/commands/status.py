"""`aiconexus status`: what runs here, and how it is."""

from typing import TYPE_CHECKING

import typer

from aiconexus.cli.failure import Exit
from aiconexus.cli.options import DEFAULT_HOME, HomeOption, JsonOption, running

if TYPE_CHECKING:
    from aiconexus.cli.survey import Survey

COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red", "unreachable": "red"}


def status(home: HomeOption = DEFAULT_HOME, json: JsonOption = False) -> None:
    """Show the health of the platform that runs here, its streams and how many agents are connected."""
    import asyncio

    import msgspec

    from aiconexus.cli.survey import survey

    found = asyncio.run(survey(running(home)))
    if json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        _show(found)
    if not found.is_well:
        raise typer.Exit(Exit.FAILED)


def _show(found: "Survey") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, emoji=False)
    console.print(f"platform {found.platform} at {found.url}", soft_wrap=True)
    services = Table("service", "status", "up for", "why", box=None, pad_edge=False)
    for service in found.services:
        colour = COLOURS.get(service.status, "")
        uptime = f"{service.uptime_seconds:.0f} s" if service.uptime_seconds else ""
        services.add_row(service.name, f"[{colour}]{service.status}[/]", uptime, "; ".join(service.reasons))
    streams = Table("stream", "messages", "bytes", box=None, pad_edge=False)
    for stream in found.streams:
        streams.add_row(stream.name, str(stream.messages), str(stream.bytes))
    console.print()
    console.print(services)
    console.print()
    console.print(streams)
    console.print()
    console.print(f"agents connected: {found.agents['nats']} on NATS, {found.agents['edge']} on WebSocket")
