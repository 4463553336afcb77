"""`aiconexus keygen`: a new identity for an agent."""

from pathlib import Path
from typing import Annotated

import typer

from aiconexus.cli.options import JsonOption


def keygen(
    out: Annotated[Path, typer.Option(help="The new key file; never overwritten.", dir_okay=False)] = Path("agent.key"),
    json: JsonOption = False,
) -> None:
    """Make a key file for an agent and print its DID."""
    import msgspec

    from aiconexus.sdk.identity import Identity

    identity = Identity.create(out)
    if json:
        typer.echo(msgspec.json.encode({"did": identity.did, "file": str(out)}).decode())
    else:
        typer.echo(identity.did)
        typer.echo(f"its key is in {out}: keep it secret, there is no other copy", err=True)
