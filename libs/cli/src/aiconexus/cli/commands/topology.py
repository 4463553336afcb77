"""`aiconexus topology`: what a mesh would be like, before any agent runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiconexus.cli.failure import Exit, Failure
from aiconexus.cli.options import JsonOption

if TYPE_CHECKING:
    from aiconexus.sdk.topology import Analysis, Scale, Topology

SIZES = (10, 50, 100, 500, 1000)
MEGABYTE = 1_000_000

MembersOption = Annotated[int, typer.Option(min=1, help="How many agents.")]
KOption = Annotated[int, typer.Option("--k", min=1, help="Neighbours of each agent.")]
SeedOption = Annotated[int, typer.Option(help="Draws what is free to choose.")]
PictureOption = Annotated[Path | None, typer.Option(help="Write a picture, .svg or .png.", dir_okay=False)]
DotOption = Annotated[bool, typer.Option("--dot", help="Print the graph for Graphviz instead.")]

topology = typer.Typer(help="Compute meshes of agents: their figures, pictures and sizes.", no_args_is_help=True)


@topology.command("full")
def full_(
    *,
    members: MembersOption = 10,
    seed: SeedOption = 0,
    picture: PictureOption = None,
    dot: DotOption = False,
    json: JsonOption = False,
) -> None:
    """Connect everybody with everybody."""
    from aiconexus.sdk.topology import full

    _show(full(_names(members), seed=seed), picture, dot=dot, json=json)


@topology.command("ring")
def ring_(
    *,
    members: MembersOption = 10,
    seed: SeedOption = 0,
    picture: PictureOption = None,
    dot: DotOption = False,
    json: JsonOption = False,
) -> None:
    """Connect each agent with two others, in a circle."""
    from aiconexus.sdk.topology import ring

    _show(ring(_names(members), seed=seed), picture, dot=dot, json=json)


@topology.command("hub-spoke")
def hub_spoke_(
    *,
    members: MembersOption = 10,
    hubs: Annotated[int, typer.Option(help="How many of them are hubs.")] = 1,
    seed: SeedOption = 0,
    picture: PictureOption = None,
    dot: DotOption = False,
    json: JsonOption = False,
) -> None:
    """Connect each agent with every hub."""
    from aiconexus.sdk.topology import hub_spoke

    with _told():
        mesh = hub_spoke(_names(members), hubs=hubs, seed=seed)
    _show(mesh, picture, dot=dot, json=json)


@topology.command("k-neighbour")
def k_neighbour_(
    *,
    members: MembersOption = 100,
    k: KOption = 20,
    seed: SeedOption = 0,
    picture: PictureOption = None,
    dot: DotOption = False,
    json: JsonOption = False,
) -> None:
    """Connect each agent with k others."""
    from aiconexus.sdk.topology import k_neighbour

    _show(k_neighbour(_names(members), k, seed=seed), picture, dot=dot, json=json)


@topology.command("sharded")
def sharded_(
    *,
    members: MembersOption = 500,
    shards: Annotated[int, typer.Option(min=1, help="How many regions they are in.")] = 10,
    k: KOption = 10,
    gateways: Annotated[int, typer.Option(help="Agents of each region that know other regions.")] = 2,
    seed: SeedOption = 0,
    picture: PictureOption = None,
    dot: DotOption = False,
    json: JsonOption = False,
) -> None:
    """Connect each agent with k others of its region, and regions by gateways."""
    from aiconexus.sdk.topology import sharded

    names = _names(members)
    with _told():
        regions = {f"region {number + 1}": names[number::shards] for number in range(shards)}
        mesh = sharded(regions, k, gateways=gateways, seed=seed)
    _show(mesh, picture, dot=dot, json=json)


@topology.command("optimal-k")
def optimal_k(
    *,
    members: MembersOption = 100,
    connectivity: Annotated[int, typer.Option(help="Agents that must fail before the rest may fall apart.")] = 5,
    diameter: Annotated[int, typer.Option(help="The most hops between two agents.")] = 3,
    share: Annotated[float, typer.Option(help="Share of the pairs that need two hops at most.")] = 0.99,
    json: JsonOption = False,
) -> None:
    """Find the smallest k that is enough, and say why no smaller one is."""
    from msgspec.structs import asdict

    from aiconexus.cli.shown import json_of
    from aiconexus.sdk.topology import trials

    with _told():
        tried = trials(members, connectivity=connectivity, diameter=diameter, share_within_two=share)
    if json:
        typer.echo(json_of([asdict(trial) for trial in tried]))
        return
    rows = [
        (trial.k, trial.edges, trial.diameter, f"{trial.path_mean:.2f}", f"{trial.within_two_hops:.1%}",
         trial.connectivity or "", "enough" if trial.is_enough else "")
        for trial in tried
    ]  # fmt: skip
    _print(("k", "edges", "diameter", "mean hops", "within 2 hops", "connectivity", ""), rows)


@topology.command("scale")
def scale(
    *,
    members: Annotated[list[int] | None, typer.Option(min=2, help="How many agents; once for each line.")] = None,
    k: KOption = 20,
    bytes_per_connection: Annotated[int, typer.Option(min=1, help="Memory of one end of a connection.")],
    json: JsonOption = False,
) -> None:
    """Compare the full mesh with k neighbours, for more and more agents."""
    from msgspec.structs import asdict

    from aiconexus.cli.shown import json_of
    from aiconexus.sdk.topology import scalability

    found = scalability(members or SIZES, k, bytes_per_connection)
    if json:
        typer.echo(json_of([asdict(line) for line in found]))
    else:
        columns = ("agents", "full: edges", "MB per agent", f"k = {k}: edges", "MB per agent", "share of edges")
        _print(columns, [_line(line) for line in found])


def _line(line: "Scale") -> tuple[object, ...]:
    full_mb, mb = line.full_bytes / MEGABYTE, line.bytes / MEGABYTE
    return line.members, line.full_edges, f"{full_mb:.1f}", line.edges, f"{mb:.1f}", f"{line.share:.1%}"


@contextmanager
def _told() -> Iterator[None]:
    """Wishes that cannot be granted are mistakes of whoever typed them."""
    from aiconexus.sdk.topology import ImpossibleTopology

    try:
        yield
    except ImpossibleTopology as error:
        raise Failure(str(error), Exit.USAGE) from error


def _names(members: int) -> list[str]:
    digits = len(str(members - 1))
    return [f"agent-{number:0{digits}}" for number in range(members)]


def _show(mesh: "Topology", picture: Path | None, *, dot: bool, json: bool) -> None:
    from msgspec.structs import asdict

    from aiconexus.cli.shown import json_of
    from aiconexus.sdk.topology import analyse
    from aiconexus.sdk.topology.dot import dot as dot_of

    if picture:
        _draw(mesh, picture)
    if dot:
        typer.echo(dot_of(mesh), nl=False)
        return
    found = analyse(mesh)
    if json:
        typer.echo(json_of({"kind": mesh.kind, "seed": mesh.seed, "k": mesh.k, **asdict(found)}))
    else:
        _print(("", ""), _figures(mesh, found))


def _draw(mesh: "Topology", picture: Path) -> None:
    if picture.suffix.lower() not in {".svg", ".png"}:
        raise Failure(f"{picture} is neither .svg nor .png", Exit.USAGE)
    try:
        from aiconexus.sdk.topology.picture import draw
    except ImportError as error:
        raise Failure("pictures need matplotlib: pip install 'aiconexus-sdk[pictures]'", Exit.FAILED) from error
    draw(mesh, picture)


def _figures(mesh: "Topology", found: "Analysis") -> list[tuple[str, object]]:
    reach = "  ".join(f"{share:.1%} in {hops}" for hops, share in enumerate(found.within_hops[:4], 1))
    weak = len(found.articulation_points), len(found.bridges)
    return [
        ("topology", f"{mesh.kind}, seed {mesh.seed}"),
        ("members", found.members),
        ("edges", f"{found.edges} of {found.edges_possible} ({found.density:.1%})"),
        ("degree", f"{found.degree_min} to {found.degree_max}, {found.degree_mean:.2f} on average"),
        ("diameter", f"{found.diameter} hops"),
        ("mean path", f"{found.path_mean:.2f} hops"),
        ("reach by hops", reach),
        ("clustering", f"{found.clustering:.3f}"),
        ("single points of failure", f"{weak[0]} members, {weak[1]} edges"),
    ]


def _print(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, show_header=any(columns))
    for row in rows:
        table.add_row(*map(str, row))
    Console(highlight=False, emoji=False, soft_wrap=True).print(table)
