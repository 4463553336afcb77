"""`aiconexus demo`: the main job, on this machine, in less than a minute."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiconexus.cli.failure import Exit
from aiconexus.cli.options import JsonOption

if TYPE_CHECKING:
    from rich.console import Console

    from aiconexus.cli.demo.play import Outcome

USUAL_PLACES = (Path("README.md"), Path("docs"))


def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Texts to work on; by default README.md and docs/ here.", exists=True)
    ] = None,
    speed: Annotated[float, typer.Option(min=1.0, help="Pieces of text given out each second.")] = 40.0,
    json: JsonOption = False,
) -> None:
    """
    Run a platform with three agents that work, kill a part of it in the middle, and count what became of everything.

    With --json the last line is the count as one JSON object. It fails if anything was lost or done twice.
    """
    import asyncio
    import tempfile

    import msgspec
    from rich.console import Console

    from aiconexus.cli.demo.play import Play
    from aiconexus.cli.demo.texts import text_files
    from aiconexus.cli.demo.view import LiveView, PlainView

    console = Console(highlight=False, emoji=False)
    files = text_files([folder] if folder else [place for place in USUAL_PLACES if place.exists()] or USUAL_PLACES)
    view = LiveView(console) if console.is_terminal else PlainView(console)
    with tempfile.TemporaryDirectory(prefix="aiconexus-demo-") as home, view:
        outcome = asyncio.run(Play(Path(home), files, view, speed).run())
    _conclude(console, outcome)
    if json:
        typer.echo(msgspec.json.encode(_figures(outcome)).decode())
    if outcome.faults:
        raise typer.Exit(Exit.FAILED)


def _figures(outcome: "Outcome") -> dict[str, float]:
    verdict = outcome.verdict
    return {
        "accepted": verdict.accepted,
        "processed": verdict.processed,
        "expired": verdict.expired,
        "dead": verdict.dead,
        "lost": verdict.lost,
        "duplicated": verdict.duplicated,
        "forged_refused": outcome.forged_refused,
        "seconds": outcome.seconds,
    }


def _conclude(console: "Console", outcome: "Outcome") -> None:
    verdict, counted = outcome.verdict, outcome.counted
    console.print()
    console.print(f"{counted.words} words in {counted.lines} lines were counted by agents that sign what they say.")
    console.print(
        f"{verdict.accepted} envelopes accepted = {verdict.processed} processed + {verdict.expired} expired"
        f" + {verdict.dead} dead; {verdict.lost} lost, {verdict.duplicated} handled twice.",
        soft_wrap=True,
    )
    kinds = ", ".join(dict.fromkeys(found.what for found in outcome.tries))
    refused = f"{outcome.forged_refused} of {len(outcome.tries)} hostile tries were refused ({kinds})"
    console.print(f"{refused}, all in {outcome.seconds} s.", soft_wrap=True)
    for fault in outcome.faults:
        console.print(f"broken: {fault}", style="red", markup=False)
