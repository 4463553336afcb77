"""What a channel may be like."""

import pytest

from aiconexus.protocol.direct_errors import ChannelExists, InvalidChannel
from aiconexus.protocol.errors import Refused
from aiconexus.protocol.frames import Agree, Disagreed
from aiconexus.sdk.direct.agreement import (
    CHOSEN_ID_MAX,
    FEATURES,
    Streams,
    agree_of,
    are_same,
    config_of,
    error_of,
)
from aiconexus.sdk.direct.channel_config import DataChannelConfig, Priority, check_label

WRONG = {
    "lifetime": ({"max_packet_life_time_ms": 0}, "max_packet_life_time_ms"),
    "retransmits": ({"max_retransmits": 70_000}, "max_retransmits"),
    "protocol": ({"protocol": "x" * 257}, "protocol"),
    "id of the system channel": ({"id": 0}, "id"),
    "id": ({"id": 65_535}, "id"),
    "negotiated": ({"negotiated": True}, "needs an id"),
    "priority": ({"priority": 7}, "priority"),
}


@pytest.mark.parametrize(("fields", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused(fields: dict[str, object], said: str) -> None:
    """The mistake is named."""
    with pytest.raises(InvalidChannel, match=said):
        DataChannelConfig(**fields)  # type: ignore[arg-type]


def test_all_mistakes_are_named_at_once() -> None:
    """Nobody has to try again for each."""
    with pytest.raises(InvalidChannel) as caught:
        DataChannelConfig(max_packet_life_time_ms=0, max_retransmits=-1, negotiated=True)

    assert 4 == len(caught.value.mistakes)


def test_reliable_is_what_gives_up_nothing() -> None:
    """Neither a lifetime nor a number of retransmissions."""
    assert DataChannelConfig(ordered=False).is_reliable
    assert not DataChannelConfig(max_retransmits=0).is_reliable
    assert not DataChannelConfig(max_packet_life_time_ms=100).is_reliable


@pytest.mark.parametrize("label", ["", "x" * 129, "aiconexus"])
def test_label_that_names_no_channel_is_refused(label: str) -> None:
    """Empty, too long, or that of the system channel."""
    with pytest.raises(InvalidChannel):
        check_label(label)


def test_agreement_says_all_that_the_other_side_must_know() -> None:
    """What comes out there is what went in here; the priority is our own affair."""
    config = DataChannelConfig(ordered=False, protocol="chess", negotiated=True, id=4, priority=Priority.HIGH)
    agree = agree_of("chat", 4, config, "token")

    assert DataChannelConfig(ordered=False, protocol="chess", negotiated=True, id=4) == config_of(agree)
    assert FEATURES == agree.features
    assert are_same(agree, agree_of("chat", 4, config, "other"))
    assert not are_same(agree, agree_of("chat", 5, config, "token"))


@pytest.mark.parametrize(
    "agree",
    [
        Agree("chat", 4, features=("telepathy",)),
        Agree("chat", 4, max_retransmits=1, features=FEATURES),
        Agree("chat", 0),
        Agree("aiconexus", 4),
    ],
    ids=["unknown feature", "features of a reliable channel", "system stream", "system label"],
)
def test_agreement_on_what_cannot_be_is_refused(agree: Agree) -> None:
    """A peer's word is checked like our own application's."""
    with pytest.raises(InvalidChannel):
        config_of(agree)


def test_refusal_is_the_error_that_the_other_side_had() -> None:
    """As far as we know it."""
    assert isinstance(error_of("chat", Disagreed(1, "channel_exists")), ChannelExists)
    assert isinstance(error_of("chat", Disagreed(1, "invalid_channel", "why")), InvalidChannel)
    assert "because" in str(error_of("chat", Disagreed(1, "refused", "because")))


def test_streams_of_two_sides_are_apart_and_used_again_late() -> None:
    """Even ones and odd ones, none twice until all were used, none that is taken, none that a browser refuses."""
    even, odd = Streams(is_even=True), Streams(is_even=False)
    taken: set[int] = set()

    assert [2, 4, 8] == [even.free({6}.__contains__) for _ in range(3)]
    assert list(range(1, CHOSEN_ID_MAX + 1, 2)) == [
        odd.free(taken.__contains__) for _ in range((CHOSEN_ID_MAX + 1) // 2)
    ]
    assert 1 == odd.free(taken.__contains__)


def test_no_stream_is_found_where_all_are_taken() -> None:
    """Whoever asks for one more is refused, and does not look for ever."""
    with pytest.raises(Refused, match="all streams"):
        Streams(is_even=True).free(lambda _: True)
