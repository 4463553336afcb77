"""Lifetime, freshness and what may be stored."""

import msgspec
import pytest

from aiconexus.protocol.envelope import (
    Envelope,
    body_class,
    check_addressee,
    check_fresh,
    check_lifetime,
    check_storable,
)
from aiconexus.protocol.errors import EnvelopeExpired, EnvelopeStale, MalformedEnvelope, UnsupportedType
from aiconexus.protocol.limits import FRESHNESS_MS, LIFETIME_MAX_MS
from aiconexus.protocol.vocabulary import BODIES, LIVE_TYPES, STORED_TYPES, UNADDRESSED_TYPES

from .samples import ALICE, BOB, NOW_MS


def envelope(
    *, created_ms: int = NOW_MS, expires_ms: int = 0, type_: str = "MESSAGE", recipient: str | None = BOB.did
) -> Envelope:
    """An envelope from Alice."""
    return Envelope(
        version=1,
        id="1",
        type=type_,
        sender=ALICE.did,
        recipient=recipient,
        created_ms=created_ms,
        expires_ms=expires_ms,
        body=msgspec.Raw(b"\x80"),
    )


def test_no_end_means_the_longest_lifetime() -> None:
    """An envelope without expiry ends after the longest lifetime."""
    assert NOW_MS + LIFETIME_MAX_MS == envelope().ends_ms
    assert NOW_MS + 1 == envelope(expires_ms=NOW_MS + 1).ends_ms


@pytest.mark.parametrize(
    "good",
    [
        envelope(),
        envelope(expires_ms=NOW_MS + 1),
        envelope(expires_ms=NOW_MS + LIFETIME_MAX_MS),
        envelope(created_ms=NOW_MS + FRESHNESS_MS),
        envelope(created_ms=NOW_MS - LIFETIME_MAX_MS + 1),
    ],
    ids=["no end", "one more millisecond", "longest", "future", "old"],
)
def test_envelope_within_its_lifetime_passes(good: Envelope) -> None:
    """From a minute before its creation until its end an envelope may be stored."""
    check_lifetime(good, NOW_MS)


@pytest.mark.parametrize(
    "bad",
    [envelope(expires_ms=NOW_MS), envelope(created_ms=NOW_MS - LIFETIME_MAX_MS), envelope(expires_ms=1)],
    ids=["ends now", "ended by default", "long ago"],
)
def test_expired_envelope_is_refused(bad: Envelope) -> None:
    """At its end an envelope is over."""
    with pytest.raises(EnvelopeExpired):
        check_lifetime(bad, NOW_MS)


def test_envelope_that_lives_too_long_is_refused() -> None:
    """Nobody fills a mailbox for longer than the longest lifetime."""
    with pytest.raises(MalformedEnvelope):
        check_lifetime(envelope(expires_ms=NOW_MS + LIFETIME_MAX_MS + 1), NOW_MS)


def test_envelope_from_the_future_is_refused() -> None:
    """A clock may be wrong by a minute, not by more."""
    with pytest.raises(EnvelopeStale):
        check_lifetime(envelope(created_ms=NOW_MS + FRESHNESS_MS + 1), NOW_MS)


@pytest.mark.parametrize("skew_ms", [-FRESHNESS_MS, 0, FRESHNESS_MS])
def test_fresh_envelope_passes(skew_ms: int) -> None:
    """A live envelope counts for a minute around its creation."""
    check_fresh(envelope(created_ms=NOW_MS + skew_ms), NOW_MS)


@pytest.mark.parametrize("skew_ms", [-FRESHNESS_MS - 1, FRESHNESS_MS + 1])
def test_stale_envelope_is_refused(skew_ms: int) -> None:
    """Beyond that minute it is stale, on either side."""
    with pytest.raises(EnvelopeStale):
        check_fresh(envelope(created_ms=NOW_MS + skew_ms), NOW_MS)


def test_live_envelope_may_end_sooner() -> None:
    """A live envelope does not outlive its own end."""
    with pytest.raises(EnvelopeExpired):
        check_fresh(envelope(created_ms=NOW_MS - 2, expires_ms=NOW_MS - 1), NOW_MS)


@pytest.mark.parametrize("type_", sorted(BODIES))
def test_type_goes_where_the_table_says(type_: str) -> None:
    """A type is for mailboxes or it is refused there; no type is both stored and live, or both addressed and not."""
    assert (type_ in STORED_TYPES) == _storable(type_)
    assert not {type_} & STORED_TYPES & LIVE_TYPES
    assert not {type_} & UNADDRESSED_TYPES & (STORED_TYPES | LIVE_TYPES)
    assert type_ == body_class(type_).TYPE


@pytest.mark.parametrize("type_", ["", "message", "LATER"])
def test_unknown_type_is_neither_stored_nor_read(type_: str) -> None:
    """What no table knows is refused."""
    assert not _storable(type_)
    with pytest.raises(UnsupportedType):
        body_class(type_)


@pytest.mark.parametrize(
    ("type_", "recipient", "good"),
    [
        ("MESSAGE", BOB.did, True),
        ("PRESENCE", None, True),
        ("MESSAGE", None, False),
        ("LATER", None, False),
        ("PRESENCE", BOB.did, False),
    ],
)
def test_only_broadcasts_are_addressed_to_nobody(type_: str, recipient: str | None, good: bool) -> None:
    """What is said to everybody has no addressee, everything else has one."""
    assert good == _addressed(envelope(type_=type_, recipient=recipient))


def _storable(type_: str) -> bool:
    try:
        check_storable(type_)
    except UnsupportedType:
        return False
    return True


def _addressed(candidate: Envelope) -> bool:
    try:
        check_addressee(candidate)
    except MalformedEnvelope:
        return False
    return True
