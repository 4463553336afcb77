"""`aiconexus jobs`: what the retry service has to do, and what became of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from aiconexus.cli.options import DEFAULT_HOME, HomeOption, IdentityOption, JsonOption, UrlOption, check_dids
from aiconexus.protocol.job_bodies import JobState

if TYPE_CHECKING:
    from aiconexus.protocol.job_bodies import JobCard
    from aiconexus.sdk import Agent


def jobs(
    *,
    state: Annotated[JobState | None, typer.Option(help="Only those in this state.")] = None,
    sender: Annotated[str | None, typer.Option(help="Only those of this DID.")] = None,
    recipient: Annotated[str | None, typer.Option(help="Only those to this DID.")] = None,
    json: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """List what is delivered again, the oldest first; speaks as the operator, who sees everybody's."""
    import asyncio

    from msgspec.structs import asdict

    from aiconexus.cli.home import Home
    from aiconexus.cli.shown import json_of, printable
    from aiconexus.cli.speaking import agent_of

    check_dids(sender, recipient)
    agent = agent_of(home, url, identity or Home(home).operator_file, "operator")
    cards = asyncio.run(_found(agent, state, sender, recipient))
    if json:
        typer.echo(json_of([asdict(card) for card in cards]))
        return
    for card in cards:
        typer.echo(printable(_told(card)))
    if not cards:
        typer.echo("no jobs")


async def _found(agent: "Agent", state: JobState | None, sender: str | None, recipient: str | None) -> "list[JobCard]":
    from aiconexus.cli.speaking import connected

    async with connected(agent):
        return [card async for card in agent.jobs.list(state=state, sender=sender, recipient=recipient)]


def _told(card: "JobCard") -> str:
    from datetime import UTC, datetime

    from aiconexus.cli.shown import in_one_line

    due = f", next at {datetime.fromtimestamp(card.next_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}" if card.next_ms else ""
    why = f", {card.problem}: {in_one_line(card.message)}".rstrip(": ") if card.problem else ""
    head = f"{card.state:9}  {card.job}"
    return f"{head}\n    {card.type} to {card.recipient}\n    {card.attempts} attempts{due}{why}"
