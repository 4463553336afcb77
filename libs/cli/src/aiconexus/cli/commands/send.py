"""`aiconexus send`: put an envelope into somebody's mailbox."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiconexus.cli.failure import Exit, Failure
from aiconexus.cli.options import DEFAULT_HOME, HomeOption, IdentityOption, JsonOption, UrlOption, WaitOption

if TYPE_CHECKING:
    from aiconexus.sdk import Agent, Sent


def send(
    did: Annotated[str, typer.Argument(help="To whom.", show_default=False)],
    text: Annotated[str | None, typer.Argument(help="What to say.", show_default=False)] = None,
    *,
    file: Annotated[
        Path | None, typer.Option(help="Say what is in this file; - reads standard input.", allow_dash=True)
    ] = None,
    processed: Annotated[
        bool, typer.Option("--processed", help="Wait until the recipient has done with it, too.")
    ] = False,
    timeout: WaitOption = 30.0,
    json: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """Send a message; done when it is stored, whether or not the recipient is there."""
    import asyncio

    from aiconexus.cli.shown import json_of
    from aiconexus.cli.speaking import agent_of
    from aiconexus.protocol.did import public_key_of

    public_key_of(did)
    content = _content(text, file)
    sent = asyncio.run(_send(agent_of(home, url, identity), did, content, timeout, processed=processed))
    if json:
        typer.echo(json_of({"id": sent.id, "sequence": sent.sequence, "processed": sent.is_processed}))
    else:
        typer.echo(f"{'processed' if sent.is_processed else 'stored'} as {sent.id}")


async def _send(agent: "Agent", did: str, content: str, seconds: float, *, processed: bool) -> "Sent":
    from aiconexus.cli.speaking import connected

    async with connected(agent):
        sent = await agent.send(did, content, timeout=seconds)
        if processed:
            await sent.wait_processed(seconds)
        return sent


def _content(text: str | None, file: Path | None) -> str:
    import sys

    if (text is None) == (file is None):
        raise Failure("say a text or name a --file, one of the two", Exit.USAGE)
    if file is None:
        return _said(text or "")
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except UnicodeDecodeError as error:
        raise Failure(f"{file} is no text", Exit.USAGE) from error


def _said(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Failure("the text is not UTF-8", Exit.USAGE) from error
    return text
