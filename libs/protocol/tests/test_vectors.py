"""The vectors for other languages hold, and are what the generator writes."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiconexus.protocol.bodies import Message
from aiconexus.protocol.did import did_of, public_key_of
from aiconexus.protocol.direct_errors import SignalingError
from aiconexus.protocol.errors import AiconexusError, InvalidDid
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.problems import PROBLEMS, problem_of
from aiconexus.protocol.seal import DOMAINS, Codec, seal, split, unseal
from aiconexus.protocol.text import parts_of
from aiconexus.protocol.vocabulary import BODIES

from .reader import Case, parts_in, read

ROOT = Path(__file__).parents[3]
VECTORS = Path(__file__).parent.parent / "vectors"
WRITTEN = ["keys", "dids", "envelopes", "rejects", "schema"]


def load(name: str) -> Any:
    """One file of the vectors."""
    return json.loads((VECTORS / f"{name}.json").read_bytes())


KEYS, DIDS, ENVELOPES, REJECTS = load("keys"), load("dids"), load("envelopes"), load("rejects")
EXAMPLES: list[dict[str, Any]] = ENVELOPES["envelopes"]
CASES = msgspec.convert(REJECTS["rejects"], list[Case])
examples = pytest.mark.parametrize("example", EXAMPLES, ids=[example["name"] for example in EXAMPLES])


def raw(text: str) -> bytes:
    """The bytes of base64."""
    return base64.b64decode(text, validate=True)


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the generator writes now."""
    folder = tmp_path_factory.mktemp("vectors")
    subprocess.run([sys.executable, "-m", "libs.protocol.vectors.generate", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("name", WRITTEN)
def test_generator_writes_what_is_committed(regenerated: Path, name: str) -> None:
    """Writing the vectors again changes nothing; a change of the wire shows up here."""
    assert (VECTORS / f"{name}.json").read_text() == (regenerated / f"{name}.json").read_text()


def test_page_says_what_the_code_says(regenerated: Path) -> None:
    """The tables and examples of the specification are those of the code and the vectors."""
    assert (ROOT / "docs" / "protocol.md").read_text() == (regenerated / "protocol.md").read_text()


@pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
def test_key_has_its_names(key: dict[str, str]) -> None:
    """A seed gives the key and the names that are noted."""
    signing_key = SigningKey(bytes.fromhex(key["seed_hex"]))

    assert (key["did"], key["token"]) == (signing_key.did, signing_key.token)
    assert key["public_key_hex"] == signing_key.public_key.hex()


@pytest.mark.parametrize("entry", DIDS["accept"], ids=lambda entry: entry["did"][-6:])
def test_did_names_its_key(entry: dict[str, str]) -> None:
    """A good DID names its key, and the key its DID."""
    key = bytes.fromhex(entry["public_key_hex"])

    assert (key, entry["did"]) == (public_key_of(entry["did"]), did_of(key))


@pytest.mark.parametrize("entry", DIDS["reject"], ids=lambda entry: entry["name"])
def test_strange_did_is_refused(entry: dict[str, str]) -> None:
    """A text of the list names nobody."""
    with pytest.raises(InvalidDid):
        public_key_of(entry["did"])


def test_every_type_has_its_examples() -> None:
    """No type is without an example in either codec."""
    assert {(type_, codec) for type_ in BODIES for codec in (1, 2)} == {
        (example["envelope"]["type"], example["codec"]) for example in EXAMPLES
    }


@examples
def test_example_says_what_is_noted(example: dict[str, Any]) -> None:
    """The sealed bytes are genuine and say what stands beside them."""
    letter = unseal(raw(example["sealed"]))
    fields = msgspec.structs.asdict(letter.envelope)
    fields |= {"from": fields["sender"], "to": fields["recipient"]}

    assert example["envelope"] == {name: fields[name] for name in example["envelope"]}
    assert msgspec.convert(example["body"], BODIES[letter.envelope.type]) == letter.body
    assert (raw(example["payload"]), raw(example["signature"])) == (letter.sealed.payload, letter.sealed.signature)


@examples
def test_example_can_be_made_again(example: dict[str, Any]) -> None:
    """Ed25519 is deterministic: the signer's seed gives the signature, byte for byte."""
    key = SigningKey(bytes.fromhex(KEYS[example["signer"]]["seed_hex"]))
    letter = unseal(raw(example["sealed"]))

    assert raw(example["signature"]) == key.sign(DOMAINS[example["codec"]] + raw(example["payload"]))
    assert raw(example["sealed"]) == seal(letter.envelope, key, Codec(example["codec"]))


@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if example["codec"] == 2],
    ids=lambda example: example["name"],
)
def test_json_example_is_the_same_as_text(example: dict[str, Any]) -> None:
    """The frames carry the same signed bytes; only the place in the mailbox comes with it."""
    parts = split(raw(example["sealed"]))
    _, _, item = parts_of(example["frame_delivered"])

    assert example["payload_text"].encode() == parts.payload
    assert parts == parts_in(example["frame"].encode()) == parts_in(example["frame_delivered"].encode())
    assert item is not None
    assert (42, 41) == (item.sequence, item.previous)


@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if example["codec"] == 1],
    ids=lambda example: example["name"],
)
def test_binary_example_is_the_same_as_a_copy(example: dict[str, Any]) -> None:
    """The copy of the mailbox and the opaque text form carry the same signed bytes."""
    parts = split(raw(example["sealed"]))

    assert parts == split(raw(example["copy"])) == parts_in(example["frame_opaque"].encode())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_hostile_envelope_is_refused(case: Case) -> None:
    """Each case is refused with its problem and code."""
    with pytest.raises(AiconexusError) as caught:
        read(case, REJECTS["now_ms"])

    assert (case.problem, case.code) == (problem_of(caught.value).name, problem_of(caught.value).code)


def test_good_envelope_passes_the_same_reader() -> None:
    """The reader that refuses all of these accepts what is right."""
    (good,) = [example for example in EXAMPLES if example["name"] == "MESSAGE, json"]
    case = Case("", "", "", reader=good["envelope"]["to"], kind="stored", sealed=good["sealed"])

    assert Message(**good["body"]) == read(case, ENVELOPES["now_ms"]).body


def test_every_problem_of_an_envelope_has_a_case() -> None:
    """What can be wrong with an envelope alone is in the list."""
    elsewhere = {"conflict", "unknown_agent", "key_revoked", "no_handler", "taken_over", "too_many_connections"}
    others = [error for error in PROBLEMS if not issubclass(error, SignalingError)]
    names = {PROBLEMS[error].name for error in others if not PROBLEMS[error].retryable}
    handlers = {"handler_failed", "handler_interrupted", "cancelled", "stream_gap"}
    jobs = {"unknown_job", "job_ended", "invalid_policy"}

    assert names - elsewhere - handlers - jobs == {case.problem for case in CASES}


def test_names_of_the_cases_are_unique() -> None:
    """A report of another language can name the case."""
    assert len(CASES) == len({case.name for case in CASES})


def test_schema_knows_every_type() -> None:
    """The JSON Schema has a definition for each type that the code knows."""
    schema = load("schema")

    assert set(BODIES) == set(schema["types"])
    assert all(ref["$ref"].removeprefix("#/$defs/") in schema["$defs"] for ref in schema["types"].values())
