"""What operators can set, and what they cannot."""

from pathlib import Path

import pytest

from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.edge.settings import EdgeSettings
from aiconexus.protocol.errors import SettingsError
from aiconexus.runtime.settings import load


def given(tmp_path: Path, **variables: str) -> EdgeSettings:
    """The settings of an environment."""
    seed = tmp_path / "seed"
    if not seed.exists():
        seed.write_text(seed_text(Kind.USER, bytes(32)))
        seed.chmod(0o600)
    environ = {"SEED_FILE": str(seed), "DIRECTORY_FILE": "directory.json"} | variables
    return load(EdgeSettings, "edge", {f"AICONEXUS_EDGE_{name}": text for name, text in environ.items()})


def test_defaults_are_those_of_the_protocol_of_the_source(tmp_path: Path) -> None:
    """1000 connections, 30 s to register, 300 s of silence, a clean-up every 60 s."""
    settings = given(tmp_path)

    assert (1000, 30, 300, 60) == (
        settings.max_connections,
        settings.connection_timeout_seconds,
        settings.agent_timeout_seconds,
        settings.cleanup_seconds,
    )
    assert ("aiconexus.v1", "ioap.v1") == settings.subprotocols
    assert not settings.agents_public


def test_environment_sets_everything(tmp_path: Path) -> None:
    """Lists are separated by commas."""
    settings = given(
        tmp_path, HOST="192.0.2.1", PORT="80", SUBPROTOCOLS="ioap.v1", CORS_ORIGINS="https://a.example, http://b:3000"
    )

    assert ("192.0.2.1", 80) == (settings.host, settings.port)
    assert (("ioap.v1",), ("https://a.example", "http://b:3000")) == (settings.subprotocols, settings.cors_origins)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "65536"),
        ("MAX_CONNECTIONS", "0"),
        ("CONNECTION_TIMEOUT_SECONDS", "-1"),
        ("SUBPROTOCOLS", "mqtt"),
        ("SUBPROTOCOLS", ""),
        ("CORS_ORIGINS", "example.org"),
        ("CORS_ORIGINS", "https://example.org/path"),
        ("FRAME_MAX_BYTES", "1000"),
        ("VERIFY_SIGNATURES", "false"),
    ],
)
def test_wrong_setting_is_reported(tmp_path: Path, name: str, text: str) -> None:
    """Nothing that cannot work is accepted, and signatures cannot be switched off."""
    with pytest.raises(SettingsError, match=r"AICONEXUS_EDGE_|web origin"):
        given(tmp_path, **{name: text})


def test_any_origin_can_be_allowed(tmp_path: Path) -> None:
    """A star stands for all of them."""
    assert ("*",) == given(tmp_path, CORS_ORIGINS="*").cors_origins
