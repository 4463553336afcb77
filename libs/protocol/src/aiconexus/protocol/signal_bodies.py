"""
What introduces two agents to each other: descriptions, candidates, the proof inside the channel, and servers.

The terms are those of WebRTC (RFC 8825, RFC 9429). A negotiation is named by its ``session``, which the offerer
chooses and everything that belongs to it repeats.
"""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from aiconexus.protocol import limits
from aiconexus.protocol.bodies import LINE, Body, Count, Did, Id, Text

Sdp = Annotated[str, Meta(min_length=1, max_length=limits.SDP_MAX_CHARACTERS)]
CandidateLine = Annotated[str, Meta(max_length=1024, pattern=LINE)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Fingerprint = Annotated[str, Meta(max_length=256, pattern=LINE)]
Fingerprints = Annotated[tuple[Fingerprint, ...], Meta(max_length=limits.FINGERPRINTS_MAX)]
Url = Annotated[str, Meta(max_length=256, pattern=LINE)]


class Offer(Body, frozen=True):
    """
    An SDP offer, RFC 8866 and RFC 9429.

    ``replaces`` names the session whose connection this one takes the place of, make before break; ``reason`` says
    why: ``connect``, ``turn``, ``direct``, ``heal``, ``rotate``, ``emergency``.
    """

    TYPE: ClassVar[str] = "OFFER"
    sdp: Sdp
    session: Id | None = None
    replaces: Id | None = None
    reason: Text | None = None


class Answer(Body, frozen=True):
    """An SDP answer; ``offer_hash`` is the SHA-256 of the UTF-8 bytes of the SDP offer that it answers."""

    TYPE: ClassVar[str] = "ANSWER"
    sdp: Sdp
    session: Id | None = None
    offer_hash: Digest | None = None


class Candidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One candidate, as in ICE_CANDIDATE."""

    candidate: CandidateLine
    sdp_mid: Text | None = None
    sdp_mline_index: Count | None = None


class IceCandidate(Body, frozen=True):
    """
    One trickled candidate, RFC 8838; an empty ``candidate`` ends the candidates.

    ``more`` are further ones of the same batch, in order.
    """

    TYPE: ClassVar[str] = "ICE_CANDIDATE"
    candidate: CandidateLine
    sdp_mid: Text | None = None
    sdp_mline_index: Count | None = None
    session: Id | None = None
    more: Annotated[tuple[Candidate, ...], Meta(max_length=limits.CANDIDATES_MAX)] = ()


class Bye(Body, frozen=True):
    """
    A negotiation or a connection is over.

    ``problem`` is the name of a problem if the other side did not want it or it failed, absent if it just ended.
    """

    TYPE: ClassVar[str] = "BYE"
    session: Id
    reason: Text | None = None
    problem: Annotated[str, Meta(max_length=64)] | None = None


class Hello(Body, frozen=True):
    """
    The first word inside a channel: this channel is mine, and I know that it is with you.

    Sealed like every envelope, so both DIDs are covered. ``fingerprints`` are the SHA-256 fingerprints of the
    sender's own description, ``peer_fingerprints`` those of the one it got; ``offer_hash`` is that of ANSWER.
    Until a HELLO has been verified nothing else that comes through the channel counts.
    """

    TYPE: ClassVar[str] = "HELLO"
    session: Id
    role: Annotated[str, Meta(max_length=16)]
    fingerprints: Fingerprints
    peer_fingerprints: Fingerprints
    offer_hash: Digest


class ListServers(Body, frozen=True):
    """To signaling: name the STUN and TURN servers that I may use; with ``relay_only``, the TURN servers alone."""

    TYPE: ClassVar[str] = "LIST_SERVERS"
    relay_only: bool = False


class IceServer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One server, as RTCIceServer: its URLs (RFC 7064, RFC 7065), and for TURN how to log in.

    ``latency_ms`` is what signaling measured last.
    """

    urls: Annotated[tuple[Url, ...], Meta(min_length=1, max_length=8)]
    username: Text | None = None
    credential: Text | None = None
    latency_ms: float | None = None


class IceServers(Body, frozen=True):
    """The answer to LIST_SERVERS: healthy servers, the fastest first; credentials hold until ``expires_ms``."""

    TYPE: ClassVar[str] = "ICE_SERVERS"
    servers: Annotated[tuple[IceServer, ...], Meta(max_length=limits.ICE_SERVERS_MAX)] = ()
    expires_ms: Count = 0


class Incident(Body, frozen=True):
    """
    To signaling: something that operators should know of, as an agent saw it.

    ``event`` is one of ``vocabulary``'s incidents; ``peer`` is the agent that it concerns.
    """

    TYPE: ClassVar[str] = "INCIDENT"
    event: Annotated[str, Meta(max_length=64)]
    peer: Did | None = None
    session: Id | None = None
    detail: Text | None = None
    at_ms: Count = 0


class Noted(Body, frozen=True):
    """The answer to INCIDENT."""

    TYPE: ClassVar[str] = "NOTED"
    event: Annotated[str, Meta(max_length=64)]
