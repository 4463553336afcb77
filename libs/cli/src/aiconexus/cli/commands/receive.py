"""`aiconexus receive`: take files from other agents."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiconexus.cli.options import DEFAULT_HOME, HomeOption, IdentityOption, JsonOption, UrlOption

if TYPE_CHECKING:
    from aiconexus.sdk import Agent
    from aiconexus.sdk.sharing.taking import Offered, ReceivedFile

MIB = 1024 * 1024


def receive(
    *,
    folder: Annotated[Path, typer.Option(file_okay=False, help="Where files are put.")] = Path(),
    sender: Annotated[
        list[str] | None, typer.Option("--from", help="Take files of this DID only; may be repeated.")
    ] = None,
    max_mib: Annotated[int, typer.Option(min=1, help="The largest file, in MiB.")] = 4096,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of the same name; otherwise new ones get a number.")
    ] = False,
    count: Annotated[int, typer.Option(min=0, help="End after so many files; 0 never ends.")] = 0,
    json: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """
    Take files that others share, until Ctrl-C; what is not whole yet is gone on with the next time.

    It speaks as HOME/agents/receive.key.
    """
    import asyncio

    from aiconexus.cli.speaking import agent_of
    from aiconexus.protocol.did import public_key_of

    for did in sender or ():
        public_key_of(did)

    def accept(offered: "Offered") -> bool:
        return not sender or offered.sender in sender

    agent = agent_of(home, url, identity, name="receive")
    agent.receive_files(folder, accept=accept, max_bytes=max_mib * MIB, overwrite=overwrite)
    asyncio.run(_receive(agent, count, as_json=json))


async def _receive(agent: "Agent", count: int, *, as_json: bool) -> None:
    import asyncio
    import signal

    from aiconexus.cli.speaking import connected

    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done.set)
    taken = 0

    def note(file: "ReceivedFile") -> None:
        nonlocal taken
        _print(file, as_json=as_json)
        taken += 1
        if taken == count:
            done.set()

    agent.on_file(note)
    async with connected(agent):
        typer.echo(f"receiving as {agent.did}; Ctrl-C ends it", err=True)
        ended, waiting = loop.create_task(agent.wait_closed()), loop.create_task(done.wait())
        await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if ended.done():
            ended.result()
        ended.cancel()


def _print(file: "ReceivedFile", *, as_json: bool) -> None:
    from aiconexus.cli.shown import json_of, printable

    if as_json:
        fields = {"sender": file.sender, "path": str(file.path), "name": file.name, "size": file.size}
        typer.echo(json_of(fields | {"sha256": file.sha256}))
    else:
        typer.echo(f"{file.sender}: {printable(str(file.path))}, {file.size} bytes")
