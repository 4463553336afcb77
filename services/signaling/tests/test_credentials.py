import string

from hypothesis import given
from hypothesis import strategies as st

from aiconexus.signaling.credentials import credential_of, login_of, user_of


def test_passwords_are_those_of_others() -> None:
    """The vector is that of pion/turn: HMAC-SHA1 over the user name, in base64."""
    assert "Tpz/nKkyvX/vMSLKvL4sbtBt8Vs=" == credential_of("foobar", "1599491771")


def test_a_login_says_when_it_ends() -> None:
    """The TURN server reads the end in the name, before the colon."""
    login = login_of("secret", "somebody", 1_790_000_600)

    assert ("1790000600:somebody", 1_790_000_600) == (login.username, login.expires_seconds)
    assert credential_of("secret", login.username) == login.credential


@given(st.text(min_size=1), st.text(string.ascii_letters, min_size=1), st.integers(0, 2**33))
def test_logins_differ_by_secret_user_and_end(secret: str, user: str, ends: int) -> None:
    """Nobody makes one login out of another."""
    login = login_of(secret, user, ends)
    others = [login_of(secret + "x", user, ends), login_of(secret, user + "x", ends), login_of(secret, user, ends + 1)]

    assert login == login_of(secret, user, ends)
    assert login.credential not in [other.credential for other in others]


def test_a_user_is_always_the_same_and_tells_no_did() -> None:
    """Quotas count by user; a TURN server needs no more than that."""
    first, second = user_of("did:key:z6MkAlice"), user_of("did:key:z6MkBob")

    assert first == user_of("did:key:z6MkAlice") != second
    assert (32, set[str]()) == (len(first), set(first) - set(string.hexdigits))
