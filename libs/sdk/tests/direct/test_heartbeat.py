import pytest

from aiconexus.sdk.direct.heartbeat import ECHOES_TO_RETURN, PENDING_MAX, Heartbeat


def test_silence_is_noticed_after_its_time() -> None:
    """Nothing came back for three seconds: the connection has just become silent, once."""
    heart = Heartbeat(3.0, now=0.0)
    heart.beat(0.0)

    assert [False, True, False] == [heart.look(2.9), heart.look(3.0), heart.look(4.0)]
    assert heart.is_silent


def test_an_echo_proves_and_measures() -> None:
    """An answer moves the deadline and tells the round trip."""
    heart = Heartbeat(3.0, now=0.0)
    number = heart.beat(1.0)
    heart.echo(number, 1.25)

    assert 0.25 == heart.rtt_seconds
    assert 4.25 == heart.deadline


@pytest.mark.parametrize("number", [0, 2, 99])
def test_an_echo_of_nothing_proves_nothing(number: int) -> None:
    """A number that we never said, or that was answered already, is no answer."""
    heart = Heartbeat(3.0, now=0.0)
    heart.echo(heart.beat(0.0), 0.1)
    heart.echo(number, 2.0)

    assert heart.look(3.2)


def test_an_echo_counts_once() -> None:
    """Repeating an answer keeps nobody alive."""
    heart = Heartbeat(3.0, now=0.0)
    number = heart.beat(0.0)
    heart.echo(number, 0.1)
    heart.echo(number, 2.0)

    assert 3.1 == heart.deadline


def test_a_silent_connection_returns_after_echoes_in_a_row() -> None:
    """One answer may be a straggler; two are a connection."""
    heart = Heartbeat(3.0, now=0.0)
    heart.look(3.0)
    echoes = [heart.echo(heart.beat(float(at)), at + 0.1) for at in range(4, 4 + ECHOES_TO_RETURN)]

    assert [False, True] == echoes
    assert not heart.is_silent


def test_echoes_with_silence_between_do_not_add_up() -> None:
    """In a row means that nothing was overdue in between."""
    heart = Heartbeat(3.0, now=0.0)
    heart.look(3.0)
    heart.echo(heart.beat(4.0), 4.1)
    heart.look(7.2)

    assert not heart.echo(heart.beat(8.0), 8.1)


def test_a_slow_way_gets_four_round_trips() -> None:
    """With a round trip of two seconds, three seconds of silence are nothing."""
    heart = Heartbeat(3.0, now=0.0)
    heart.echo(heart.beat(0.0), 2.0)

    assert not heart.look(9.9)
    assert heart.look(10.0)


def test_round_trips_are_smoothed() -> None:
    """One late answer does not change the picture."""
    heart = Heartbeat(3.0, now=0.0)
    heart.echo(heart.beat(0.0), 0.1)
    heart.echo(heart.beat(1.0), 1.9)

    assert heart.rtt_seconds == pytest.approx(0.2)


def test_other_proof_counts() -> None:
    """An acknowledgement of what we sent says as much as an echo."""
    heart = Heartbeat(3.0, now=0.0)

    assert not heart.prove(2.0)
    assert not heart.look(4.9)


def test_our_own_delay_is_excused() -> None:
    """When this process was held up, the answer may lie in the socket."""
    heart = Heartbeat(3.0, now=0.0)
    heart.excuse(2.0)

    assert not heart.look(4.9)


def test_unanswered_beats_are_bounded() -> None:
    """A peer that never answers does not make us remember for ever."""
    heart = Heartbeat(3.0, now=0.0)
    numbers = [heart.beat(float(at)) for at in range(PENDING_MAX + 1)]

    assert not heart.echo(numbers[0], 100.0)
    assert heart.rtt_seconds is None
    heart.echo(numbers[-1], 100.0)
    assert heart.rtt_seconds == 36.0


def test_what_was_asked_is_awaited_until_it_or_a_later_one_is_answered() -> None:
    """Nothing else is."""
    heart = Heartbeat(3.0, 0.0)
    first, second, third = (heart.beat(now) for now in (0.0, 1.0, 2.0))
    heart.echo(second, 2.1)

    assert [False, False, True, False] == [heart.awaits(each) for each in (first, second, third, third + 1)]
