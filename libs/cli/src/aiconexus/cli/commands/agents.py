"""`aiconexus agents`: who is registered, and who is here now."""

from typing import TYPE_CHECKING, Annotated

import typer

from aiconexus.cli.options import DEFAULT_HOME, HomeOption, IdentityOption, JsonOption, UrlOption

if TYPE_CHECKING:
    from aiconexus.protocol.bodies import AgentCard
    from aiconexus.sdk import Agent


def agents(
    *,
    capability: Annotated[str | None, typer.Option(help="Only those that can do this.")] = None,
    online: Annotated[bool, typer.Option("--online", help="Only those that are connected now.")] = False,
    json: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """List the agents of the platform."""
    import asyncio

    from msgspec.structs import asdict

    from aiconexus.cli.options import checked_capability
    from aiconexus.cli.shown import json_of
    from aiconexus.cli.speaking import agent_of

    wanted = checked_capability(capability)
    agent = agent_of(home, url, identity)
    cards = asyncio.run(_found(agent, wanted, online=online))
    if json:
        typer.echo(json_of([asdict(card) for card in cards]))
    else:
        _show(cards)


async def _found(agent: "Agent", capability: str | None, *, online: bool) -> "list[AgentCard]":
    from aiconexus.cli.speaking import connected

    async with connected(agent):
        pages = agent.discover(capability=capability, online=True if online else None)
        return [card async for card in pages if card.did != agent.did]


def _show(cards: "list[AgentCard]") -> None:
    from aiconexus.cli.shown import printable

    if not cards:
        typer.echo("nobody but you")
        return
    typer.echo(_row("agent", "here", "name", "can"))
    for card in sorted(cards, key=lambda card: (not card.online, card.name or "")):
        here = "revoked" if card.revoked else "no" if not card.online else card.road or "yes"
        typer.echo(printable(_row(card.did, here, card.name or "", " ".join(card.capabilities))))


def _row(did: str, here: str, name: str, can: str) -> str:
    # Never folded: a DID is there to be copied.
    return f"{did:56}  {here:7}  {name:16}  {can}".rstrip()
