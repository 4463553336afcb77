"""`aiconexus dead-letters`: what was given up, to be looked at, sent again, or dropped."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from aiconexus.cli.options import DEFAULT_HOME, HomeOption, IdentityOption, JsonOption, UrlOption, check_dids

if TYPE_CHECKING:
    from aiconexus.protocol.job_bodies import JobCard, JobShown
    from aiconexus.sdk.jobs import RetryJobs

T = TypeVar("T")

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="As `list` shows it.")]
JobsArgument = Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="As `list` shows them.")]
AllOption = Annotated[bool, typer.Option("--all", help="All that there are.")]

dead_letters = typer.Typer(
    help="What could not be delivered. Speaks as the operator whom `init` or `up` made, who sees everybody's.",
    no_args_is_help=True,
)


@dead_letters.command("list")
def list_(
    *,
    sender: Annotated[str | None, typer.Option(help="Only those of this DID.")] = None,
    recipient: Annotated[str | None, typer.Option(help="Only those to this DID.")] = None,
    json: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """List dead letters, the oldest first."""
    from msgspec.structs import asdict

    from aiconexus.cli.shown import in_one_line, json_of, printable

    async def ask(jobs: "RetryJobs") -> "list[JobCard]":
        return [card async for card in jobs.dead_letters(sender=sender, recipient=recipient)]

    check_dids(sender, recipient)
    cards = _asked(ask, home, url, identity)
    if json:
        typer.echo(json_of([asdict(card) for card in cards]))
        return
    for card in cards:
        died = f"{_time(card.changed_ms)}  {card.attempts} attempts  {card.problem}: {in_one_line(card.message)}"
        typer.echo(printable(f"{card.job}\n    {card.type} to {card.recipient}\n    {died}".rstrip(": ")))
    if not cards:
        typer.echo("no dead letters")


@dead_letters.command()
def show(
    job: JobArgument,
    *,
    json: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """Show all about one, with its history and its envelope."""
    from msgspec.structs import asdict

    from aiconexus.cli.shown import in_one_line, json_of, printable

    _check_jobs(job)
    shown = _asked(lambda jobs: jobs.show(job), home, url, identity)
    if json:
        typer.echo(json_of(asdict(shown)))
        return
    card = shown.card
    lines = [
        f"{card.type} {card.state}: {card.problem or ''} {in_one_line(card.message)}".rstrip(),
        f"from     {card.sender}",
        f"to       {card.recipient}",
        f"created  {_time(card.created_ms)}, ends {_time(card.ends_ms)}",
        *(
            f"{_time(n.at_ms)}  attempt {n.attempt}  {n.outcome}  {in_one_line(n.message)}".rstrip()
            for n in shown.history
        ),
        *_content(shown),
    ]
    typer.echo(printable("\n".join(lines)))


@dead_letters.command()
def requeue(
    jobs: JobsArgument = None,
    *,
    every: AllOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """Send dead letters again, under their old policy."""
    _for_each(
        lambda desk, job: desk.requeue(job),
        "sent again",
        jobs or [],
        every=every,
        home=home,
        url=url,
        identity=identity,
    )


@dead_letters.command()
def drop(
    jobs: JobsArgument = None,
    *,
    every: AllOption = False,
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    identity: IdentityOption = None,
) -> None:
    """Forget dead letters."""
    _for_each(
        lambda desk, job: desk.drop(job), "dropped", jobs or [], every=every, home=home, url=url, identity=identity
    )


def _for_each(
    change: "Callable[[RetryJobs, str], Awaitable[object]]",
    done: str,
    jobs: list[str],
    *,
    every: bool,
    home: Path,
    url: str | None,
    identity: Path | None,
) -> None:
    from aiconexus.cli.failure import Exit, Failure
    from aiconexus.protocol.errors import RemoteProblem

    if every == bool(jobs):
        raise Failure("name the jobs, or say --all", Exit.USAGE)
    _check_jobs(*jobs)
    refused: list[str] = []

    async def all_of_them(desk: "RetryJobs") -> int:
        names = [card.job async for card in desk.dead_letters()] if every else jobs
        for name in names:
            try:
                await change(desk, name)
            except RemoteProblem as problem:
                refused.append(f"{name}: {problem}")
        return len(names) - len(refused)

    typer.echo(f"{_asked(all_of_them, home, url, identity)} {done}")
    if refused:
        raise Failure("\n".join(refused), Exit.REFUSED)


def _check_jobs(*names: str) -> None:
    import msgspec

    from aiconexus.cli.failure import Exit, Failure
    from aiconexus.protocol.job_bodies import Job

    for name in names:
        try:
            msgspec.convert(name, Job)
        except msgspec.ValidationError as error:
            raise Failure(f"{name!r} is no job; `aiconexus dead-letters list` names them", Exit.USAGE) from error


def _asked(question: "Callable[[RetryJobs], Awaitable[T]]", home: Path, url: str | None, identity: Path | None) -> T:
    import asyncio

    from aiconexus.cli.home import Home
    from aiconexus.cli.speaking import agent_of, connected

    async def ask() -> T:
        async with connected(agent) as online:
            return await question(online.jobs)

    agent = agent_of(home, url, identity or Home(home).operator_file, "operator")
    return asyncio.run(ask())


def _content(shown: "JobShown") -> list[str]:
    from aiconexus.cli.shown import json_of
    from aiconexus.protocol.seal import unseal

    return [json_of(unseal(shown.envelope).body)] if shown.envelope else []


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"
