"""
Which session descriptions may reach the WebRTC stack, and what is in them (RFC 8866, RFC 8839, RFC 8842, RFC 8841).

A description counts because its envelope is signed; it must still be one that the stack can hold against the DTLS
certificate. Without any fingerprint the handshake would never end, with a weak one it would prove nothing.
"""

import hashlib
import re
from functools import lru_cache

import msgspec

from aiconexus.protocol.direct_errors import DescriptionRefused
from aiconexus.protocol.limits import CANDIDATES_MAX, FINGERPRINTS_MAX, SDP_MAX_CHARACTERS

STRONG = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Hash functions that a fingerprint may use (RFC 8122 section 5), and their bytes."""

REQUIRED = "sha-256"
PORT_MAX = 65_535
READ_MAX = 256
"""Descriptions that are remembered as read: one session looks at both of its own several times."""
_PORT_FIELD = 5
_FINGERPRINT = re.compile(r"([a-z0-9-]+) ([0-9A-F]{2}(?::[0-9A-F]{2})*)")
_MEDIA_TYPE = "application"
_CANDIDATE_TYPE = re.compile(r" typ (host|srflx|prflx|relay)(?: |$)")


class Description(msgspec.Struct, frozen=True):
    """What we hold a peer to: its fingerprints, and the kinds of its candidates in order."""

    fingerprints: tuple[str, ...]
    candidates: tuple[str, ...]

    @property
    def required(self) -> str:
        """The SHA-256 fingerprint."""
        return next(text for text in self.fingerprints if text.startswith(f"{REQUIRED} "))


@lru_cache(maxsize=READ_MAX)
def read_description(sdp: str) -> Description:
    """
    Check a description that is to be handed to the stack.

    Args:
        sdp: What the other side has signed, or what our own stack wrote.

    Raises:
        DescriptionRefused: If it is no data channel's, has too much of anything, or has no fingerprint to rely on.

    """
    if len(sdp) > SDP_MAX_CHARACTERS:
        raise DescriptionRefused("offer_refused", f"{len(sdp)} characters, at most {SDP_MAX_CHARACTERS}")
    session, sections = _sections(sdp)
    if [_media_of(section) for section in sections] != [_MEDIA_TYPE]:
        raise DescriptionRefused("offer_refused", "it has to describe one data channel and nothing else")
    prints = _fingerprints(sections[0]) or _fingerprints(session)
    _check_fingerprints(prints, _fingerprints(session))
    candidates = [line for line in sections[0] if line.startswith("a=candidate:")]
    if len(candidates) > CANDIDATES_MAX:
        raise DescriptionRefused("offer_refused", f"{len(candidates)} candidates, at most {CANDIDATES_MAX}")
    if not all(map(has_port, candidates)):
        raise DescriptionRefused("offer_refused", "a candidate whose port is none")
    return Description(tuple(sorted(prints)), tuple(map(_type_of, candidates)))


def offer_hash(sdp: str) -> bytes:
    """What an answer says of the offer that it answers: 32 bytes."""
    return hashlib.sha256(sdp.encode()).digest()


def only_relayed(sdp: str) -> str:
    """The same description without any candidate that would tell where we are."""
    lines = sdp.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("a=candidate:") or is_relayed(line))


def shortened(sdp: str) -> str:
    """The same description with no more candidates than anybody takes: those that servers gave us, then our own."""
    lines = sdp.splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if line.startswith("a=candidate:")]
    surplus = set(sorted(found, key=lambda number: _type_of(lines[number]) == "host")[CANDIDATES_MAX:])
    return "".join(line for number, line in enumerate(lines) if number not in surplus)


def is_relayed(candidate: str) -> bool:
    """Whether a candidate is one of a TURN server, and names no address of ours."""
    return _type_of(candidate) == "relay"


def has_port(candidate: str) -> bool:
    """Whether a candidate, if it is one, has a port: the stack would give up a whole socket for sending to another."""
    fields = candidate.split()
    if len(fields) <= _PORT_FIELD:
        return True
    port = fields[_PORT_FIELD]
    return len(port) <= len(str(PORT_MAX)) and port.isascii() and port.isdecimal() and int(port) <= PORT_MAX


def _sections(sdp: str) -> tuple[list[str], list[list[str]]]:
    session: list[str] = []
    sections: list[list[str]] = []
    for line in sdp.splitlines():
        if line.startswith("m="):
            sections.append([line])
        elif sections:
            sections[-1].append(line)
        else:
            session.append(line)
    return session, sections


def _media_of(section: list[str]) -> str:
    return section[0][2:].split(" ", 1)[0]


def _fingerprints(lines: list[str]) -> set[str]:
    prints = set()
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() == "a=fingerprint":
            algorithm, _, digest = value.strip().partition(" ")
            prints.add(f"{algorithm.lower()} {digest.strip().upper()}")
    return prints


def _check_fingerprints(prints: set[str], of_session: set[str]) -> None:
    if not prints:
        raise DescriptionRefused("fingerprint_missing", "it has no fingerprint")
    if len(prints) > FINGERPRINTS_MAX:
        raise DescriptionRefused("offer_refused", f"{len(prints)} fingerprints, at most {FINGERPRINTS_MAX}")
    if of_session and of_session != prints:
        raise DescriptionRefused("fingerprint_inconsistent", "its parts have different fingerprints")
    algorithms = [_algorithm_of(text) for text in prints]
    if REQUIRED not in algorithms:
        raise DescriptionRefused("fingerprint_missing", "it has no SHA-256 fingerprint")
    if len(set(algorithms)) < len(algorithms):
        raise DescriptionRefused("fingerprint_inconsistent", "it has two fingerprints of one kind")


def _algorithm_of(fingerprint: str) -> str:
    match = _FINGERPRINT.fullmatch(fingerprint)
    algorithm = fingerprint.split(" ", 1)[0]
    if algorithm not in STRONG:
        raise DescriptionRefused("fingerprint_weak", f"fingerprints by {algorithm} prove nothing")
    if match is None or len(match[2].split(":")) != STRONG[algorithm]:
        raise DescriptionRefused("fingerprint_missing", f"its {algorithm} fingerprint is none")
    return algorithm


def _type_of(candidate: str) -> str:
    match = _CANDIDATE_TYPE.search(candidate.rstrip())
    return match[1] if match else "unknown"
