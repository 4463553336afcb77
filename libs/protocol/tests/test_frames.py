"""Words between two agents that are connected directly."""

import pytest

from aiconexus.protocol import frames
from aiconexus.protocol.errors import EnvelopeTooLarge, MalformedEnvelope
from aiconexus.protocol.frames import FRAME_MAX_BYTES, Word, read_word, write_word

WORDS: list[tuple[Word, str]] = [
    (frames.Beat(7), '["ping",7]'),
    (frames.Echo(7), '["pong",7]'),
    (frames.Taken(("a", "b")), '["taken",["a","b"]]'),
    (frames.NotTaken("a", "take_the_mailbox"), '["not_taken","a","take_the_mailbox"]'),
    (frames.Await("a"), '["await","a"]'),
    (frames.Here("a"), '["here","a"]'),
    (frames.Agree("files", 2, token="t"), '["channel","files",2,true,null,null,"",[],"t",false]'),
    (frames.Agreed(2), '["channel_ok",2]'),
    (frames.Disagreed(2, "channel_exists"), '["channel_no",2,"channel_exists",""]'),
    (frames.Resume(2, "t", 7, 4096), '["channel_resume",2,"t",7,4096]'),
    (frames.Leaving("rotate"), '["bye","rotate"]'),
    (frames.Meet("all"), '["mesh","all",false]'),
    (
        frames.Hop("a", "b", "s", 3, b"\x93", bytes(64), 7, ("a",)),
        '["hop","a","b","s",3,"kw==","' + "A" * 86 + '==",7,["a"]]',
    ),
    (frames.Admit("a"), '["mesh_admit","a",null]'),
    (frames.Costs((("a", 1500),)), '["mesh_costs",[["a",1500]]]'),
    (
        frames.Exchanges(1, (((("a", "b"),), (("a", "c"),)),)),
        '["mesh_exchanges",1,[[[["a","b"]],[["a","c"]]]]]',
    ),
]


@pytest.mark.parametrize(("word", "text"), WORDS, ids=[text for _, text in WORDS])
def test_word_has_one_text(word: Word, text: str) -> None:
    """Another language can write and read it."""
    assert text == write_word(word)
    assert word == read_word(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '["shout",1]',
        '["ping",-1]',
        '["ping","1"]',
        '["taken",[]]',
        '["taken",["a b"]]',
        "[" * 5000,
        '["here","\ud800"]',
        '["taken",[' + ",".join(['"a"'] * 257) + "]]",
    ],
)
def test_nonsense_is_malformed(text: str) -> None:
    """Nothing else is a word."""
    with pytest.raises(MalformedEnvelope):
        read_word(text)


def test_endless_text_is_not_read() -> None:
    """A peer cannot have us decode what nobody would say."""
    with pytest.raises(EnvelopeTooLarge):
        read_word("[" * (FRAME_MAX_BYTES + 1))
