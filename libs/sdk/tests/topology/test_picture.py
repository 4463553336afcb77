from itertools import combinations
from math import dist
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from aiconexus.sdk.topology import Topology, balance, full, hub_spoke, k_neighbour, ring, sharded
from aiconexus.sdk.topology.layout import places
from aiconexus.sdk.topology.picture import LABEL_POINTS_MIN, _reach, draw

from .meshes import HUNDRED, members, of_edges

MESHES = {
    "hundred": k_neighbour(HUNDRED, 20, seed=7),
    "star": hub_spoke(members(9)),
    "hubs": hub_spoke(members(60), hubs=5),
    "shards": sharded({"here": HUNDRED[:30], "there": HUNDRED[30:90], "nowhere": HUNDRED[90:]}, 6),
    "crowded": ring([f"{number:03}" for number in range(300)]),
    "one shard": sharded({"here": members(4)}, 2),
    "alone": full(members(1)),
}


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_everybody_has_a_place(mesh: Topology) -> None:
    """All stand inside of the picture, no two at the same place."""
    found = places(mesh)

    assert set(mesh.members) == set(found)
    assert len(mesh.members) == len({(round(place.at[0], 6), round(place.at[1], 6)) for place in found.values()})
    assert max(abs(axis) for place in found.values() for axis in place.at) < 1.001


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_picture_is_drawn(mesh: Topology, tmp_path: Path) -> None:
    """The same topology gives the same bytes, and they are an SVG."""
    draw(mesh, tmp_path / "one.svg")
    draw(mesh, tmp_path / "two.svg")

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "{http://www.w3.org/2000/svg}svg" == ET.parse(tmp_path / "one.svg").getroot().tag  # noqa: S314  # ours


def test_png_is_drawn(tmp_path: Path) -> None:
    """The name of the file says which kind of picture it is."""
    draw(MESHES["star"], tmp_path / "one.PNG")

    assert (tmp_path / "one.PNG").read_bytes().startswith(b"\x89PNG")


def test_formulas_are_no_formulas(tmp_path: Path) -> None:
    """Whatever agents and regions are called is a name."""
    draw(sharded({r"$\here$": [r"$\frac{$", "\x1b[2J"], "there": ["b"]}, 1), tmp_path / "one.svg")

    assert "svg" in ET.parse(tmp_path / "one.svg").getroot().tag  # noqa: S314  # ours


@pytest.mark.parametrize("count", [2, 5, 10])
def test_names_of_regions_do_not_meet(count: int) -> None:
    """Names that look at each other from two circles have half the way each; with ten they can still be read."""
    mesh = sharded({f"region {number}": HUNDRED[number * 5 : number * 5 + 5] for number in range(count)}, 2)
    found = places(mesh)
    middles = sorted({place.middle for place in found.values()})
    nearest = min(dist(one, other) for one, other in combinations(middles, 2))
    radius = dist(found[HUNDRED[0]].at, found[HUNDRED[0]].middle)

    assert max(place.room for place in found.values()) <= (nearest - 2 * radius) / 2 + 1e-9
    assert min(_reach("…00042", place) for place in found.values()) >= LABEL_POINTS_MIN


def test_many_degrees_fit_into_the_legend(tmp_path: Path) -> None:
    """Of many degrees some are explained."""
    stairs = of_edges(
        [(HUNDRED[one], HUNDRED[other]) for one in range(12) for other in range(max(one + 1, 12 - one), 12)]
    )
    draw(stairs, tmp_path / "stairs.svg")
    draw(balance(hub_spoke(members(30))).topology, tmp_path / "line.svg")

    assert 6 == (tmp_path / "stairs.svg").read_text().count(" neighbour")
    assert "1 neighbour -->" in (tmp_path / "line.svg").read_text()
