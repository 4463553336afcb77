"""Only descriptions that hold the stack to a signed key pass."""

from hashlib import sha256

import pytest

from aiconexus.protocol.direct_errors import DescriptionRefused
from aiconexus.protocol.limits import CANDIDATES_MAX, SDP_MAX_CHARACTERS
from aiconexus.protocol.sdp import is_relayed, offer_hash, only_relayed, read_description, shortened

SHA256 = "sha-256 " + ":".join(["AB"] * 32)
SHA384 = "sha-384 " + ":".join(["CD"] * 48)
SHA1 = "sha-1 " + ":".join(["EF"] * 20)
MD5 = "md5 " + ":".join(["EF"] * 16)
HOST = "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"
RELAY = "a=candidate:2 1 udp 16777215 192.0.2.9 49160 typ relay raddr 0.0.0.0 rport 9"
ODD = "a=candidate:3 1 udp 1"


def sdp(
    *prints: str, media: str = "application 9 DTLS/SCTP 5000", of_session: tuple[str, ...] = (), more: str = ""
) -> str:
    """A description with these fingerprints."""
    session = "".join(f"a=fingerprint:{text}\r\n" for text in of_session)
    section = "".join(f"a=fingerprint:{text}\r\n" for text in prints)
    return f"v=0\r\n{session}m={media}\r\n{section}{more}"


def test_fingerprints_and_candidates_are_read() -> None:
    """What a peer is held to is told apart from the rest, whatever the case of its letters."""
    text = sdp(SHA256.lower().replace("sha-256", "SHA-256"), SHA384, more=f"{HOST}\r\n{RELAY}\r\n{ODD}\r\n")

    description = read_description(text)

    assert description.fingerprints == (SHA256, SHA384)
    assert description.required == SHA256
    assert description.candidates == ("host", "relay", "unknown")


def test_fingerprint_of_the_session_counts_for_its_part() -> None:
    """A browser may write it above the media."""
    assert read_description(sdp(of_session=(SHA256,))).required == SHA256
    assert read_description(sdp(SHA256, of_session=(SHA256,))).required == SHA256


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (sdp(), "fingerprint_missing"),
        (sdp(SHA384), "fingerprint_missing"),
        (sdp("sha-256 AB:CD"), "fingerprint_missing"),
        (sdp("sha-256 nonsense"), "fingerprint_missing"),
        (sdp(SHA1), "fingerprint_weak"),
        (sdp(MD5), "fingerprint_weak"),
        (sdp(SHA256, SHA1), "fingerprint_weak"),
        (sdp(SHA256, SHA256.replace("AB", "AC", 1)), "fingerprint_inconsistent"),
        (sdp(SHA256, of_session=(SHA384,)), "fingerprint_inconsistent"),
        (sdp(SHA256, SHA384, SHA1, MD5, "sha-512 00"), "offer_refused"),
        (sdp(SHA256, media="audio 9 UDP/TLS/RTP/SAVPF 0"), "offer_refused"),
        (sdp(SHA256, more="m=application 9 DTLS/SCTP 5000\r\n"), "offer_refused"),
        ("v=0\r\n", "offer_refused"),
        (sdp(SHA256, more=f"{HOST}\r\n" * (CANDIDATES_MAX + 1)), "offer_refused"),
        (sdp(SHA256, more=HOST.replace("5000", "65536") + "\r\n"), "offer_refused"),
        (sdp(SHA256, more=HOST.replace("5000", "-1") + "\r\n"), "offer_refused"),
        (sdp(SHA256, more=HOST.replace("5000", "²") + "\r\n"), "offer_refused"),
        (sdp(SHA256, more=HOST.replace("5000", "9" * 5000) + "\r\n"), "offer_refused"),
        ("v" * (SDP_MAX_CHARACTERS + 1), "offer_refused"),
    ],
)
def test_description_without_reliable_fingerprint_is_refused(text: str, event: str) -> None:
    """What proves nothing never reaches the stack, and the reason has a name."""
    with pytest.raises(DescriptionRefused) as caught:
        read_description(text)

    assert caught.value.event == event


def test_relay_only_description_names_no_address_of_ours() -> None:
    """Host and reflexive candidates are left out."""
    text = sdp(SHA256, more=f"{HOST}\r\n{RELAY}\r\na=end-of-candidates\r\n")

    assert only_relayed(text) == sdp(SHA256, more=f"{RELAY}\r\na=end-of-candidates\r\n")
    assert is_relayed(RELAY)
    assert not is_relayed(HOST)


def test_offer_hash_is_sha256_of_the_text() -> None:
    """Anybody can compute it."""
    assert offer_hash("v=0\r\nü") == sha256("v=0\r\nü".encode()).digest()


def test_description_with_too_many_candidates_is_shortened() -> None:
    """A machine with many addresses keeps what its servers gave it, and as many of its own as there may be."""
    long = sdp(SHA256, more=f"{HOST}\r\n" * (CANDIDATES_MAX + 5) + f"{RELAY}\r\n")
    short = shortened(long)

    assert ("host",) * (CANDIDATES_MAX - 1) + ("relay",) == read_description(short).candidates
    assert short == shortened(short)
    assert [line for line in long.splitlines() if "candidate" not in line] == [
        line for line in short.splitlines() if "candidate" not in line
    ]
