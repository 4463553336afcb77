"""Ed25519: RFC 8032 and Wycheproof."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_add

from aiconexus.protocol.did import did_of
from aiconexus.protocol.errors import InvalidDid, InvalidSignature
from aiconexus.protocol.keys import SigningKey, verify

from .samples import ALICE, BOB
from .strange_dids import ORDER_8, SMALL_ORDER, unchecked_did

L = 2**252 + 27742317777372353535851937790883648493
VECTORS = Path(__file__).parent.parent / "vectors"
GROUPS: list[dict[str, Any]] = json.loads((VECTORS / "wycheproof_ed25519.json").read_bytes())["testGroups"]
WYCHEPROOF = [(group["publicKey"]["pk"], case) for group in GROUPS for case in group["tests"]]

# RFC 8032 section 7.1: seed, public key, message, signature.
RFC_8032 = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "TEST 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    "TEST SHA(abc)": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
}


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC_8032.values(), ids=list(RFC_8032))
def test_vectors_of_the_rfc(seed: str, public_key: str, message: str, signature: str) -> None:
    """Our keys and signatures are those of RFC 8032 section 7.1."""
    key = SigningKey(bytes.fromhex(seed))
    signed = key.sign(bytes.fromhex(message))

    assert (public_key, signature) == (key.public_key.hex(), signed.hex())
    verify(key.did, bytes.fromhex(message), signed)


@pytest.mark.parametrize(("public_key", "case"), WYCHEPROOF, ids=[f"tc{case['tcId']}" for _, case in WYCHEPROOF])
def test_wycheproof(public_key: str, case: dict[str, Any]) -> None:
    """Every known edge case of Ed25519 verification has the answer that Wycheproof wants."""
    did = did_of(bytes.fromhex(public_key))

    assert (case["result"] == "valid") == _accepts(did, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))


@given(st.binary(max_size=200))
def test_signature_is_bound_to_its_owner(data: bytes) -> None:
    """The owner's signature verifies under the owner's name, and under no other."""
    signature = ALICE.sign(data)

    assert _accepts(ALICE.did, data, signature)
    assert not _accepts(BOB.did, data, signature)
    assert not _accepts(ALICE.did, data + b"\0", signature)


@given(st.binary(max_size=100), st.integers(min_value=0, max_value=511))
def test_flipped_bit_is_refused(data: bytes, bit: int) -> None:
    """No bit of a signature is free."""
    changed = int.from_bytes(ALICE.sign(data), "little") ^ 1 << bit

    assert not _accepts(ALICE.did, data, changed.to_bytes(64, "little"))


@given(st.binary(max_size=100))
def test_malleated_signature_is_refused(data: bytes) -> None:
    """S + L solves the same equation and is refused, RFC 8032 section 5.1.7."""
    signature = ALICE.sign(data)
    s = int.from_bytes(signature[32:], "little")

    assert not _accepts(ALICE.did, data, signature[:32] + (s + L).to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 63, 65, 128])
def test_signature_of_another_length_is_refused(size: int) -> None:
    """A signature has 64 bytes; a longer one would move the border to the data."""
    with pytest.raises(InvalidSignature):
        verify(ALICE.did, b"data", (ALICE.sign(b"data") * 2)[:size])


@pytest.mark.parametrize("key", SMALL_ORDER.values(), ids=list(SMALL_ORDER))
def test_forgery_without_a_private_key_is_refused(key: bytes) -> None:
    """Under a small order key, R = identity and S = 0 sign much; such a key has no name, so nothing verifies."""
    with pytest.raises(InvalidDid):
        verify(unchecked_did(key), b"anything", (1).to_bytes(32, "little") + bytes(32))


def test_mixed_order_key_is_refused() -> None:
    """Implementations disagree on signatures under a key with a torsion part, so it has no name."""
    mixed = crypto_core_ed25519_add(ALICE.public_key, ORDER_8)

    with pytest.raises(InvalidDid):
        verify(unchecked_did(mixed), b"data", ALICE.sign(b"data"))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_seed_of_another_length_is_our_mistake(size: int) -> None:
    """A seed has 32 bytes."""
    with pytest.raises(ValueError, match=f"this one {size}"):
        SigningKey(bytes(size))


def test_key_shows_its_name_and_not_its_seed() -> None:
    """A key in a log line gives nothing away."""
    assert f"SigningKey({ALICE.did})" == repr(ALICE)


def _accepts(did: str, data: bytes, signature: bytes) -> bool:
    try:
        verify(did, data, signature)
    except InvalidSignature:
        return False
    return True
