import os
from pathlib import Path

import msgspec
import pytest

from aiconexus.protocol.errors import SettingsError
from aiconexus.protocol.keys import SigningKey
from aiconexus.runtime.directory import Directory

RELAY = SigningKey(os.urandom(32)).did


def test_a_directory_answers_both_ways(tmp_path: Path) -> None:
    """The file gives the DID for a name and the name for a DID."""
    path = tmp_path / "directory.json"
    path.write_bytes(msgspec.json.encode({"services": {"relay": RELAY}}))

    directory = Directory.load(str(path))

    assert directory.did_of("relay") == RELAY
    assert directory.name_of(RELAY) == "relay"
    assert directory.name_of("did:key:z6Mkother") is None


def test_a_service_that_is_not_named_is_an_error() -> None:
    """Nobody asks a service whose key is unknown."""
    with pytest.raises(SettingsError, match="names no service edge"):
        Directory({"relay": RELAY}).did_of("edge")


@pytest.mark.parametrize(
    ("services", "reason"),
    [
        ({"relay": "did:web:example.org"}, "the directory's relay"),
        ({"relay": RELAY, "edge": RELAY}, "the same DID"),
    ],
    ids=["no did:key", "one DID twice"],
)
def test_a_directory_with_a_wrong_did_is_refused(services: dict[str, str], reason: str) -> None:
    """A DID that is none, or that two services share, would make checks meaningless."""
    with pytest.raises(SettingsError, match=reason):
        Directory(services)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"services": {}, "extra": 1}'], ids=["empty", "list", "extra"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    """The mistake names the file."""
    path = tmp_path / "directory.json"
    path.write_bytes(content)

    with pytest.raises(SettingsError, match=str(path)):
        Directory.load(str(path))


def test_a_file_that_is_not_there_is_refused() -> None:
    """The mistake names the file."""
    with pytest.raises(SettingsError, match=r"/nowhere/directory\.json"):
        Directory.load("/nowhere/directory.json")
