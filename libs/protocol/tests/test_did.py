"""did:key names: one key has one accepted text."""

import base64
from time import perf_counter

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_add

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

P = 2**255 - 19
ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
SMALL_ORDER = {
    "order 1": (1).to_bytes(32, "little"),
    "order 2": (P - 1).to_bytes(32, "little"),
    "order 4": bytes(32),
    "order 4, other sign": (1 << 255).to_bytes(32, "little"),
    "order 8": ORDER_8,
    "order 8, other": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    "order 8, other sign": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    "order 8, other, other sign": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    "order 1, y = p + 1": (P + 1).to_bytes(32, "little"),
    "order 1, sign of zero": (1 | 1 << 255).to_bytes(32, "little"),
    "order 2, sign of zero": (P - 1 | 1 << 255).to_bytes(32, "little"),
    "order 4, y = p": P.to_bytes(32, "little"),
}
BAD_KEYS = {
    **SMALL_ORDER,
    "mixed order": crypto_core_ed25519_add(ALICE.public_key, ORDER_8),
    "no point": (2).to_bytes(32, "little"),
    "y beyond p": b"\xff" * 32,
}


def unchecked_did(public_key: bytes, multicodec: bytes = b"\xed\x01") -> str:
    """The text that a careless program would write."""
    return "did:key:z" + base58.b58encode(multicodec + public_key).decode()


BAD_DIDS = {
    "empty": "",
    "prefix alone": "did:key:z",
    "other method": ALICE.did.replace("did:key:", "did:web:"),
    "no multibase": ALICE.did.replace("did:key:z", "did:key:m"),
    "base64 multibase": "did:key:u" + base64.urlsafe_b64encode(b"\xed\x01" + ALICE.public_key).decode().rstrip("="),
    "upper case": ALICE.did.upper(),
    "cut": ALICE.did[:-1],
    "longer": ALICE.did + "1",
    "leading 1": ALICE.did.replace("did:key:z", "did:key:z1"),
    "leading 1, right length": ALICE.did.replace("did:key:z", "did:key:z1")[:-1],
    "trailing space": ALICE.did + " ",
    "trailing space, right length": ALICE.did[:-1] + " ",
    "trailing newline": ALICE.did + "\n",
    **{f"white space {space!r} at the end": ALICE.did[:-1] + space for space in " \t\n\r\v\f"},
    **{f"white space {space!r} at the start": f"did:key:z{space}" + ALICE.did[10:] for space in " \t\n"},
    "all ones": "did:key:z" + "1" * 47,
    "34 zero bytes and more": "did:key:z" + "1" * 34 + "2" * 13,
    "greatest number": "did:key:z" + "z" * 47,
    "leading space": " " + ALICE.did[:-1],
    "fragment": f"{ALICE.did}#{ALICE.token}",
    "letter outside base58": ALICE.did[:-1] + "0",
    "letter outside ascii": ALICE.did[:-1] + "é",
    "lone surrogate": ALICE.did[:-1] + "\ud800",
    "secp256k1": "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    "x25519": "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
    "multicodec of x25519, right length": unchecked_did(ALICE.public_key, b"\xec\x01"),
    "too short, from the CCG test suite": "did:key:zTjsVPtY",
    "33 key bytes": unchecked_did(ALICE.public_key + b"\0"),
    "31 key bytes": unchecked_did(ALICE.public_key[:-1]),
    "source prototype": "did:key:z6Mk" + base58.b58encode(ALICE.public_key).decode(),
    **{f"source prototype, {n} characters": "did:key:z6Mk" + "1" * (44 - n) + "2" * n for n in (43, 44)},
    **{name: unchecked_did(key) for name, key in BAD_KEYS.items()},
}


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
