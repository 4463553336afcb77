import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = (sys.executable, "-c", "import sys; from aiconexus.cli.main import app; sys.exit(app())", "topology")


def topology(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False)


def test_figures_are_a_table_and_a_picture(tmp_path: Path) -> None:
    """A hundred agents with twenty neighbours each are shown to a person."""
    picture = tmp_path / "mesh.svg"
    done = topology("k-neighbour", "--members", "100", "--k", "20", "--seed", "7", "--picture", str(picture))
    lines = {line[:24].strip(): line[24:].strip() for line in done.stdout.splitlines()}

    assert (0, "") == (done.returncode, done.stderr)
    assert "1000 of 4950 (20.2%)" == lines["edges"]
    assert "3 hops" == lines["diameter"]
    assert "1.80 hops" == lines["mean path"]
    assert b"<svg" in picture.read_bytes()


@pytest.mark.parametrize(
    ("words", "kind", "edges"),
    [
        (["full"], "full", 45),
        (["ring", "--members", "12"], "ring", 12),
        (["hub-spoke", "--hubs", "2"], "hub-spoke", 17),
        (["sharded", "--members", "30", "--shards", "3", "--k", "4"], "sharded", 66),
    ],
)
def test_figures_are_json(words: list[str], kind: str, edges: int) -> None:
    """Programs read the figures of every kind."""
    found = json.loads(topology(*words, "--json").stdout)

    assert (kind, edges, 1) == (found["kind"], found["edges"], found["components"])


def test_graph_is_for_graphviz() -> None:
    """The graph alone goes to standard output."""
    done = topology("ring", "--members", "4", "--dot")

    assert done.stdout.startswith('graph "ring" {')
    assert 4 == done.stdout.count(" -- ")


def test_twenty_neighbours_are_the_fewest_for_a_hundred() -> None:
    """The smallest k that brings 99 % of the pairs within two hops, with what speaks against smaller ones."""
    tried = json.loads(topology("optimal-k", "--json").stdout)

    assert (20, True) == (tried[-1]["k"], tried[-1]["is_enough"])
    assert "enough" in topology("optimal-k", "--members", "30", "--share", "0").stdout


def test_full_mesh_is_compared() -> None:
    """The lines are as many as the sizes."""
    words = ("scale", "--bytes-per-connection", "1000", "--members", "100", "--members", "500")
    found = json.loads(topology(*words, "--json").stdout)

    assert [4950, 124_750] == [line["full_edges"] for line in found]
    assert 3 == len(topology(*words).stdout.splitlines())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["hub-spoke", "--hubs", "11"], "11 hubs among 10 members"),
        (["sharded", "--members", "2", "--shards", "3"], "it has no members"),
        (["optimal-k", "--diameter", "0"], "diameter 0"),
        (["ring", "--picture", "mesh.gif"], "neither .svg nor .png"),
    ],
)
def test_impossible_wishes_are_wrong_use(words: list[str], sentence: str) -> None:
    """What does not exist is told in one sentence."""
    done = topology(*words)

    assert 2 == done.returncode
    assert sentence in done.stderr
