from pathlib import Path

import pytest

from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.protocol.errors import SettingsError
from aiconexus.runtime.settings import load, shown
from aiconexus.signaling.settings import SignalingSettings

PREFIX = "AICONEXUS_SIGNALING_"


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """What every service needs, and a secret of TURN servers."""
    files = {"seed": seed_text(Kind.USER, bytes(32)), "secret": "of coturn", "old": "of coturn, before"}
    for name, text in files.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text + "\n")
    return {
        f"{PREFIX}SEED_FILE": str(tmp_path / "seed"),
        f"{PREFIX}DIRECTORY_FILE": "directory.json",
        f"{PREFIX}TURN_SECRET_FILE": str(tmp_path / "secret"),
    }


def test_servers_come_from_the_environment(given: dict[str, str], tmp_path: Path) -> None:
    """Addresses are taken apart, each counts once, and secrets are never shown."""
    urls = {
        "STUN_URLS": "stun:a.test",
        "TURN_URLS": "turn:a.test, turns:a.test,turn:a.test",
        "TURN_OLD_SECRET_FILE": str(tmp_path / "old"),
    }
    settings = load(SignalingSettings, "signaling", given | {PREFIX + name: text for name, text in urls.items()})

    assert ["stun:a.test", "turn:a.test", "turns:a.test"] == [address.url for address in settings.addresses]
    assert ("of coturn", "of coturn, before") == settings.secrets
    assert ("***", "***") == (shown(settings)["turn_secret"], shown(settings)["turn_old_secret"])


def test_no_server_is_fine(given: dict[str, str]) -> None:
    """Agents that need none connect without, and no secret is needed then."""
    del given[f"{PREFIX}TURN_SECRET_FILE"]
    settings = load(SignalingSettings, "signaling", given | {f"{PREFIX}TURN_URLS": ""})

    assert ((), ()) == (settings.addresses, settings.secrets)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("TURN_URLS", "turn.example.org", "no URI"),
        ("TURN_URLS", "stun:a.test", "TURN_URLS holds stun:a.test"),
        ("STUN_URLS", "turn:a.test", "STUN_URLS holds turn:a.test"),
        ("STUN_URLS", ",".join(f"stun:a{number}.test" for number in range(9)), "9 servers"),
        ("PROBE_SECONDS", "0", "PROBE_SECONDS"),
    ],
)
def test_a_mistake_is_found_at_the_start(given: dict[str, str], name: str, text: str, reason: str) -> None:
    """A service with servers that nobody can reach does not start."""
    with pytest.raises(SettingsError, match=reason):
        load(SignalingSettings, "signaling", given | {PREFIX + name: text})


def test_a_turn_server_needs_a_secret(given: dict[str, str]) -> None:
    """Without one nobody could log in."""
    del given[f"{PREFIX}TURN_SECRET_FILE"]
    with pytest.raises(SettingsError, match="TURN_SECRET_FILE is not"):
        load(SignalingSettings, "signaling", given | {f"{PREFIX}TURN_URLS": "turn:a.test"})
