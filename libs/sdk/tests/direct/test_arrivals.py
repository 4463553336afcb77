"""What a peer may have us keep, whatever it sends."""

from collections.abc import Iterator

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Body, Message
from aiconexus.protocol.frames import NotTaken, Taken, read_word
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import RECEIPT_ITEMS_MAX
from aiconexus.protocol.seal import Letter, Sealed, compose, split
from aiconexus.sdk.direct.arrivals import OPEN_MAX, UNASKED_MAX, Arrivals
from aiconexus.sdk.progress import Ticket

US, PEER = SigningKey(bytes(31) + b"\1"), SigningKey(bytes(31) + b"\2")


class Pipe:
    """Keeps what is said through it."""

    did = PEER.did
    session = "s"
    road = "direct"
    is_open = True
    buffered_amount = 0

    def __init__(self) -> None:
        self.said: list[Taken | NotTaken] = []

    def send(self, frame: bytes | str) -> None:
        """Read it again, as the peer would."""
        assert isinstance(frame, str)
        self.said.append(read_word(frame))

    def taken(self) -> list[str]:
        """The ids that were told, in order."""
        return [id_ for word in self.said if isinstance(word, Taken) for id_ in word.ids]


class Desk:
    """Handlers that are through with some of what they get, and have the rest lie."""

    def __init__(self) -> None:
        self.open: list[Ticket] = []
        self.is_quick = False

    def take(self, _letter: Letter, _body: Body, ticket: Ticket) -> None:
        """Take one."""
        if self.is_quick and isinstance(ticket, Ticket):
            ticket.finish()  # type: ignore[attr-defined]
        else:
            self.open.append(ticket)


def mail(count: int) -> Iterator[tuple[str, Sealed]]:
    """Envelopes of the peer, and their ids."""
    for _ in range(count):
        id_ = new_id()
        yield id_, split(compose(Message(content=0), PEER, US.did, id_=id_, now_ms=now_ms()))


def arrivals() -> tuple[Arrivals, Pipe, Desk]:
    """The receiving end of a pipe."""
    pipe, desk = Pipe(), Desk()
    return Arrivals(pipe, US.did, desk.take, lambda _sender, _id: False), pipe, desk


def test_peer_that_does_not_heed_its_window_is_sent_to_the_mailbox() -> None:
    """What waits for our handlers is bounded, and the peer is told of each that is not taken."""
    end, pipe, desk = arrivals()
    ids = []
    for id_, sealed in mail(OPEN_MAX + UNASKED_MAX + 10):
        ids.append(id_)
        end.arrive(sealed)

    assert OPEN_MAX + UNASKED_MAX == len(desk.open)
    assert ids[-10:] == [word.id for word in pipe.said if isinstance(word, NotTaken)]
    assert ids[:OPEN_MAX] == pipe.taken()


def test_many_that_were_taken_are_told_in_several_words() -> None:
    """No word holds more ids than its reader takes."""
    end, pipe, desk = arrivals()
    ids = []
    for number, (id_, sealed) in enumerate(mail(OPEN_MAX + 1 + 2 * RECEIPT_ITEMS_MAX)):
        desk.is_quick = number > OPEN_MAX
        ids.append(id_)
        end.arrive(sealed)
    told = len(pipe.taken())
    desk.open[0].finish()  # type: ignore[attr-defined]

    assert OPEN_MAX == told
    assert ids == pipe.taken()
