"""How far a mailbox was read, and how far it may be forgotten: pure bookkeeping."""

from collections import deque


class Ticket:
    """One entry of the mailbox that was read; ``is_done`` once nothing of it is needed any more."""

    __slots__ = ("is_done", "sequence")

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.is_done = False


class Progress:
    """
    A cursor over the mailbox.

    ``position`` is the last entry that was read, ``upto`` the last one of the unbroken row of entries that are done,
    ``acked`` what the relay was told.

    Args:
        cursor: What the relay was told in an earlier life.

    """

    def __init__(self, cursor: int = 0) -> None:
        self.position = cursor
        self.upto = cursor
        self.acked = cursor
        self._tickets: deque[Ticket] = deque()

    @property
    def open(self) -> int:
        """How many entries were read and are not done, or stand behind one that is not."""
        return len(self._tickets)

    @property
    def unacked(self) -> int:
        """How many sequences the relay may forget and was not told about; at least as many as entries."""
        return self.upto - self.acked

    def follows(self, previous: int) -> bool:
        """Whether nothing lies between what was read and an entry that names its predecessor."""
        return previous <= self.position

    def take(self, sequence: int) -> Ticket:
        """Read an entry."""
        self.position = sequence
        ticket = Ticket(sequence)
        self._tickets.append(ticket)
        return ticket

    def finish(self, ticket: Ticket) -> None:
        """Be done with an entry."""
        ticket.is_done = True
        while self._tickets and self._tickets[0].is_done:
            self.upto = self._tickets.popleft().sequence

    def rewind(self) -> None:
        """Start over: the mailbox is not the one that we knew."""
        self.position = self.upto = self.acked = 0
        self._tickets.clear()
