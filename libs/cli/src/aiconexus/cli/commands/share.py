"""`aiconexus share`: bring a file to another agent."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiconexus.cli.options import DEFAULT_HOME, HomeOption, IdentityOption, JsonOption, UrlOption

if TYPE_CHECKING:
    from aiconexus.sdk import Agent
    from aiconexus.sdk.sharing.giving import Shared, Step

OnStep = Callable[["Step"], None]


def share(
    file: Annotated[Path, typer.Argument(help="The file.", exists=True, dir_okay=False, show_default=False)],
    did: Annotated[str, typer.Argument(help="To whom.", show_default=False)],
    *,
    name: Annotated[str | None, typer.Option(help="What it is to be called there.", show_default=False)] = None,
    relay: Annotated[
        bool, typer.Option("--relay", help="Do not try for a direct connection; the mailbox is slower.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds in which it must be there.")] = 3600,
    json: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """
    Bring a file to an agent that takes files, such as `aiconexus receive`; done when it has the whole.

    If this ends early, the same command goes on where the recipient had come to.
    """
    import asyncio

    from aiconexus.cli.shown import in_one_line, json_of, printable
    from aiconexus.cli.speaking import agent_of
    from aiconexus.protocol.did import public_key_of

    public_key_of(did)
    _check_name(name or file.name)
    agent = agent_of(home, url, identity, name="share")
    with _shown(file.name, is_quiet=json) as on_step:
        sharing = agent.share(file, did, name=name, progress=on_step, direct=not relay)
        shared = asyncio.run(_share(agent, sharing, timeout))
    if json:
        typer.echo(json_of(shared))
    else:
        typer.echo(
            f"{in_one_line(printable(shared.name))}: {shared.size} bytes in {shared.seconds:.1f} s, last {shared.road}"
        )


def _check_name(name: str) -> None:
    """Whoever typed it can give another one."""
    from aiconexus.cli.failure import Exit, Failure
    from aiconexus.protocol.direct_errors import TransferRefused
    from aiconexus.sdk.sharing.manifest import check_name

    try:
        check_name(name)
    except TransferRefused as error:
        raise Failure(f"{error}; give it another one with --name", Exit.USAGE) from error


async def _share(agent: "Agent", sharing: "Coroutine[Any, Any, Shared]", seconds: float) -> "Shared":
    import asyncio
    import contextlib

    from aiconexus.cli.speaking import connected

    with contextlib.closing(sharing):
        async with connected(agent), asyncio.timeout(seconds):
            return await sharing


@contextmanager
def _shown(name: str, *, is_quiet: bool) -> Iterator[OnStep]:
    """A progress bar on standard error, if somebody looks at it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[road]}"),
    )
    with Progress(*columns, console=console, disable=is_quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(name, total=None, road="")

        def show(step: "Step") -> None:
            bar.update(task, completed=step.done, total=step.total, road=step.road)

        yield show
