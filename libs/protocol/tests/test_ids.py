"""Envelope ids."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.ids import RANDOM_BYTES, envelope_id

times = st.integers(min_value=0, max_value=2**48 - 2)
chance = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


def test_example_of_the_rfc() -> None:
    """RFC 9562 appendix A.6 gives this id for this time and these random bits."""
    randomness = (0xCC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(10, "big")

    assert envelope_id(0x017F22E279B0, randomness) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(times, chance)
def test_id_is_a_uuid_of_version_7(now_ms: int, randomness: bytes) -> None:
    """Every id carries its time, the version and the variant."""
    id_ = uuid.UUID(envelope_id(now_ms, randomness))

    assert (now_ms, 7, uuid.RFC_4122) == (id_.int >> 80, id_.version, id_.variant)


@given(times, chance, chance)
def test_ids_sort_by_time(now_ms: int, first: bytes, second: bytes) -> None:
    """A later id is a greater text, whatever the randomness."""
    assert envelope_id(now_ms, first) < envelope_id(now_ms + 1, second)


def test_time_beyond_48_bits_is_refused() -> None:
    """A time that does not fit is no id of another time."""
    with pytest.raises(ValueError, match="range"):
        envelope_id(2**48, bytes(10))
