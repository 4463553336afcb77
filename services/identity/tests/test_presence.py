from msgspec.structs import replace

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.testing import new_key
from aiconexus.identity.announcements import Announcer
from aiconexus.identity.presence import PresenceStore, arrived, last_sign_ms, read_presence
from aiconexus.identity.roster import Roster
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol.bodies import Road
from aiconexus.protocol.records import PRESENCE
from aiconexus.runtime.context import Context

from .people import PEOPLE, presence

Identity = Context[IdentitySettings]

TOKEN = PEOPLE[0].token
ON_NATS = presence(TOKEN, road=Road.NATS, instance="n1")


def test_a_first_session_displaces_nobody() -> None:
    """Who was not there comes, and that is all."""
    found = arrived(None, ON_NATS, 100)

    assert (ON_NATS, None, False) == (found.presence, found.displaced, found.is_renewal)


def test_another_session_displaces_the_one_before() -> None:
    """An agent has one live session: the last that registered."""
    newer = presence(TOKEN, "s2")
    found = arrived(ON_NATS, newer, 100)

    assert (newer, ON_NATS, False) == (found.presence, found.displaced, found.is_renewal)


def test_a_renewal_is_written_down_now_and_then() -> None:
    """Signs of life of an agent on NATS cost a write only after a while."""
    soon = arrived(ON_NATS, replace(ON_NATS, since_ms=2_099), 100)
    later = arrived(ON_NATS, replace(ON_NATS, since_ms=2_100), 100)

    assert ON_NATS is soon.presence
    assert replace(ON_NATS, renewed_ms=2_100) == later.presence
    assert soon.is_renewal
    assert later.is_renewal
    assert (2_000, 2_100) == (last_sign_ms(ON_NATS), last_sign_ms(later.presence))


def test_a_renewal_of_an_edge_is_always_written_down() -> None:
    """An edge that comes back must undo the departure of its agents that is under way."""
    there = presence(TOKEN)
    found = arrived(there, replace(there, since_ms=2_001), 100)

    assert replace(there, renewed_ms=2_001) == found.presence


async def stores(identity: Identity) -> tuple[PresenceStore, PresenceStore, Bucket]:
    """Two replicas that have read nothing of what the other one wrote."""
    bucket = Bucket(identity.session, PRESENCE)
    announcer = Announcer(identity.session, identity.voice)
    first, second = (PresenceStore(bucket, Roster(), announcer, 0) for _ in range(2))
    return first, second, bucket


async def test_replicas_that_know_nothing_of_each_other_agree(identity: Identity) -> None:
    """What one replica has not read yet it finds out by writing: nothing is overwritten unseen."""
    first, second, bucket = await stores(identity)
    token = new_key().token
    one = await first.arrive(presence(token, "s1"))
    two = await second.arrive(presence(token, "s2"))
    await first.leave(token, "s1")
    still = await bucket.get(token)
    await first.leave(token, "s2")
    await second.leave(token, "s2")
    again = await second.arrive(presence(token, "s3"))

    assert (None, "s1", None) == (one.displaced, two.displaced and two.displaced.session, again.displaced)
    assert still is not None
    assert "s2" == read_presence(still.value).session
    assert presence(token, "s3") == await first.find(token)


async def test_a_departure_may_be_overtaken(identity: Identity) -> None:
    """A departure that was decided before the agent was attached again removes nothing."""
    first, second, bucket = await stores(identity)
    token = new_key().token
    await first.arrive(presence(token, "s1"))
    before = await bucket.get(token)
    await second.arrive(presence(token, "s1", since_ms=9_000))
    assert before is not None
    await first.leave(token, "s1", before.revision)
    found = await first.find(token)

    assert found is not None
    assert 9_000 == found.renewed_ms
