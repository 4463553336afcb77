"""`aiconexus up`: the whole platform on this machine, until Ctrl-C."""

from typing import TYPE_CHECKING, Annotated

import typer

from aiconexus.cli.failure import Exit, Failure
from aiconexus.cli.options import DEFAULT_HOME, HomeOption

if TYPE_CHECKING:
    from rich.console import Console

    from aiconexus.cli.platform import Endpoints, Platform

SCALE_MAX = 16
SETTINGS_EVENT = ".settings_loaded"
"""Long, and of interest only to somebody who looks for something."""


def up(
    home: HomeOption = DEFAULT_HOME,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the edge: WebSocket and HTTP; 0 for a free one.")
    ] = 8000,
    nats_port: Annotated[int, typer.Option(min=0, max=65535, help="Of the bus; 0 for a free one.")] = 4222,
    scale: Annotated[
        list[str] | None, typer.Option(help="Processes of a service, such as relay=2; may be repeated.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what the services do in detail.")] = False,
) -> None:
    """Start the bus and all services, show what they say, and stop them with one Ctrl-C."""
    import asyncio

    from rich.console import Console

    from aiconexus.bus.ownership import SERVICES
    from aiconexus.cli.logview import line_of
    from aiconexus.cli.platform import Platform

    console = Console(soft_wrap=True, highlight=False, emoji=False)

    def show(name: str, raw: str) -> None:
        line = line_of(name, raw) if verbose or SETTINGS_EVENT not in raw else None
        if line is not None:
            console.print(line)

    prefixes = [f"AICONEXUS_{service.upper()}" for service in SERVICES]
    # The services speak JSON, and we make one readable stream of it.
    settings = {f"{prefix}_LOG_FORMAT": "json" for prefix in prefixes}
    if verbose:
        settings |= {f"{prefix}_LOG_LEVEL": "debug" for prefix in prefixes}
    platform = Platform(
        home,
        port=port,
        nats_port=nats_port,
        scale=_scale_of(scale or []),
        settings=settings,
        on_line=show,
    )
    asyncio.run(_until_told(platform, console))


async def _until_told(platform: "Platform", console: "Console") -> None:
    import asyncio
    import signal

    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    console.print("starting …", style="dim")
    starting = loop.create_task(platform.start())
    waiting = loop.create_task(told.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return
    _welcome(console, starting.result(), str(platform.home.path))
    await waiting
    console.print("stopping …", style="dim")
    await platform.stop()
    console.print("stopped; what was stored is in", str(platform.home.store), style="dim")


def _welcome(console: "Console", endpoints: "Endpoints", home: str) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_row("agents, native", endpoints.nats)
    table.add_row("agents, WebSocket", endpoints.ws)
    table.add_row("browser", f"{endpoints.http}/health")
    for name, url in endpoints.health.items():
        table.add_row(f"health of {name}", url)
    table.add_row("platform", endpoints.platform)
    table.add_row("home", home)
    console.print()
    console.print("AIConexus is up.", style="bold green", end=" ")
    console.print("Try `aiconexus status` in another terminal; Ctrl-C here stops everything.")
    console.print(table)
    console.print()


def _scale_of(texts: list[str]) -> dict[str, int]:
    from aiconexus.bus.ownership import SERVICES

    scale: dict[str, int] = {}
    for text in texts:
        service, _, count = text.partition("=")
        if service not in SERVICES or not count.isascii() or not count.isdigit() or not 1 <= int(count) <= SCALE_MAX:
            known = ", ".join(SERVICES)
            raise Failure(f"--scale wants SERVICE=1..{SCALE_MAX} with one of {known}, not {text!r}", Exit.USAGE)
        scale[service] = int(count)
    return scale
