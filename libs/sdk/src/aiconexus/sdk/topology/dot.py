"""A topology in the language of Graphviz."""

from collections.abc import Iterable

from aiconexus.sdk.topology.shape import Topology

LABEL_CHARACTERS = 10
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\0": "\\0"})


def dot(topology: Topology) -> str:
    """
    Draw it as a DOT graph: hubs and gateways as boxes, shards as clusters.

    The same topology gives the same text. Try ``sfdp -Tsvg``, or ``circo`` where there are few edges.
    """
    names = labels(topology.members)
    nodes = {member: _node(member, names[member], is_hub=member in topology.hubs) for member in topology.members}
    lines = [f"graph {_quoted(topology.kind)} {{", "  node [shape=ellipse, fontsize=10];"]
    for number, shard in enumerate(topology.shards):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(shown(shard.name))};"]
        lines += [*(f"  {nodes.pop(member)}" for member in shard.members), "  }"]
    lines += nodes.values()
    lines += [f"  {_quoted(one)} -- {_quoted(other)};" for one, other in topology.edges]
    return "\n".join([*lines, "}", ""])


def labels(members: Iterable[str]) -> dict[str, str]:
    """Short names that tell members apart: the ends of long ones, as DIDs begin alike."""
    names = list(members)
    length = LABEL_CHARACTERS // 2
    while len({name[-length:] for name in names}) < len(names):
        length += 1
    return {name: shown(name if len(name) <= LABEL_CHARACTERS else f"…{name[-length:]}") for name in names}


def shown(text: str) -> str:
    """A name in which characters that would steer whatever shows it are spelled out."""
    return "".join(
        each if each.isprintable() and each != "\\" else each.encode("unicode_escape").decode() for each in text
    )


def _node(member: str, label: str, *, is_hub: bool) -> str:
    shape = ", shape=box, style=filled" if is_hub else ""
    return f"  {_quoted(member)} [label={_quoted(label)}, tooltip={_quoted(shown(member))}{shape}];"


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'
