"""
What goes wrong on the way to a direct channel and in it: the branch ``SignalingError`` of the tree in ``errors``.

SignalingError
├── UnexpectedSignal · DescriptionRefused · HelloRefused · ConnectionFailed
├── ChannelExists · ChannelClosed · InvalidChannel · MessageTooLarge · FrameRefused
└── TransferRefused
"""

from aiconexus.protocol.errors import AiconexusError, _line, _shown


class SignalingError(AiconexusError):
    """Two agents could not be connected, or their connection is over."""


class UnexpectedSignal(SignalingError):
    """A signal that does not fit the state of its negotiation."""

    def __init__(self, state: str, type_: str) -> None:
        super().__init__(state, type_)
        self.state = state
        self.type = type_

    def __str__(self) -> str:
        return f"unexpected {_line(self.type)} in state {self.state}"


class DescriptionRefused(SignalingError):
    """
    A session description that must not reach the WebRTC stack.

    ``event`` is what INCIDENT calls it.
    """

    def __init__(self, event: str, reason: str) -> None:
        super().__init__(event, reason)
        self.event = event
        self.reason = reason

    def __str__(self) -> str:
        return f"session description refused: {_line(self.reason)}"


class HelloRefused(SignalingError):
    """The proof inside a channel is missing or wrong: whoever is at the other end is not who was asked for."""

    def __init__(self, did: str, event: str, reason: str) -> None:
        super().__init__(did, event, reason)
        self.did = did
        self.event = event
        self.reason = reason

    def __str__(self) -> str:
        return f"the channel does not belong to {_line(self.did)}: {_line(self.reason)}"


class ConnectionFailed(SignalingError):
    """No direct connection came about, or it was lost; the relay may still reach the peer."""

    def __init__(self, did: str, phase: str, reason: str) -> None:
        super().__init__(did, phase, reason)
        self.did = did
        self.phase = phase
        self.reason = reason

    def __str__(self) -> str:
        return f"no direct connection to {_line(self.did)} ({self.phase}): {_line(self.reason)}"


class ChannelExists(SignalingError, ValueError):
    """A second channel with the same label or id."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.label = label

    def __str__(self) -> str:
        return f"there is a channel {_shown(self.label)} already"


class ChannelClosed(SignalingError):
    """The channel does not take messages any more."""

    def __init__(self, label: str, reason: str = "closed") -> None:
        super().__init__(label, reason)
        self.label = label
        self.reason = reason

    def __str__(self) -> str:
        return f"the channel {_shown(self.label)} is closed: {_line(self.reason)}"


class InvalidChannel(SignalingError, ValueError):
    """A channel configuration that contradicts itself; all mistakes are named."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes

    def __str__(self) -> str:
        return "; ".join(map(_line, self.mistakes))


class MessageTooLarge(SignalingError):
    """A message above what the channel takes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(size, limit)
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return f"a message of {self.size} bytes, at most {self.limit} are allowed"


class FrameRefused(SignalingError):
    """What came through a channel contradicts what both sides agreed on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"frame refused: {_line(self.reason)}"


class TransferRefused(SignalingError):
    """The peer does not take a file, or what came is not what was announced."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"transfer of {_shown(self.name)}: {_line(self.reason)}"
