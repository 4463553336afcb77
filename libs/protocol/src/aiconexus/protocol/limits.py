"""Constants of the protocol, version 1: both ends must agree on them, so they are no settings."""

ENVELOPE_MAX_BYTES = 64 * 1024
"""Sealed bytes of one envelope, in either codec."""

REPLY_MAX_BYTES = 1024 * 1024
"""Sealed bytes of what a service answers (MAIL, AGENTS) or forwards to another service."""

PAGE_MAX_BYTES = 512 * 1024
"""Payload bytes that one MAIL may carry, so that it fits in either codec."""

TEXT_MAX_BYTES = 96 * 1024
"""Bytes of one WebSocket text frame: the envelope, its base64 signature and white space."""

FRESHNESS_MS = 60_000
"""A live envelope may be this far from the reader's clock, in both directions."""

LIFETIME_MAX_MS = 7 * 24 * 3600 * 1000
"""The longest a stored envelope may wait, and the default."""

ID_MAX_CHARACTERS = 64
"""Of an envelope's id: letters, digits and ``. _ : -``."""

DID_MAX_CHARACTERS = 64
"""Room for a DID, of which an acceptable one takes 56."""

CAPABILITY_MAX_CHARACTERS = 64
"""Of one capability: letters, digits and ``. _ / -``, beginning with a letter or digit."""

CAPABILITIES_MAX = 32
"""Capabilities of one agent."""

PAGE_MAX = 100
"""Entries of one page of MAIL or AGENTS, and DIDs in one RESOLVE."""

WATCH_MAX = 100
"""DIDs in one WATCH."""

RECEIPT_ITEMS_MAX = 256
"""Envelopes of which one RECEIPT tells."""

CALLERS_MAX = 256
"""DIDs that one agent may list as its callers."""

SDP_MAX_CHARACTERS = 16 * 1024
"""Of one SDP; a data channel with all its candidates takes about a tenth."""

CANDIDATES_MAX = 32
"""Candidates in one SDP, and further ones in one ICE_CANDIDATE."""

FINGERPRINTS_MAX = 4
"""Fingerprints of one description."""

ICE_SERVERS_MAX = 8
"""Servers that signaling names at a time."""

HOPS_MAX = 16
"""Agents that a frame of a mesh passes at most."""

EDGES_TOLD_MAX = 256
"""Edges of which one word about a mesh tells."""
