"""What relay does for the retry service, and for nobody else."""

import pytest

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Error, Message, Receipt, ReceiptItem, ReceiptStatus
from aiconexus.protocol.job_bodies import Look, Looked, Place, Placed, PlacedItem, PlaceItem
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import compose, unseal
from aiconexus.protocol.signal_bodies import Offer

from .world import Agent, World, contents, receipts

pytestmark = pytest.mark.usefixtures("relay")


class Asker:
    """A service that asks relay."""

    def __init__(self, world: World, name: str = "retry") -> None:
        self._world = world
        self._name = name

    async def ask(self, body: Body) -> Body:
        """Put a signed question."""
        key = self._world.keys[self._name]
        session = await self._world.session(self._name)
        data = compose(body, key, self._world.relay_did, id_=new_id(), now_ms=now_ms(), limit=REPLY_MAX_BYTES)
        subject = subjects.service("relay", body.TYPE.lower())
        return unseal((await session.request(subject, data)).data, REPLY_MAX_BYTES).body

    async def place(self, *letters: bytes, attempt: int = 1) -> tuple[PlacedItem, ...]:
        """Put envelopes into mailboxes."""
        answer = await self.ask(Place(items=tuple(PlaceItem(envelope=one, attempt=attempt) for one in letters)))
        assert isinstance(answer, Placed), answer
        return answer.items

    async def look(self, *sequences: int, remove: bool = False) -> tuple[int, ...]:
        """Look after entries."""
        answer = await self.ask(Look(sequences=sequences, remove=remove))
        assert isinstance(answer, Looked), answer
        return answer.present

    def own(self, body: Body, to: str) -> bytes:
        """An envelope in its own name."""
        return compose(body, self._world.keys[self._name], to, id_=new_id(), now_ms=now_ms())


@pytest.fixture
def retry(world: World) -> Asker:
    """The retry service."""
    return Asker(world)


async def test_placed_envelope_is_mail(retry: Asker, ann: Agent, bob: Agent) -> None:
    """What retry places lies in the recipient's mailbox as if its sender had submitted it."""
    first, second = await retry.place(ann.mail(bob, 1), ann.mail(bob, 2))
    mail = await bob.fetch()

    assert [1, 2] == contents(mail)
    assert [first.sequence, second.sequence] == [item.sequence for item in mail.items]


async def test_attempt_is_placed_once(retry: Asker, ann: Agent, bob: Agent) -> None:
    """The same attempt again has its first place; another attempt has one of its own, and so has a submission."""
    letter = ann.mail(bob)
    submitted = await ann.submit(letter)
    places = [(await retry.place(letter, attempt=attempt))[0].sequence for attempt in (1, 1, 2)]

    assert places[0] == places[1] != places[2]
    assert submitted.sequence not in places
    assert 3 == len((await bob.fetch()).items)


async def test_placement_passes_the_checks_of_a_submission(world: World, retry: Asker, ann: Agent, bob: Agent) -> None:
    """Forged, live, expired, unwanted and homeless envelopes are refused, each by itself."""
    stranger, revoked = Agent(world, world.keys["issuer"]), await world.agent()
    await world.enrol(revoked, revoked_ms=1)
    letter = ann.mail(bob)
    forged = letter[:-1] + bytes([letter[-1] ^ 1])
    items = await retry.place(
        forged,
        ann.sealed(Offer(sdp="v=0"), bob.did),
        ann.mail(bob, now_ms=now_ms() - 2_000, expires_ms=now_ms() - 1_000),
        ann.mail(stranger),
        stranger.mail(bob),
        revoked.mail(bob),
        b"no envelope",
        letter,
    )

    assert [
        "invalid_signature",
        "unsupported_type",
        "expired",
        "unknown_agent",
        "unknown_agent",
        "key_revoked",
        "malformed",
        None,
    ] == [item.problem for item in items]
    assert 1 == len((await bob.fetch()).items)


async def test_full_mailbox_says_when_to_come_again(world: World, ann: Agent, bob: Agent) -> None:
    """A refusal for lack of room is worth another try, and says when."""
    async with world.relay("r2", mailbox_max_envelopes=1):
        await ann.submit(ann.mail(bob))
        (item,) = await Asker(world).place(ann.mail(bob))

    assert ("mailbox_full", True) == (item.problem, item.retryable)
    assert item.retry_after_ms > 0


async def test_retry_tells_senders_in_its_own_name(world: World, retry: Asker, ann: Agent) -> None:
    """A receipt of retry itself is mail, although no service is registered; nothing else of it is."""
    told = Receipt(items=(ReceiptItem(id="m", status=ReceiptStatus.DEAD_LETTERED),))
    items = await retry.place(
        retry.own(told, ann.did), retry.own(Message(content="x"), ann.did), Asker(world, "edge").own(told, ann.did)
    )

    assert [None, "unknown_agent", "unknown_agent"] == [item.problem for item in items]
    assert list(told.items) == list(receipts(await ann.fetch()))


async def test_entries_are_seen_and_removed(retry: Asker, ann: Agent, bob: Agent) -> None:
    """An entry is there until it is acknowledged or removed."""
    one, two, three = [item.sequence for item in await retry.place(*(ann.mail(bob, n) for n in range(3)))]
    await bob.ack(one)

    assert (two, three) == await retry.look(one, two, three, 2**40)
    assert (three,) == await retry.look(one, three, remove=True)
    assert (two,) == await retry.look(one, two, three)
    assert [1] == contents(await bob.fetch())


async def test_nobody_else_may_look_or_place(world: World) -> None:
    """Another service that may ask relay is refused; an edge cannot even ask, the bus sees to that."""
    answer = await Asker(world, "identity").ask(Look(sequences=(1,)))

    assert isinstance(answer, Error)
    assert "refused" == answer.problem
