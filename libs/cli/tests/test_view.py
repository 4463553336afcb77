import io

import pytest
from rich.console import Console

from aiconexus.cli.demo.hostile import Try
from aiconexus.cli.demo.notes import Event, Note
from aiconexus.cli.demo.tally import Member, Tally
from aiconexus.cli.demo.view import LiveView, PlainView


@pytest.fixture
def tally() -> Tally:
    """A run in its middle."""
    tally = Tally([Member("ada", "did:ada", "NATS"), Member("cleo", "did:cleo", "WS, JSON")])
    tally.pieces = 10
    tally.relay = "killed"
    tally.note_presence("did:ada", is_here=True)
    tally.take("ada", Note(event=Event.STORED, id="1", peer="did:cleo"))
    tally.take("ada", Note(event=Event.STORED, id="2", peer="did:cleo"))
    tally.take("cleo", Note(event=Event.HANDLED, id="1", peer="did:ada", text="MESSAGE"))
    tally.take("ada", Note(event=Event.DEAD, id="1", peer="did:cleo", text="handler_failed"))
    tally.take("ada", Note(event=Event.RESULT))
    tally.note_tries([Try(what="replay", road="NATS", expected="replayed", met="replayed")])
    return tally


def test_the_tally_knows_what_is_on_its_way(tally: Tally) -> None:
    """An envelope is on its way from its acceptance to its end, in whatever order the notes are read."""
    tally.take("ada", Note(event=Event.PROCESSED, id="3"))
    tally.take("ada", Note(event=Event.STORED, id="3"))

    assert (1, 3, 1) == (tally.open_count, tally.sum_of(Event.STORED), tally.results)


@pytest.mark.parametrize("width", [80, 200])
def test_the_live_view_fits_a_terminal(tally: Tally, width: int) -> None:
    """Who is here, what flows and how far it is can be read on eighty columns and twenty-four lines."""
    screen = io.StringIO()
    with LiveView(Console(file=screen, width=width, height=24, force_terminal=True, color_system=None)) as view:
        view.refresh(tally)
    text = screen.getvalue()

    assert "ada → cleo message 1" in text
    assert "relay     killed" in text
    assert "1 of 10 pieces" in text
    assert "1 of 1 tries refused" in text
    assert max(len(line) for line in text.splitlines()) <= min(width, 100) + len("\x1b[?25l\x1b[1A\x1b[2K") * 30


def test_plain_lines_tell_everything_once(tally: Tally) -> None:
    """Without a terminal each piece of news is one line, and the progress comes about once a second."""
    screen = io.StringIO()
    with PlainView(Console(file=screen, width=80)) as view:
        view.refresh(tally)
        view.refresh(tally)
    lines = screen.getvalue().splitlines()

    assert 4 == len(lines)
    assert lines[0].endswith("ada       is here, on NATS")
    assert lines[1].endswith("ada       learns that a letter to cleo died: handler_failed")
    assert lines[3].endswith("progress  1 of 10 pieces counted, 1 envelope on its way")
