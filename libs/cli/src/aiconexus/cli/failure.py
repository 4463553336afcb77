"""What ends a command without a result: a sentence for the person at the terminal, and the status for their script."""

from enum import IntEnum

from aiconexus.protocol.errors import AiconexusError


class Exit(IntEnum):
    """Exit statuses of the command."""

    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    TIMED_OUT = 5


class Failure(AiconexusError):
    """The command cannot do what it was asked to."""

    def __init__(self, sentence: str, status: Exit = Exit.FAILED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status

    def __str__(self) -> str:
        return self.sentence
