"""did:key names: one key has one accepted text."""

from time import perf_counter

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.did import (
    check_public_key,
    did_for_token,
    did_of,
    key_text_of,
    public_key_of,
    token_in,
    token_of,
)
from aiconexus.protocol.errors import InvalidDid
from aiconexus.protocol.keys import SigningKey

from .samples import ALICE
from .strange_dids import BAD_DIDS, BAD_KEYS


# The test vectors of the W3C CCG did:key method are the keys of the seeds 0, 1, 2 and 3.
@pytest.mark.parametrize(
    ("seed", "did"),
    [
        (0, "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"),
        (1, "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG"),
        (2, "did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf"),
        (3, "did:key:z6MkvqoYXQfDDJRv8L4wKzxYeuKyVZBfi9Qo6Ro8MiLH3kDQ"),
    ],
)
def test_vectors_of_the_did_key_method(seed: int, did: str) -> None:
    """A published seed has its published name."""
    assert did == SigningKey(seed.to_bytes(32, "big")).did


# Public keys in base58 as drivers of did:key publish them; the first DID is that of the CCG test suite.
@pytest.mark.parametrize(
    ("did", "public_key"),
    [
        ("did:key:z6MktKwz7Ge1Yxzr4JHavN33wiwa8y81QdcMRLXQsrH9T53b", None),
        ("did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH", "B12NYF8RrR3h41TDCTJojY59usg3mbtbjnFs7Eud1Y6u"),
        ("did:key:z6MkmjY8GnV5i9YTDtPETC2uUAW6ejw3nk5mXF5yci5ab7th", "8HH5gYEeNc3z7PYXmd54d4x6qAfCNrqQqEB3nS7Zfu7K"),
    ],
    ids=["test suite", "driver", "framework"],
)
def test_published_names(did: str, public_key: str | None) -> None:
    """The names and keys that others publish are ours."""
    assert did == did_of(public_key_of(did))
    assert public_key in (None, base58.b58encode(public_key_of(did)).decode())


@given(st.binary(min_size=32, max_size=32))
def test_name_of_a_key_names_it_alone(seed: bytes) -> None:
    """Key to DID to token and back gives the same key."""
    key = SigningKey(seed)

    assert key.public_key == public_key_of(key.did) == public_key_of(did_for_token(token_in(key.did)))
    assert key.token == token_of(key.public_key)
    assert key.token.isalnum()
    assert key.did.startswith("did:key:z6Mk")


@given(st.text(base58.BITCOIN_ALPHABET.decode() + " \t\n", min_size=43, max_size=43))
def test_whatever_is_read_is_written_back(rest: str) -> None:
    """There is no second text of any key: what reads as a key is what we write for it."""
    text = "did:key:z6Mkr" + rest
    key = _read(text)

    assert key is None or text == did_of(key)


def test_key_text_is_the_bare_key() -> None:
    """REGISTER spells the 32 bytes alone, without multicodec and multibase."""
    assert ALICE.public_key == base58.b58decode(key_text_of(ALICE.did))


@pytest.mark.parametrize("did", BAD_DIDS.values(), ids=list(BAD_DIDS))
def test_other_texts_are_refused(did: str) -> None:
    """What is not the one text of a usable key is no DID, and has no token."""
    with pytest.raises(InvalidDid):
        public_key_of(did)
    with pytest.raises(InvalidDid):
        token_in(did)


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=list(BAD_KEYS))
def test_key_that_lets_forgeries_through_has_no_name(key: bytes) -> None:
    """Small order, mixed order and what is no point are refused before they are named."""
    with pytest.raises(InvalidDid, match="subgroup"):
        did_of(key)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_key_of_another_length_is_refused(size: int) -> None:
    """A key has 32 bytes."""
    with pytest.raises(InvalidDid, match=f"{size} bytes instead of 32"):
        check_public_key(bytes(size))


@given(st.text(max_size=100))
def test_any_text_but_a_token_is_refused(text: str) -> None:
    """Text from elsewhere raises InvalidDid and nothing else."""
    with pytest.raises(InvalidDid):
        did_for_token(text)


@given(st.binary(min_size=32, max_size=32))
def test_names_of_the_source_prototype_are_no_second_names(seed: bytes) -> None:
    """The bare key bytes behind a literal z6Mk never name the key that they were made from."""
    key = SigningKey(seed)
    text = "did:key:z6Mk" + base58.b58encode(key.public_key).decode()

    assert key.public_key != _read(text)


@given(
    st.integers(min_value=0, max_value=47),
    st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"),
)
def test_changed_letter_never_names_the_same_key(place: int, letter: str) -> None:
    """One changed letter is refused or names somebody else."""
    text = "did:key:" + ALICE.token[:place] + letter + ALICE.token[place + 1 :]

    assert (text == ALICE.did) == (_read(text) == ALICE.public_key)


def test_oversized_base58_is_refused_at_once() -> None:
    """The length comes before the decoder, whose time grows with its square."""
    before = perf_counter()

    with pytest.raises(InvalidDid):
        public_key_of("did:key:z" + "z" * 1_000_000)
    assert perf_counter() - before < 0.1


def _read(text: str) -> bytes | None:
    try:
        return public_key_of(text)
    except InvalidDid:
        return None
