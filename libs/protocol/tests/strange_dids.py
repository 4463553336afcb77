"""Keys that let forgeries through, and texts that only look like a did:key."""

import base64

import base58
from nacl.bindings import crypto_core_ed25519_add

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
