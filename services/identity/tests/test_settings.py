import os
from pathlib import Path

import pytest

from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol.errors import SettingsError
from aiconexus.runtime.settings import load

SEEDS = {
    "SEED": Kind.USER,
    "AUTH_SEED": Kind.USER,
    "SYSTEM_SEED": Kind.USER,
    "ISSUER_SEED": Kind.ACCOUNT,
    "XKEY_SEED": Kind.CURVE,
}


def environment(home: Path) -> dict[str, str]:
    """All that identity needs, in files."""
    found = {"AICONEXUS_IDENTITY_DIRECTORY_FILE": str(home / "directory.json")}
    for name, kind in SEEDS.items():
        path = home / name
        path.touch(mode=0o600)
        path.write_text(seed_text(kind, os.urandom(32)) + "\n")
        found[f"AICONEXUS_IDENTITY_{name}_FILE"] = str(path)
    return found


def test_the_defaults_are_those_of_the_requirements(tmp_path: Path) -> None:
    """An agent is given up after 300 s, looked for every 60 s, and logs in for a day."""
    settings = load(IdentitySettings, "identity", environment(tmp_path))

    assert (300.0, 60.0, 86_400) == (
        settings.agent_timeout_seconds,
        settings.cleanup_seconds,
        settings.agent_jwt_seconds,
    )


def test_every_seed_must_be_of_its_kind(tmp_path: Path) -> None:
    """A seed of another kind is a mistake, reported together with the others."""
    swapped = environment(tmp_path)
    swapped["AICONEXUS_IDENTITY_ISSUER_SEED_FILE"] = swapped["AICONEXUS_IDENTITY_XKEY_SEED_FILE"]
    swapped["AICONEXUS_IDENTITY_AGENT_JWT_SECONDS"] = "0"
    with pytest.raises(SettingsError) as caught:
        load(IdentitySettings, "identity", swapped)

    assert 2 == len(caught.value.mistakes)
