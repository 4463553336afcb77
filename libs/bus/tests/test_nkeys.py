import os

import pytest

from aiconexus.bus.nkeys import Kind, public_key_of, public_text, seed_of, seed_text, user_nkey
from aiconexus.protocol.keys import SigningKey

# From the documentation of NATS: nkey authentication.
SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


def test_the_documented_pair_fits_together() -> None:
    """The seed and the public text that NATS prints as its example belong to one key here, too."""
    kind, seed = seed_of(SEED)

    assert (Kind.USER, PUBLIC) == (kind, user_nkey(SigningKey(seed).public_key))


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.letter)
def test_every_kind_is_read_back(kind: Kind) -> None:
    """What is written of a key or a seed is read as the same bytes, and begins with the letter of its kind."""
    key = SigningKey(os.urandom(32))
    public, secret = public_text(kind, key.public_key), seed_text(kind, key.seed)

    assert (kind.letter, "S" + kind.letter) == (public[0], secret[:2])
    assert (key.public_key, (kind, key.seed)) == (public_key_of(kind, public), seed_of(secret))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PUBLIC[:-1], id="short"),
        pytest.param(PUBLIC + "A", id="long"),
        pytest.param(PUBLIC.lower(), id="lower case"),
        pytest.param(PUBLIC[:-1] + "5", id="checksum"),
        pytest.param("0" + PUBLIC[1:], id="alphabet"),
        pytest.param(PUBLIC[:20] + "é" + PUBLIC[21:], id="not ascii"),
        pytest.param(public_text(Kind.ACCOUNT, SigningKey(b"\1" * 32).public_key), id="another kind"),
        pytest.param(user_nkey(bytes(32)), id="small order"),
    ],
)
def test_a_bad_public_text_is_refused(text: str) -> None:
    """Only the one canonical text of a usable user key is accepted."""
    with pytest.raises(ValueError, match=r"."):
        public_key_of(Kind.USER, text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(SEED[:-1] + "A", id="checksum"),
        pytest.param(PUBLIC + "AA", id="public"),
        pytest.param("ü" * 58, id="not ascii"),
    ],
)
def test_a_bad_seed_text_is_refused_without_repeating_it(text: str) -> None:
    """The message of a wrong secret does not tell the secret."""
    with pytest.raises(ValueError, match=r".") as caught:
        seed_of(text)

    assert not text or text not in str(caught.value)


def test_a_seed_of_another_length_has_no_text() -> None:
    """Nobody writes a seed that nobody could read."""
    with pytest.raises(ValueError, match="32 bytes"):
        seed_text(Kind.USER, b"short")
