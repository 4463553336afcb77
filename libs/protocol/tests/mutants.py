"""
Mutants of genuine envelopes, and what became of them.

A mutant counts as accepted if ``unseal`` returns a letter whose codec, payload and signature together are none of the
triples that the keys of the vectors sealed. A mutant that comes out as such a triple is an original: its bytes are the
same, or they differ in the wrapper alone, which nobody signs (a longer length prefix, one more element, another way to
write a text frame), or two originals were spliced into one of them.

    python -m libs.protocol.tests.mutants SEED COUNT
"""

import base64
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
from libs.protocol.tests.reader import parts_in
from libs.protocol.tests.strange_dids import BAD_DIDS, ORDER_8, SMALL_ORDER, unchecked_did

from aiconexus.protocol.errors import EnvelopeError, IdentityError
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.problems import problem_of
from aiconexus.protocol.seal import DOMAINS, Letter, Sealed, split, unseal
from aiconexus.protocol.text import canonical

ACCEPTED = "accepted"
ORIGINAL = "original"
EVE = SigningKey(bytes(range(32)))
CHUNK = 10_000
ORDER = 2**252 + 27742317777372353535851937790883648493
TRIVIAL_SIGNATURE = (1).to_bytes(32, "little") + bytes(32)

_examples: list[dict[str, Any]] = json.loads((Path(__file__).parent.parent / "vectors/envelopes.json").read_bytes())[
    "envelopes"
]
SEALED = [base64.b64decode(example["sealed"]) for example in _examples]
FRAMES = [
    example[name].encode()
    for example in _examples
    for name in ("frame", "frame_delivered", "frame_opaque")
    if name in example
]
PARTS = [split(data) for data in SEALED]
ORIGINALS = {(parts.codec, parts.payload, parts.signature) for parts in PARTS}
MEMBERS: dict[int, list[dict[str, Any]]] = {
    1: [msgspec.msgpack.decode(parts.payload) for parts in PARTS if parts.codec == 1],
    2: [json.loads(parts.payload) for parts in PARTS if parts.codec == 2],
}
STRANGE: list[Any] = [
    *[None, True, 0, -1, 2**53, 2**63, 1.5, 1e300, "", "\0", "a\n", "x" * 300, b"", b"\xff" * 65, [], {}, [[]] * 50],
    *[EVE.did, *(did for did in BAD_DIDS.values() if did.isprintable()), *map(unchecked_did, SMALL_ORDER.values())],
]
JSON_STRANGE = [value for value in STRANGE if not isinstance(value, bytes) and value not in (2**53, 2**63)]

Mutant = bytes | Sealed
Mutator = Callable[[random.Random], Mutant]


def bytes_changed(chance: random.Random, data: bytes) -> bytes:
    """A few bytes flipped, cut, doubled, moved or replaced."""
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        start = chance.randrange(len(mutant) + 1)
        end = min(len(mutant), start + chance.choice((1, 1, 2, 4, 16, 200)))
        kind = chance.randrange(7)
        if kind == 0 and start < len(mutant):
            mutant[start] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del mutant[start:end]
        elif kind == 2:
            del mutant[start:]
        elif kind == 3:
            mutant[start:start] = mutant[start:end]
        elif kind == 4:
            mutant[start:start] = chance.randbytes(end - start)
        elif kind == 5:
            mutant[start:end] = chance.randbytes(end - start)
        else:
            mutant[start:end] = bytes([chance.choice((0x00, 0x7F, 0x80, 0xC0, 0xC6, 0xDD, 0xDF, 0xFF))]) * (end - start)
    return bytes(mutant)


def wrapper_changed(chance: random.Random) -> bytes:
    """Bytes of the binary form."""
    return bytes_changed(chance, chance.choice(SEALED))


def payload_changed(chance: random.Random) -> bytes:
    """Bytes of the payload below a whole wrapper."""
    parts = chance.choice(PARTS)
    return _wrapped(parts.codec, bytes_changed(chance, parts.payload), parts.signature)


def signature_changed(chance: random.Random) -> bytes:
    """Another signature: changed, foreign, malleated, moved by a small order point, trivial, or by Eve."""
    parts, other = chance.choice(PARTS), chance.choice(PARTS)
    s = int.from_bytes(parts.signature[32:], "little")
    signature = chance.choice(
        (
            lambda: bytes_changed(chance, parts.signature),
            lambda: other.signature,
            lambda: parts.signature[:32] + other.signature[32:],
            lambda: parts.signature[:32] + ((s + ORDER * chance.randrange(1, 15)) % 2**256).to_bytes(32, "little"),
            lambda: ORDER_8 + parts.signature[32:],
            lambda: TRIVIAL_SIGNATURE,
            lambda: EVE.sign(DOMAINS[parts.codec] + parts.payload),
        )
    )()
    return _wrapped(parts.codec, parts.payload, signature)


def codec_changed(chance: random.Random) -> Mutant:
    """The same parts under another codec, as bytes or as parts from MAIL."""
    parts = chance.choice(PARTS)
    codec = chance.choice((3 - parts.codec, 0, 3, -1, 255, 2**32, 2**63))
    if chance.random() < 0.5:
        return Sealed(codec, parts.payload, parts.signature)
    return _wrapped(codec, parts.payload, parts.signature)


def spliced(chance: random.Random) -> bytes:
    """The head of one envelope and the tail of another."""
    head, tail = chance.choice(SEALED), chance.choice(SEALED)
    return head[: chance.randrange(len(head) + 1)] + tail[chance.randrange(len(tail) + 1) :]


def members_changed(chance: random.Random) -> bytes:
    """Members removed, added, renamed, or with strange or foreign values; signed as before or by Eve, never rightly."""
    codec = chance.choice((1, 1, 2))
    members = changed_members(chance, codec)
    payload = msgspec.msgpack.encode(members) if codec == 1 else canonical(members)
    if members.get("from") == EVE.did or chance.random() < 0.7:
        return _wrapped(codec, payload, chance.choice((chance.choice(PARTS).signature, TRIVIAL_SIGNATURE)))
    return _wrapped(codec, payload, EVE.sign(DOMAINS[codec] + payload))


def changed_members(chance: random.Random, codec: int) -> dict[str, Any]:
    """The members of a genuine envelope with one to three changes."""
    members = dict(chance.choice(MEMBERS[codec]))
    inner = "body" if codec == 1 else "payload"
    if chance.random() < 0.4 and isinstance(members[inner], dict):
        members[inner] = _changed(chance, members[inner], codec)
    else:
        members = _changed(chance, members, codec)
    return members


def _changed(chance: random.Random, members: dict[str, Any], codec: int) -> dict[str, Any]:
    members = dict(members)
    for _ in range(chance.randrange(1, 4)):
        name = chance.choice([*members, "extra"])
        kind = chance.randrange(4)
        if kind == 0:
            members.pop(name, None)
        elif kind == 1:
            members[name] = chance.choice(STRANGE if codec == 1 else JSON_STRANGE)
        elif kind == 2:
            members[name] = chance.choice(MEMBERS[codec]).get(name)
        else:
            members[name.upper()] = members.pop(name, None)
    return members


def frame_changed(chance: random.Random) -> bytes:
    """Bytes of a text frame."""
    return bytes_changed(chance, chance.choice(FRAMES))


def frame_members_changed(chance: random.Random) -> bytes:
    """Members of a text frame in either form."""
    members = json.loads(chance.choice(FRAMES))
    other = json.loads(chance.choice(FRAMES))
    for name in chance.sample([*members, *other], chance.randrange(1, 3)):
        members[name] = chance.choice((other.get(name), chance.choice(JSON_STRANGE)))
    return json.dumps(members).encode()


def nested(chance: random.Random) -> bytes:
    """Very deep, in either codec, within the limit."""
    depth = chance.randrange(500, 20_000)
    parts = chance.choice(PARTS)
    unit = b"\x91" if parts.codec == 1 else b"["
    place = chance.randrange(len(parts.payload))
    return _wrapped(parts.codec, parts.payload[:place] + unit * depth + parts.payload[place:], parts.signature)


def noise(chance: random.Random) -> bytes:
    """Bytes without any form."""
    return chance.randbytes(chance.randrange(300))


BINARY: list[tuple[Mutator, int]] = [
    (wrapper_changed, 25),
    (payload_changed, 20),
    (signature_changed, 12),
    (codec_changed, 6),
    (spliced, 8),
    (members_changed, 30),
    (noise, 2),
    (nested, 1),
]
TEXT: list[tuple[Mutator, int]] = [(frame_changed, 10), (frame_members_changed, 8)]
MUTATORS = [mutator for mutator, _ in (*BINARY, *TEXT)]
FRAME_MUTATORS = {mutator for mutator, _ in TEXT}
_weights = [weight for _, weight in (*BINARY, *TEXT)]


def outcome(mutant: Mutant, *, is_frame: bool = False) -> str:
    """The name of the problem, or ``original``, or ``accepted``; any other exception is for the caller to see."""
    try:
        letter = unseal(parts_in(mutant) if is_frame and isinstance(mutant, bytes) else mutant)
    except (EnvelopeError, IdentityError) as error:
        str(error)
        return problem_of(error).name
    parts = letter.sealed
    return ORIGINAL if (parts.codec, parts.payload, parts.signature) in ORIGINALS else ACCEPTED


def outcomes(seed: str, count: int) -> Iterator[tuple[str, str, Mutant]]:
    """Make mutants and try them: which mutator, what became of it, and the mutant."""
    chance = random.Random(seed)
    for mutator in chance.choices(MUTATORS, _weights, k=count):
        mutant = mutator(chance)
        yield mutator.__name__, outcome(mutant, is_frame=mutator in FRAME_MUTATORS), mutant


def nonsense(seed: str, count: int) -> Iterator[Letter | str]:
    """What Eve may say under her own name: a letter if it can be read, else the name of the problem."""
    chance = random.Random(seed)
    for _ in range(count):
        codec = chance.choice((1, 2))
        members = {**changed_members(chance, codec), "from": EVE.did}
        payload = msgspec.msgpack.encode(members) if codec == 1 else canonical(members)
        try:
            letter = unseal(Sealed(codec, payload, EVE.sign(DOMAINS[codec] + payload)))
            _ = letter.body
        except (EnvelopeError, IdentityError) as error:
            yield problem_of(error).name
        else:
            yield letter


def _wrapped(codec: int, payload: bytes, signature: bytes) -> bytes:
    return msgspec.msgpack.encode((codec, payload, signature))


def main(seed: str, count: int) -> None:
    """Try mutants and write a line of JSON for each chunk."""
    for chunk in range(count // CHUNK):
        started = perf_counter()
        found: Counter[str] = Counter()
        for mutator, result, mutant in outcomes(f"{seed}/{chunk}", CHUNK):
            found[result] += 1
            if result == ACCEPTED:
                sys.stderr.write(f"accepted, by {mutator} of seed {seed}/{chunk}: {mutant!r}\n")
        line = {"outcomes": found, "seconds": perf_counter() - started}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
