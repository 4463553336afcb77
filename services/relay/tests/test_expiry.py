from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.bodies import Message
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import compose, peek, split
from aiconexus.relay.expiry import Agenda, notice_id

KEY = SigningKey(bytes(32))


def envelope(id_: str) -> Envelope:
    """Something that ends at 2,000 ms."""
    return peek(split(compose(Message(content=1), KEY, KEY.did, id_=id_, now_ms=1_000, expires_ms=2_000)))


def test_the_earliest_end_comes_first() -> None:
    """What is due is given out in the order of its ends, once, and no more than asked for."""
    agenda = Agenda(10)
    agenda.add(300, 1)
    agenda.add(100, 2)
    agenda.add(200, 3)

    assert agenda.due(250, 1) == [2]
    assert agenda.due(250, 10) == [3]
    assert agenda.due(250, 10) == []
    assert len(agenda) == 1


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(1, 20))
def test_nothing_is_missed_for_lack_of_room(ends: list[int], room: int) -> None:
    """Whatever ends before the horizon is noted, however many there are; memory stays within twice the room."""
    agenda = Agenda(room)
    for sequence, end in enumerate(ends):
        agenda.add(end, sequence)
        assert len(agenda) <= 2 * room
    moment = next((now for now in range(52) if agenda.needs_walk(now)), 52)

    assert sorted(agenda.due(moment - 1, 1000)) == [n for n, end in enumerate(ends) if end < moment]


def test_a_walk_begins_with_nothing() -> None:
    """After a clear there is neither an end nor a horizon."""
    agenda = Agenda(1)
    for sequence in range(5):
        agenda.add(sequence, sequence)
    assert agenda.needs_walk(10)
    agenda.clear()

    assert (agenda.needs_walk(10), len(agenda)) == (False, 0)


def test_everybody_gives_a_notice_the_same_id() -> None:
    """A replica that takes over in the middle says nothing twice, and two envelopes have two notices."""
    assert notice_id(envelope("a")) == notice_id(envelope("a"))
    assert notice_id(envelope("a")) != notice_id(envelope("b"))
