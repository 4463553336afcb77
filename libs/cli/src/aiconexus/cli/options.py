"""Options that several commands share, and what they mean."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from aiconexus.cli.failure import Exit, Failure
from aiconexus.protocol.bodies import Discover
from aiconexus.protocol.did import public_key_of
from aiconexus.protocol.limits import CAPABILITY_MAX_CHARACTERS

DEFAULT_HOME = Path(".aiconexus")
SECONDS_MAX = 604_800
"""No envelope lives longer."""

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="AICONEXUS_HOME", help="Folder of the platform.", file_okay=False)
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="AICONEXUS_URL",
        help="The platform: nats://host:port or ws://host:port/ws. By default the one that runs in --home.",
    ),
]
IdentityOption = Annotated[
    Path | None,
    typer.Option("--identity", help="Key file to speak as; by default HOME/agents/cli.key.", dir_okay=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
WaitOption = Annotated[float, typer.Option("--timeout", min=0.1, max=SECONDS_MAX, help="Seconds to wait.")]


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader needs of `endpoints.json`."""

    pid: int
    platform: str
    nats: str
    ws: str
    http: str
    monitor: str
    health: dict[str, str]


def running(home: Path) -> Running:
    """
    The platform that runs in a home.

    Raises:
        Failure: If none does.

    """
    try:
        found = msgspec.json.decode((home / "endpoints.json").read_bytes(), type=Running)
        os.kill(found.pid, 0)
    except (OSError, msgspec.DecodeError) as error:
        sentence = f"no platform runs in {home}; start one with `aiconexus up`, or name another with --home or --url"
        raise Failure(sentence, Exit.UNREACHABLE) from error
    return found


def platform_url(url: str | None, home: Path) -> str:
    """
    Where to connect.

    Raises:
        Failure: If nothing says it.

    """
    if url is None:
        return running(home).nats
    if not url.startswith(("nats://", "tls://", "ws://", "wss://")):
        raise Failure(f"{url} is no address like nats://host:4222 or ws://host:8000/ws", Exit.USAGE)
    return url


def checked_capability(text: str | None) -> str | None:
    """
    A capability that may be asked for.

    Raises:
        Failure: If there can be none of that name.

    """
    try:
        msgspec.convert({"capability": text}, Discover)
    except msgspec.ValidationError as error:
        sentence = f"a capability is {CAPABILITY_MAX_CHARACTERS} letters, digits and . _ / - at most, not {text!r}"
        raise Failure(sentence, Exit.USAGE) from error
    return text


def check_dids(*dids: str | None) -> None:
    """
    Refuse what is given as a DID and is none.

    Raises:
        InvalidDid: With the first mistake.

    """
    for did in dids:
        if did is not None:
            public_key_of(did)


def host_and_port(text: str, option: str) -> tuple[str, int]:
    """
    Take HOST:PORT apart.

    Raises:
        Failure: If it is something else.

    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004
        raise Failure(f"{option} wants HOST:PORT, such as 0.0.0.0:4222, not {text!r}", Exit.USAGE)
    return host, int(port)
