import json

from aiconexus.cli.shown import in_one_line, indented, json_of, printable


def test_words_of_a_stranger_stay_in_their_line() -> None:
    """However many lines a failure's message has, it is no second entry of a list."""
    assert "first line dead z6Mk.forged" == in_one_line("first line\n\ndead   z6Mk.forged\r\n")
    assert "" == in_one_line(None)


def test_words_of_a_stranger_do_not_steer_the_terminal() -> None:
    """Control characters are replaced, lines and tabs stay."""
    assert "a\n\t\N{REPLACEMENT CHARACTER}[31mb" == printable("a\n\t\x1b[31mb")


def test_further_lines_of_a_stranger_are_indented() -> None:
    """Whatever separates lines, none begins where ours do."""
    assert "a\n    z6Mk: b\n    c" == indented("a\nz6Mk: b\r\nc")
    assert "a\n    b\n    c" == indented("a\u2028b\x0bc")


def test_json_does_not_steer_the_terminal() -> None:
    """What programs read back unchanged holds nothing that a terminal obeys: no escapes, no change of direction."""
    words = {"a\x1b": "\x9b31m \u202e \U000e0001 \u2028 \N{PILE OF POO} \x00\x7f"}
    text = json_of(words)

    assert text.isprintable()
    assert words == json.loads(text)
