import msgspec
import pytest

from aiconexus.cli.logview import line_of


def event(**members: object) -> str:
    """A line as a service writes it."""
    facts = {"service": "relay", "instance": "relay", "version": "1", "timestamp": "2026-01-02T03:04:05.678Z"}
    return msgspec.json.encode({**facts, "level": "info", "event": "relay.envelope_stored", **members}).decode()


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        pytest.param(
            "relay", event(size_bytes=7), "03:04:05 relay      relay.envelope_stored  size_bytes=7", id="event"
        ),
        pytest.param("edge-2", event(event="e"), "03:04:05 edge-2     e", id="replica"),
        pytest.param("relay", "Traceback:", "         relay      Traceback:", id="no event"),
        pytest.param("relay", "[1]", "         relay      [1]", id="other JSON"),
        pytest.param(
            "nats",
            "[7] 2026/01/02 03:04:05.678 [ERR] out of room",
            "03:04:05 nats       out of room",
            id="bus complains",
        ),
        pytest.param(
            "nats", "nats-server: no such file", "         nats       nats-server: no such file", id="bus fails"
        ),
    ],
)
def test_a_line_shows_time_name_and_facts(name: str, raw: str, expected: str) -> None:
    """Every process writes in its own way, and all is shown in one."""
    line = line_of(name, raw)

    assert line is not None
    assert expected == line.plain


def test_the_bus_is_silent_while_all_is_well() -> None:
    """What it says at every start is left out."""
    assert line_of("nats", "[7] 2026/01/02 03:04:05.678 [INF] Server is ready") is None


def test_an_exception_is_shown_below_its_event() -> None:
    """A traceback keeps its lines."""
    line = line_of("relay", event(level="error", exception="Traceback\n  boom"))

    assert line is not None
    assert line.plain.endswith("relay.envelope_stored\nTraceback\n  boom")


def test_many_facts_are_cut() -> None:
    """One event does not fill the screen."""
    line = line_of("relay", event(text="x" * 1000))

    assert line is not None
    assert line.plain.endswith("x…")
    assert len(line.plain) < 300


def test_a_remotes_words_do_not_steer_the_terminal() -> None:
    """What stands in a fact, in a bus line or in a line of no form stays in its line, without control characters."""
    lines = [
        line_of("relay", event(reason="a\x1b[31m\nb\u202e")),
        line_of("nats", "[7] 2026/01/02 03:04:05.678 [ERR] a\x1b[31m"),
        line_of("edge", "a\x1b[31m"),
        line_of("edge", event(exception="Traceback\n  a\x1b[31m")),
    ]

    shown = "|".join(line.plain for line in lines if line is not None)

    assert not set(shown) & {"\x1b", "\u202e"}
    assert "reason=a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b" in shown
    assert "Traceback\n  a" in shown
