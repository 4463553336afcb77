"""`aiconexus listen`: be there, and print what comes."""

from typing import TYPE_CHECKING, Annotated

import typer

from aiconexus.cli.options import DEFAULT_HOME, HomeOption, IdentityOption, JsonOption, UrlOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiconexus.sdk import Agent, Delivery


def listen(
    *,
    count: Annotated[int, typer.Option(min=0, help="End after so many envelopes; 0 never ends.")] = 0,
    json: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """
    Print every message as it comes, until Ctrl-C; whoever sent it learns that it was processed.

    It speaks as HOME/agents/listen.key, so that `aiconexus send` can be used beside it.
    """
    import asyncio

    from aiconexus.cli.speaking import agent_of

    agent = agent_of(home, url, identity, name="listen")
    asyncio.run(_listen(agent, _print_json if json else _print_text, count))


async def _listen(agent: "Agent", show: "Callable[[Delivery], None]", count: int) -> None:
    import asyncio
    import signal

    from aiconexus.cli.speaking import connected

    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done.set)
    shown = 0

    async def take(delivery: "Delivery") -> None:
        nonlocal shown
        show(delivery)
        shown += 1
        if shown == count:
            done.set()

    for type_ in ("MESSAGE", "INTENT"):
        agent.on(type_, interrupted="rerun")(take)
    async with connected(agent):
        typer.echo(f"listening as {agent.did}; Ctrl-C ends it", err=True)
        ended = loop.create_task(agent.wait_closed())
        waiting = loop.create_task(done.wait())
        await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if ended.done():
            ended.result()
        ended.cancel()


def _print_json(delivery: "Delivery") -> None:
    from aiconexus.cli.shown import delivery_of, json_of

    typer.echo(json_of(delivery_of(delivery)))


def _print_text(delivery: "Delivery") -> None:
    from aiconexus.cli.shown import indented, printable, text_of

    typer.echo(f"{delivery.sender}: {printable(indented(text_of(delivery.content)))}")
