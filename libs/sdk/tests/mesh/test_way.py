from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import pytest
import pytest_asyncio

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.frames import Hop, Leaving, write_word
from aiconexus.protocol.hops import sign_hop
from aiconexus.protocol.ids import RANDOM_BYTES
from aiconexus.protocol.keys import SigningKey
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.direct.mail import Mail
from aiconexus.sdk.mesh.order import session_after
from aiconexus.sdk.mesh.way import MeshPipe, Pace, Sending, Way

ALICE, BOB = SigningKey(b"a" * 32), SigningKey(b"b" * 32)


class Shelf:
    """What mail asks of an outbox: nothing waits."""

    def stored_for(self, recipient: str, limit: int, after: str = "") -> tuple[list[str], str | None]:
        """Nothing."""
        return [], None

    def oldest_for(self, recipient: str) -> str | None:
        """Nothing."""
        return None

    def put_back(self, recipient: str, ids: list[str]) -> None:
        """Nothing to send again."""

    def by_relay(self, recipient: str, ids: list[str]) -> None:
        """Likewise."""

    def note_taken(self, id_: str, road: str) -> None:
        """Nothing was carried."""


class End:
    """One of two members; what it sends waits until the test lets it through."""

    def __init__(self, key: SigningKey, other: SigningKey) -> None:
        self.now = 0.0
        self.sent: list[Hop] = []
        self.words: list[str] = []
        self.firsts: list[frozenset[str]] = []
        self.neighbours = ["one", "two"]
        self.watched: set[Way] = set()
        self.crew = Crew(lambda error: pytest.fail(str(error)))
        self.mail = Mail(
            key.did,
            Shelf(),
            self.crew,
            take=lambda _letter, _body, _ticket: None,
            is_known=lambda _sender, _id: False,
            on_refused=lambda _did, error: pytest.fail(str(error)),
        )
        sending = Sending(key, 8, Pace(2.0), self.hand_on, lambda: self.now, self.watched.add)
        self.way = Way(other.did, self.mail, sending, lambda _did, text: self.words.append(text))

    def hand_on(self, hop: Hop, without: frozenset[str]) -> str | None:
        """Take note."""
        self.firsts.append(without)
        left = [name for name in self.neighbours if name not in without]
        if left:
            self.sent.append(hop)
        return left[0] if left else None

    @property
    def session(self) -> str:
        """The session in use."""
        assert self.way._pipe is not None
        return self.way._pipe.session

    async def carried(self) -> None:
        """Mail has something under way."""
        await self.mail.wait_ready(self.way.did)
        carriage = self.mail.to(self.way.did)
        assert carriage is not None
        assert carriage.carry(f"id-{len(self.sent)}", b"\x93")

    async def close(self) -> None:
        """Stop."""
        await self.mail.close()


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    """Two members who reach each other over others."""
    alice, bob = End(ALICE, BOB), End(BOB, ALICE)
    yield alice, bob
    await alice.close()
    await bob.close()


def let_through(source: End, target: End, choose: Callable[[list[Hop]], list[Hop]] = list) -> None:
    """Deliver what one end has sent, some of it or in another order."""
    hops, source.sent = choose(source.sent), []
    for hop in hops:
        target.way.take(hop)


def say(end: End, *texts: str) -> None:
    """Send words."""
    for text in texts:
        end.way.say(write_word(Leaving(text)))


def said(*texts: str) -> list[str]:
    """As they arrive."""
    return [write_word(Leaving(text)) for text in texts]


async def test_words_come_in_order(ends: tuple[End, End]) -> None:
    """By whatever ways, and in both directions of one session."""
    alice, bob = ends
    say(alice, "1", "2", "3")
    let_through(alice, bob, lambda hops: hops[::-1])
    say(bob, "4")
    let_through(bob, alice)

    assert said("1", "2", "3") == bob.words
    assert said("4") == alice.words
    assert alice.session == bob.session


async def test_both_begin_at_once(ends: tuple[End, End]) -> None:
    """The session whose name is later counts; what was said in the other one is said again by mail."""
    alice, bob = ends
    say(alice, "lost")
    say(bob, "kept")
    (early, _), (late, _) = sorted([(alice, 0), (bob, 1)], key=lambda pair: pair[0].session)
    let_through(early, late)
    let_through(late, early)

    assert alice.session == bob.session == late.session
    assert [] == late.words


async def test_session_that_was_left_stays_left(ends: tuple[End, End]) -> None:
    """Late frames of an earlier session are passed over, and the other end is reminded of the present one."""
    alice, bob = ends
    say(alice, "1")
    say(alice, "late")
    let_through(alice, bob, lambda hops: hops[:1])
    former = sign_hop(ALICE, BOB.did, bob.session, 1, write_word(Leaving("late")), hops=3)
    bob.way._begin(None)
    bob.way.take(former)
    bob.way.take(former)
    let_through(bob, alice)

    assert said("1") == bob.words
    assert alice.session == bob.session > former.session


async def test_unused_session_gives_way(ends: tuple[End, End]) -> None:
    """Where nothing was said in ours, theirs is taken up even if its name is earlier."""
    alice, bob = ends
    say(alice, "1")
    bob.way.use()
    let_through(alice, bob)

    assert said("1") == bob.words
    assert alice.session == bob.session


async def test_another_way_is_tried_and_then_the_relay(ends: tuple[End, End]) -> None:
    """Each takes twice the patience of the one before; the second goes by another neighbour."""
    alice, _ = ends
    alice.way.use()
    sessions = [alice.session]
    await alice.carried()
    alice.now = 2.1
    assert alice.way.look() is False
    sessions.append(alice.session)
    await alice.carried()
    alice.now = 6.0
    assert alice.way.look()
    alice.now = 6.2
    assert alice.way.look()

    assert all(one < other for one, other in pairwise(sessions))
    assert {"one"} == alice.firsts[-1]
    assert alice.mail.to(BOB.did) is None
    assert alice.way in alice.watched


async def test_way_is_used_again_after_a_rest(ends: tuple[End, End]) -> None:
    """The relay is no place to stay; who is heard again is used at once."""
    alice, _ = ends
    alice.neighbours = []
    alice.way.use()
    await alice.carried()
    assert alice.way.look()
    assert alice.mail.to(BOB.did) is None
    alice.now = 11.0
    alice.way.look()
    await alice.mail.wait_ready(BOB.did)
    await alice.carried()
    alice.way.look()
    assert alice.mail.to(BOB.did) is None
    later = session_after(alice.session, 0, bytes(RANDOM_BYTES))
    alice.way.take(sign_hop(BOB, ALICE.did, later, 0, write_word(Leaving("here")), hops=3))
    await alice.mail.wait_ready(BOB.did)

    assert said("here") == alice.words


async def test_answers_end_the_wait(ends: tuple[End, End]) -> None:
    """As long as something comes back nothing is given up."""
    alice, bob = ends
    alice.way.use()
    await alice.carried()
    let_through(alice, bob, lambda _: [])
    alice.now = 1.9
    bob.way.take(sign_hop(ALICE, BOB.did, alice.session, 1, b"[1", hops=3))
    alice.way.take(sign_hop(BOB, ALICE.did, alice.session, 0, write_word(Leaving("1")), hops=3))
    alice.now = 3.8

    assert alice.way.look()
    assert 1 == len(alice.firsts)


async def test_member_that_was_started_anew_is_understood(ends: tuple[End, End]) -> None:
    """It knows nothing of the session before; what is said to it once it is back comes without waiting."""
    alice, bob = ends
    alice.way.use()
    say(alice, "1")
    let_through(alice, bob)
    alice.way.leave()
    again = End(BOB, ALICE)
    alice.way.use()
    say(alice, "2")
    let_through(alice, again)
    await again.close()

    assert said("1") == bob.words
    assert said("2") == again.words


async def test_left_way_is_no_pipe(ends: tuple[End, End]) -> None:
    """Where there is a channel now, mail takes that."""
    alice, _ = ends
    alice.way.use()
    await alice.mail.wait_ready(BOB.did)
    alice.way.leave()
    alice.way.leave()

    assert alice.mail.to(BOB.did) is None
    assert not alice.way.look()


async def test_text_that_is_none_ends_there(ends: tuple[End, End]) -> None:
    """Whatever a member signs."""
    _, bob = ends
    bob.way.take(sign_hop(ALICE, BOB.did, "s", 0, b"[\xff", hops=3))

    assert [] == bob.words
    assert "s" == bob.session


def test_closed_pipe_takes_nothing() -> None:
    """Mail learns of it where it tries."""
    pipe = MeshPipe("x", "s", lambda *_: None)
    pipe.is_open = False
    with pytest.raises(ChannelClosed):
        pipe.send("x")

    assert not pipe.is_begun


def test_busy_mesh_gets_more_time() -> None:
    """Four usual answer times, if that is more than the patience that was set."""
    pace = Pace(2.0)
    first = pace.patience_seconds(0)
    for _ in range(50):
        pace.note(3.0)

    assert (2.0, 4.0) == (first, Pace(2.0).patience_seconds(1))
    assert pytest.approx(12.0, abs=0.1) == pace.patience_seconds(0)
