"""`aiconexus call`: have another agent do something, and print what comes of it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiconexus.cli.failure import Exit, Failure
from aiconexus.cli.options import DEFAULT_HOME, HomeOption, IdentityOption, JsonOption, UrlOption, WaitOption

if TYPE_CHECKING:
    from aiconexus.sdk import Agent


def call(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="The agent's DID, if it is known, then arguments: key=value.", show_default=False),
    ] = None,
    *,
    capability: Annotated[
        str | None, typer.Option(help="What to do; without a DID, somebody who is here and can do it does.")
    ] = None,
    args: Annotated[str | None, typer.Option("--args", help="The arguments as one JSON object.")] = None,
    timeout: WaitOption = 30.0,
    json: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """
    Call a capability of another agent and print the result.

    A value is JSON where it can be read as such (7, true, [1]), and otherwise text.
    """
    import asyncio

    from aiconexus.cli.options import checked_capability
    from aiconexus.cli.shown import json_of, printable, text_of
    from aiconexus.cli.speaking import agent_of
    from aiconexus.protocol.did import public_key_of

    did, pairs = _split(words or [])
    if did is not None:
        public_key_of(did)
    elif capability is None:
        raise Failure("name an agent's DID or a --capability, or both", Exit.USAGE)
    checked_capability(capability)
    arguments = _arguments(pairs, args)
    result = asyncio.run(_call(agent_of(home, url, identity), did, capability, arguments, timeout))
    typer.echo(json_of(result) if json else printable(text_of(result)))


async def _call(
    agent: "Agent", did: str | None, capability: str | None, arguments: dict[str, Any], seconds: float
) -> Any:
    from aiconexus.cli.speaking import connected
    from aiconexus.protocol.delivery_errors import NoHolder

    async with connected(agent):
        try:
            return await agent.call(did, capability=capability, args=arguments, timeout=seconds)
        except NoHolder as error:
            sentence = f"nobody who is here can do {capability!r}; see `aiconexus agents`"
            raise Failure(sentence, Exit.REFUSED) from error


def _split(words: list[str]) -> tuple[str | None, list[str]]:
    """The first word is a DID unless it is an argument."""
    if words and "=" not in words[0]:
        return words[0], words[1:]
    return None, words


def _arguments(pairs: list[str], text: str | None) -> dict[str, Any]:
    import msgspec

    arguments: dict[str, Any] = {}
    if text is not None:
        try:
            arguments = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Failure(f"--args wants one JSON object: {error}", Exit.USAGE) from error
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Failure(f"an argument is key=value, not {pair!r}", Exit.USAGE)
        arguments[key] = _value(value)
    return arguments


def _value(text: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
