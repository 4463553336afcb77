from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.topology import hub_spoke, sharded
from aiconexus.sdk.topology.dot import dot, labels

from .meshes import HUNDRED, of_edges

STAR = r"""graph "hub-spoke" {
  node [shape=ellipse, fontsize=10];
  "a" [label="a", tooltip="a", shape=box, style=filled];
  "b" [label="b", tooltip="b"];
  "c" [label="c", tooltip="c"];
  "a" -- "b";
  "a" -- "c";
}
"""


def test_dot_is_this() -> None:
    """Members, hubs and edges, in order."""
    assert STAR == dot(hub_spoke(["c", "b", "a"], seed=3))


def test_shards_are_clusters() -> None:
    """Every member stands in the cluster of its shard."""
    text = dot(sharded({"here": ["a", "b"], "there": ["c"]}, 1))

    assert 2 == text.count("subgraph cluster_")
    assert 1 == text.count('  "c" [')


def test_strange_names_do_not_break_out() -> None:
    """Quotes, backslashes and line ends of a name stay in it."""
    text = dot(of_edges([('x" -- "y', "\\\n\r")]))

    assert r'"\\\n\r" -- "x\" -- \"y";' in text


def test_names_do_not_steer_a_screen() -> None:
    """Characters that turn text around, end it or move the cursor are spelled out, in shards, too."""
    text = dot(sharded({"\u202ehere\x1b[2J": ["a\0", "b"]}, 1))

    assert text.replace("\n", "").isprintable()
    assert r'label="\\u202ehere\\x1b[2J"' in text
    assert r'label="a\\x00"' in text


@given(names=st.sets(st.text(min_size=1, max_size=40), min_size=1))
def test_labels_tell_members_apart(names: set[str]) -> None:
    """However alike names are, labels differ."""
    assert len(names) == len(set(labels(names).values()))


def test_labels_of_dids_are_their_ends() -> None:
    """All DIDs begin alike."""
    assert "…00042" == labels(HUNDRED)[HUNDRED[42]]


def test_labels_are_as_long_as_needed() -> None:
    """Names that end alike are shown in more characters."""
    alike = ["first/agent-000001", "second/agent-000001"]

    assert ["…t/agent-000001", "…d/agent-000001"] == list(labels(alike).values())
