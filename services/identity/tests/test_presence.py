from msgspec.structs import replace

from aiconexus.identity.presence import arrived, last_sign_ms
from aiconexus.protocol.bodies import Road

from .people import PEOPLE, presence

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
