from pathlib import Path

import pytest

from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.protocol.errors import SettingsError
from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.settings import load


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """What has to be set."""
    seed = tmp_path / "seed"
    seed.touch(0o600)
    seed.write_text(seed_text(Kind.USER, bytes(32)))
    return {"AICONEXUS_RELAY_SEED_FILE": str(seed), "AICONEXUS_RELAY_DIRECTORY_FILE": "d.json"}


def test_the_defaults_are_usable(given: dict[str, str]) -> None:
    """Nothing but the seed and the directory has to be set."""
    settings = load(RelaySettings, "relay", given)

    assert (settings.mailbox_max_envelopes, settings.registry_cache_seconds) == (1_000, 3.0)


def test_all_mistakes_are_told_together(given: dict[str, str]) -> None:
    """Values that make no sense and names that nobody knows."""
    mistakes = {"MAILBOX_MAX_ENVELOPES": "0", "STREAM_REPLICAS": "9", "SWEEP_SECONDS": "-1", "MAILBOX_MAX": "1"}
    with pytest.raises(SettingsError) as raised:
        load(RelaySettings, "relay", given | {f"AICONEXUS_RELAY_{name}": value for name, value in mistakes.items()})

    assert len(raised.value.mistakes) == 4
