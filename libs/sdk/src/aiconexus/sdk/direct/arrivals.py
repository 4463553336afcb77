"""What a peer's pipe brings: envelopes for our handlers, taken once, in order, and no faster than we can."""

from collections import deque
from collections.abc import Callable
from itertools import islice

import msgspec

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Body
from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.errors import ForeignSender
from aiconexus.protocol.frames import Await, Here, NotTaken, Taken, Word, write_word
from aiconexus.protocol.limits import RECEIPT_ITEMS_MAX
from aiconexus.protocol.seal import Letter, Sealed
from aiconexus.sdk.direct.carriage import WINDOW
from aiconexus.sdk.direct.seam import Pipe
from aiconexus.sdk.inbox import open_mail
from aiconexus.sdk.progress import Ticket

OPEN_MAX = 256
"""Envelopes of one peer that wait for our handlers; from then on TAKEN waits, and with it the peer's window."""
UNASKED_MAX = 4 * WINDOW
"""Envelopes above that are taken nevertheless; a peer that heeds its window never sends as many."""
FULL = "full"
AWAITED_MAX = 64
DIRECT = -1
"""The place in the mailbox of what never lay there."""

TakeDirect = Callable[[Letter, Body, Ticket], str | None]


class DirectTicket(Ticket):
    """An envelope that came through a pipe and is not done."""

    __slots__ = ("arrivals",)

    def __init__(self, arrivals: "Arrivals") -> None:
        super().__init__(DIRECT)
        self.arrivals = arrivals

    def finish(self) -> None:
        """Be done with it."""
        if not self.is_done:
            self.is_done = True
            self.arrivals.finish()


class Tally(msgspec.Struct):
    """What came through pipes."""

    read: int = 0
    refused: int = 0


class Arrivals:
    """
    The receiving end of one pipe.

    Args:
        pipe: The system channel.
        did: Ours.
        take: Gets each envelope that was believed; returns the name of a problem if the mailbox has to bring it.
        is_known: Whether an envelope of a sender has come, whichever way.

    """

    def __init__(self, pipe: Pipe, did: str, take: TakeDirect, is_known: Callable[[str, str], bool]) -> None:
        self.tally = Tally()
        self._pipe = pipe
        self._did = did
        self._take = take
        self._is_known = is_known
        self._open = 0
        self._untold: deque[str] = deque()
        self._awaited: dict[str, None] = {}

    def arrive(self, sealed: Sealed) -> None:
        """
        Take an envelope.

        Raises:
            EnvelopeError: If it is not acceptable.
            IdentityError: If it is not the peer's own, or not for us.

        """
        letter, body = open_mail(sealed, self._did, now_ms())
        sender, id_ = letter.envelope.sender, letter.envelope.id
        if sender != self._pipe.did:
            self.tally.refused += 1
            raise ForeignSender(sender, self._pipe.did)
        self._open += 1
        is_full = self._open > OPEN_MAX + UNASKED_MAX
        problem = FULL if is_full else self._take(letter, body, DirectTicket(self))
        if problem is not None:
            self._open -= 1
            self._say(NotTaken(id_, problem))
            return
        self.tally.read += 1
        self._untold.append(id_)
        self._tell()

    def wait_for(self, word: Await) -> None:
        """Tell the peer once an envelope has come that went another way."""
        if self._is_known(self._pipe.did, word.id):
            self._say(Here(word.id))
        elif len(self._awaited) < AWAITED_MAX:
            self._awaited[word.id] = None

    def note_arrived(self, id_: str) -> None:
        """An envelope of this peer came, whichever way."""
        if id_ in self._awaited:
            del self._awaited[id_]
            self._say(Here(id_))

    def finish(self) -> None:
        """One more is done."""
        self._open -= 1
        self._tell()

    def _tell(self) -> None:
        while self._untold and self._open <= OPEN_MAX:
            ids = islice(self._untold, RECEIPT_ITEMS_MAX)
            self._say(Taken(tuple(ids)))
            self._untold = deque(islice(self._untold, RECEIPT_ITEMS_MAX, None))

    def _say(self, word: Word) -> None:
        try:
            self._pipe.send(write_word(word))
        except ChannelClosed:
            # The peer sends all that it did not hear of through the relay.
            return
