"""A picture of a topology; needs the extra `pictures`."""

from collections.abc import Collection, Mapping
from math import cos, degrees, sin
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path as Curve

from aiconexus.sdk.topology.analysis import Analysis, analyse
from aiconexus.sdk.topology.dot import labels, shown
from aiconexus.sdk.topology.layout import MARGIN, Place, Point, places
from aiconexus.sdk.topology.shape import Edge, Topology, edge

INCHES = 10.0
DOTS_PER_INCH = 150
SPAN = 1 + MARGIN
"""How far the picture goes to each side; members stand between -1 and 1."""
POINTS_PER_UNIT = 72 * INCHES * 0.9 / (2 * SPAN)
CROWD = 150
"""Where there are more edges, single ones cannot be followed."""
BEND = 0.3
"""How far an edge on a circle turns to its middle; 0 is straight, 1 goes through it."""
INK_SHARE = 150
"""Where there are more edges, each is the paler."""
LABEL_POINTS_MIN = 4.0
"""Smaller names cannot be read, and are left out."""
LABEL_AWAY, LETTER_WIDTH = 1.4, 0.6
"""In sizes of the letters: how far a name is from the middle of its member, and how wide a letter is."""
SHADES_MAX = 6

PAPER, INK, GREY = "#ffffff", "#1f2933", "#52606d"
EDGE, CHOSEN = "#7b8794", "#d64545"
_BACKGROUND = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1.0}


def draw(topology: Topology, file: Path) -> None:
    """
    Write a PNG or SVG picture, as the name of the file ends; the same topology gives the same bytes.

    Colour says how many neighbours a member has; hubs and gateways are squares. Where edges are too many to be told
    apart, those of one member stand out.
    """
    with mpl.rc_context({"svg.hashsalt": "aiconexus", "font.family": ["DejaVu Sans"], "text.parse_math": False}):
        figure = Figure(figsize=(INCHES, INCHES), dpi=DOTS_PER_INCH, facecolor=PAPER)
        axes = figure.add_axes((0.05, 0.0, 0.9, 0.9))
        axes.set(xlim=(-SPAN, SPAN), ylim=(-SPAN, SPAN), aspect="equal")
        axes.set_axis_off()
        _paint(axes, topology)
        _write_head(figure, topology)
        figure.savefig(file, metadata={"Date": None} if file.suffix.lower() == ".svg" else {})


def _paint(axes: Axes, topology: Topology) -> None:
    where = places(topology)
    chosen = {edge(star, other) for star in _star(topology) for other in topology.neighbours(star)}
    plain = [pair for pair in topology.edges if pair not in chosen]
    between = [pair for pair in plain if where[pair[0]].middle != where[pair[1]].middle]
    ink = min(0.8, max(0.1, INK_SHARE / (len(plain) + 1)))
    _paint_edges(axes, sorted({*plain}.difference(between)), where, color=EDGE, alpha=ink, linewidth=0.8)
    _paint_edges(axes, between, where, color=INK, alpha=min(0.8, 4 * ink), linewidth=1.0)
    _paint_edges(axes, sorted(chosen), where, color=CHOSEN, alpha=0.9, linewidth=1.2)
    shades = _shades(topology)
    for member, place in where.items():
        is_hub = member in topology.hubs
        size = min(11.0, 0.62 * place.gap * POINTS_PER_UNIT or 11.0) * (1.25 if is_hub else 1.0)
        colour = shades[topology.degree(member)]
        axes.plot(*place.at, "s" if is_hub else "o", ms=size, mfc=colour, mec=PAPER, mew=0.6, zorder=3)
    _write_labels(axes, topology, where)
    _write_legend(axes, topology, shades)


def _star(topology: Topology) -> Collection[str]:
    """Whose edges stand out."""
    inner = [member for member in places(topology) if member not in topology.hubs]
    return inner[:1] if len(topology.edges) > CROWD and topology.k else ()


def _paint_edges(
    axes: Axes, edges: Collection[Edge], where: Mapping[str, Place], *, color: str, alpha: float, linewidth: float
) -> None:
    curves = [_curve(where[one], where[other]) for one, other in edges]
    axes.add_collection(
        PathCollection(curves, facecolors="none", edgecolors=color, alpha=alpha, linewidths=linewidth, zorder=2)
    )


def _curve(one: Place, other: Place) -> Curve:
    middle = ((one.at[0] + other.at[0]) / 2, (one.at[1] + other.at[1]) / 2)
    bend = BEND if one.middle == other.middle and one.gap == other.gap else 0.0
    turn: Point = (middle[0] + bend * (one.middle[0] - middle[0]), middle[1] + bend * (one.middle[1] - middle[1]))
    return Curve([one.at, turn, other.at], [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3])


def _shades(topology: Topology) -> dict[int, str]:
    """A colour for each degree, the darker the more neighbours."""
    found = sorted({topology.degree(member) for member in topology.members})
    scale = mpl.colormaps["viridis_r"]
    steps = [0.62] if len(found) == 1 else [0.15 + 0.75 * number / (len(found) - 1) for number in range(len(found))]
    return {degree: mpl.colors.to_hex(scale(step)) for degree, step in zip(found, steps, strict=True)}


def _write_labels(axes: Axes, topology: Topology, where: Mapping[str, Place]) -> None:
    names = labels(topology.members)
    for member, place in where.items():
        size = min(9.0, 0.75 * place.gap * POINTS_PER_UNIT or 9.0, _reach(names[member], place))
        if size >= LABEL_POINTS_MIN:
            _write_label(axes, names[member], place, size)
    for shard in topology.shards:
        middle = where[shard.members[0]].middle
        axes.text(
            *middle, shown(shard.name), fontsize=13, color=INK, ha="center", va="center", bbox=_BACKGROUND, zorder=5
        )


def _reach(text: str, place: Place) -> float:
    """The largest size with which a name stays in the room around its circle."""
    return place.room * POINTS_PER_UNIT / (LABEL_AWAY + LETTER_WIDTH * len(text))


def _write_label(axes: Axes, text: str, place: Place, size: float) -> None:
    away = LABEL_AWAY * size / POINTS_PER_UNIT
    turned = degrees(place.angle) % 360
    is_left = 90 < turned < 270  # noqa: PLR2004  # a quarter and three quarters of the circle
    axes.text(
        place.at[0] + away * cos(place.angle),
        place.at[1] + away * sin(place.angle),
        text,
        fontsize=size,
        color=INK,
        rotation=turned - 180 if is_left else turned,
        rotation_mode="anchor",
        ha="right" if is_left else "left",
        va="center",
        bbox=_BACKGROUND,
        zorder=4,
    )


def _write_legend(axes: Axes, topology: Topology, shades: Mapping[int, str]) -> None:
    shown = sorted(shades)
    if len(shown) > SHADES_MAX:
        shown = [shown[round(step * (len(shown) - 1) / (SHADES_MAX - 1))] for step in range(SHADES_MAX)]
    entries = [
        _entry("o", shades[degree], f"{degree} neighbours" if degree != 1 else "1 neighbour") for degree in shown
    ]
    if topology.hubs:
        entries.append(_entry("s", GREY, "gateway" if topology.shards else "hub"))
    entries += [
        Line2D([], [], color=CHOSEN, label=f"edges of {labels(topology.members)[star]}") for star in _star(topology)
    ]
    axes.legend(handles=entries, loc="lower left", frameon=False, fontsize=10, labelcolor=INK, borderaxespad=0.0)


def _entry(marker: str, colour: str, text: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, ms=8, mfc=colour, mec=PAPER, label=text)


def _write_head(figure: Figure, topology: Topology) -> None:
    found = analyse(topology)
    figure.text(0.05, 0.955, _title(topology), fontsize=20, color=INK, weight="bold")
    figure.text(0.05, 0.925, _figures(found), fontsize=11, color=GREY)


def _title(topology: Topology) -> str:
    about = f", k = {topology.k}" if topology.k else ""
    return f"{len(topology.members)} members, {topology.kind}{about}, seed {topology.seed}"


def _figures(found: Analysis) -> str:
    return (
        f"{found.edges} of {found.edges_possible} edges ({found.density:.1%})  ·  diameter {found.diameter}  ·  "
        f"{found.path_mean:.2f} hops on average  ·  {found.share_within(2):.1%} of pairs within 2 hops"
    )
