"""
Write the vectors and the tables of docs/protocol.md: ``python -m libs.protocol.vectors.generate [FOLDER]``.

It runs in the root of the repository. Keys, times and ids are fixed and Ed25519 is deterministic, so a run that changes
a file shows a change of the wire.
"""

import base64
import binascii
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from libs.protocol.tests.samples import ALICE, BOB, EDGE, IDENTITY, MALLORY, NOW_MS, RELAY, RETRY, SAMPLES, id_of
from libs.protocol.tests.strange_dids import BAD_DIDS
from libs.protocol.vectors.hostile import rejects
from libs.protocol.vectors.tables import filled, parts

from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Codec, Sealed, compose, peek, split
from aiconexus.protocol.text import TextEnvelope, frame_of
from aiconexus.protocol.vocabulary import BODIES, UNADDRESSED_TYPES

KEYS = {
    "alice": ALICE,
    "bob": BOB,
    "mallory": MALLORY,
    "identity": IDENTITY,
    "relay": RELAY,
    "edge": EDGE,
    "retry": RETRY,
}
NAMES = {key.did: name for name, key in KEYS.items()}
TO_IDENTITY = {"REGISTER", "UNREGISTER", "DISCOVER", "RESOLVE", "REVOKE"}
TO_RETRY = {"SCHEDULE", "RETURN", "WITHDRAW", "JOBS", "DEAD_LETTERS", "JOB", "REQUEUE", "DROP"}
BY_RETRY = {"SCHEDULED", "WITHDRAWN", "JOB_LIST", "JOB_SHOWN", "DROPPED"}
BY_IDENTITY = {"REGISTERED", "UNREGISTERED", "AGENTS", "REVOKED", "TAKEOVER", "PLATFORM", "PRESENCE"}
PLACE, PLACE_BEFORE = 42, 41
PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"


def parties(type_: str) -> tuple[SigningKey, str | None]:
    """Who signs a type in the examples, and to whom."""
    pairs: dict[str, tuple[SigningKey, SigningKey]] = {
        **dict.fromkeys(TO_IDENTITY, (ALICE, IDENTITY)),
        **dict.fromkeys(BY_IDENTITY, (IDENTITY, ALICE)),
        **dict.fromkeys(("FETCH", "ACK"), (ALICE, RELAY)),
        **dict.fromkeys(("MAIL", "ACKED", "RECEIPT", "ERROR"), (RELAY, ALICE)),
        **dict.fromkeys(("ATTACH", "DETACH"), (EDGE, IDENTITY)),
        **dict.fromkeys(("ATTACHED", "DETACHED"), (IDENTITY, EDGE)),
        **dict.fromkeys(TO_RETRY, (ALICE, RETRY)),
        **dict.fromkeys(BY_RETRY, (RETRY, ALICE)),
        **dict.fromkeys(("PLACE", "LOOK"), (RETRY, RELAY)),
        **dict.fromkeys(("PLACED", "LOOKED"), (RELAY, RETRY)),
        **dict.fromkeys(("PROGRESS", "CHUNK"), (BOB, ALICE)),
        "CHALLENGE": (EDGE, ALICE),
        "WATCH": (ALICE, EDGE),
        "WATCHING": (EDGE, ALICE),
    }
    signer, recipient = pairs.get(type_, (ALICE, BOB))
    return signer, None if type_ in UNADDRESSED_TYPES else recipient.did


def encoded(data: bytes) -> str:
    """Base64, as everywhere in these files."""
    return base64.b64encode(data).decode()


def plain(value: Any) -> Any:
    """What JSON can hold; binaries are base64."""
    return msgspec.to_builtins(value, str_keys=True)


def user_nkey(public_key: bytes) -> str:
    """The key as NATS spells it: base32 of a prefix byte, the key and a CRC-16 (XMODEM)."""
    data = bytes([20 << 3]) + public_key
    return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little")).decode().rstrip("=")


def keys() -> dict[str, Any]:
    """The keys that sign in the other files."""
    return {
        name: {
            "seed_hex": key.seed.hex(),
            "public_key_hex": key.public_key.hex(),
            "public_key_base58": key_text_of(key.did),
            "did": key.did,
            "token": key.token,
            "nkey": user_nkey(key.public_key),
        }
        for name, key in KEYS.items()
    }


def dids() -> dict[str, Any]:
    """Texts that name a key, and texts that do not."""
    return {
        "accept": [{"did": key.did, "public_key_hex": key.public_key.hex()} for key in KEYS.values()],
        "reject": [{"name": name, "did": did} for name, did in BAD_DIDS.items() if did.isprintable()],
    }


def header(envelope: Envelope) -> dict[str, Any]:
    """The envelope without its body, under the names of the binary form."""
    members = {field.encode_name: getattr(envelope, field.name) for field in msgspec.structs.fields(Envelope)}
    return {
        name: value for name, value in members.items() if (name != "body" and value not in (None, 0)) or name == "to"
    }


def example(name: str, data: bytes) -> dict[str, Any]:
    """One sealed envelope in every form that it has."""
    sealed = split(data, REPLY_MAX_BYTES)
    envelope = peek(sealed)
    shared = {
        "name": name,
        "codec": sealed.codec,
        "signer": NAMES[envelope.sender],
        "sealed": encoded(data),
        "payload": encoded(sealed.payload),
        "signature": encoded(sealed.signature),
        "envelope": header(envelope),
    }
    body = msgspec.json if sealed.codec == Codec.JSON else msgspec.msgpack
    shared["body"] = plain(body.decode(envelope.body, type=BODIES[envelope.type]))
    return shared | (_text_forms(sealed) if sealed.codec == Codec.JSON else _binary_forms(sealed))


def _text_forms(sealed: Sealed) -> dict[str, Any]:
    return {
        "payload_text": sealed.payload.decode(),
        "frame": frame_of(sealed.payload, sealed.signature).decode(),
        "frame_delivered": frame_of(sealed.payload, sealed.signature, PLACE, PLACE_BEFORE).decode(),
    }


def _binary_forms(sealed: Sealed) -> dict[str, Any]:
    copy = [sealed.codec, sealed.payload, sealed.signature, PLACE, PLACE_BEFORE]
    opaque = {
        "sequence": PLACE,
        "previous": PLACE_BEFORE,
        "codec": sealed.codec,
        "payload": encoded(sealed.payload),
        "signature": encoded(sealed.signature),
    }
    return {"copy": encoded(msgspec.msgpack.encode(copy)), "frame_opaque": json.dumps(opaque, separators=(",", ":"))}


def envelopes() -> dict[str, Any]:
    """Every type in both codecs, and one with every field of the envelope."""
    examples = []
    for type_, body in SAMPLES.items():
        signer, recipient = parties(type_)
        for codec in Codec:
            data = compose(body, signer, recipient, id_=id_of(type_), now_ms=NOW_MS, codec=codec)
            examples.append(example(f"{type_}, {codec.name.lower()}", data))
    full = compose(
        SAMPLES["EXEC_RESPONSE"],
        BOB,
        ALICE.did,
        id_=id_of("every field"),
        now_ms=NOW_MS,
        expires_ms=NOW_MS + 3_600_000,
        thread="thread-1",
        in_reply_to=id_of("EXEC_REQUEST"),
        sequence=7,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        content_type="application/json",
        encryption="none",
    )
    return {"now_ms": NOW_MS, "envelopes": [*examples, example("every field, msgpack", full)]}


def schema() -> dict[str, Any]:
    """JSON Schema of the text envelope and of every body."""
    types = [TextEnvelope, *BODIES.values()]
    _, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "types": {type_: {"$ref": f"#/$defs/{body.__name__}"} for type_, body in BODIES.items()},
        "$defs": components,
    }


def main(folder: Path, page: Path) -> None:
    """Write all files into a folder, and the page with its tables."""
    examples = envelopes()
    files = {
        "keys": keys(),
        "dids": dids(),
        "envelopes": examples,
        "rejects": {"now_ms": NOW_MS, "rejects": rejects()},
        "schema": schema(),
    }
    for name, content in files.items():
        text = json.dumps(content, indent=1, ensure_ascii=True)
        (folder / f"{name}.json").write_text(text + "\n")
    page.write_text(filled(PAGE.read_text(), parts(examples["envelopes"], files["keys"])))


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]), Path(sys.argv[1]) / PAGE.name)
    else:
        main(Path(__file__).parent, PAGE)
