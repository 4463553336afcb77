from pathlib import Path

from aiconexus.cli.demo.notes import Event, Notebook, Reader


def test_a_reader_gets_each_line_once(tmp_path: Path) -> None:
    """What is written is read once, in order, and only when the line is whole."""
    path = tmp_path / "x.notes"
    reader = Reader(path)
    before = reader.news()
    notebook = Notebook(path)
    notebook.write(Event.STORED, id_="1", peer="did")
    first = reader.news()
    notebook.write(Event.DONE, words=7)
    with path.open("ab") as file:
        file.write(b'{"event":"done"')
    second = reader.news()
    with path.open("ab") as file:
        file.write(b"}\n")

    assert ([], [("stored", "1", "did")]) == (before, [(note.event, note.id, note.peer) for note in first])
    assert [{"words": 7}] == [note.figures for note in second]
    assert [Event.DONE] == [note.event for note in reader.news()]
