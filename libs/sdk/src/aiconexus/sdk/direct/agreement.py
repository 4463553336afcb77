"""What both sides must agree on before a channel is opened: pure."""

from collections.abc import Callable

import msgspec

from aiconexus.protocol.direct_errors import ChannelClosed, ChannelExists, InvalidChannel
from aiconexus.protocol.errors import AiconexusError, Refused
from aiconexus.protocol.frames import Agree, Disagreed
from aiconexus.protocol.problems import problem_of
from aiconexus.sdk.direct.channel_config import DataChannelConfig, check_label

FEATURES = ("parts", "resume")
"""What a reliable channel between two of us does; without them messages are as the stack carries them."""
CHOSEN_ID_MAX = 1023
"""Browsers take no higher streams."""


class Streams:
    """
    The streams that one side chooses for its channels.

    Args:
        is_even: Which half is its own.

    """

    def __init__(self, *, is_even: bool) -> None:
        self._first = 2 if is_even else 1
        self._next = self._first

    def free(self, is_taken: Callable[[int], bool]) -> int:
        """
        The next stream that is not taken; one that was used is taken again as late as possible.

        Raises:
            Refused: If all are.

        """
        for _ in range(self._first, CHOSEN_ID_MAX + 1, 2):
            found, self._next = self._next, self._next + 2
            if self._next > CHOSEN_ID_MAX:
                self._next = self._first
            if not is_taken(found):
                return found
        raise Refused("all streams of this side are taken")


def agree_of(label: str, id_: int, config: DataChannelConfig, token: str) -> Agree:
    """The word that proposes a channel."""
    return Agree(
        label,
        id_,
        config.ordered,
        config.max_packet_life_time_ms,
        config.max_retransmits,
        config.protocol,
        FEATURES if config.is_reliable else (),
        token,
        config.negotiated,
    )


def kind_of(config: DataChannelConfig) -> tuple[bool, int | None, int | None, str]:
    """What both sides must see alike in a channel."""
    return config.ordered, config.max_packet_life_time_ms, config.max_retransmits, config.protocol


def are_same(one: Agree, other: Agree) -> bool:
    """Whether two sides describe one negotiated channel."""
    return (
        one.negotiated
        and other.negotiated
        and msgspec.structs.replace(one, token="") == msgspec.structs.replace(other, token="")
    )


def config_of(agree: Agree) -> DataChannelConfig:
    """
    The kind of channel that the other side wants.

    Raises:
        InvalidChannel: If there is no such kind.

    """
    check_label(agree.label)
    config = DataChannelConfig(
        ordered=agree.ordered,
        max_packet_life_time_ms=agree.max_packet_life_time_ms,
        max_retransmits=agree.max_retransmits,
        protocol=agree.protocol,
        negotiated=agree.negotiated,
        id=agree.id,
    )
    if agree.features not in ((), FEATURES) or (agree.features and not config.is_reliable):
        raise InvalidChannel((f"features {', '.join(agree.features)} are not understood",))
    return config


def error_of(label: str, word: Disagreed) -> AiconexusError:
    """What the other side's refusal means here."""
    if word.problem == problem_of(ChannelExists(label)).name:
        return ChannelExists(label)
    if word.problem == problem_of(InvalidChannel(())).name:
        return InvalidChannel((word.message,))
    return ChannelClosed(label, f"refused: {word.message or word.problem}")
