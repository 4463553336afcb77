import re
from math import nan
from pathlib import Path

import pytest

from aiconexus.protocol.errors import SettingsError
from aiconexus.protocol.signal_bodies import IceServer
from aiconexus.sdk.direct import settings
from aiconexus.sdk.direct.settings import Direct


def test_defaults_are_good() -> None:
    """Nobody has to set anything."""
    assert Direct().enabled


def test_all_mistakes_are_named_at_once() -> None:
    """Whoever sets many things wrongly reads of them all."""
    server = IceServer(urls=("stun:localhost",))
    with pytest.raises(SettingsError) as refused:
        Direct(
            policy="none",  # type: ignore[arg-type]
            dead_seconds=0.5,
            heal_max_seconds=1.0,
            peers_max=0,
            incomplete_max_bytes=0,
            unsent_max_bytes=-1,
            rotate_seconds=-1.0,
            channels_max=70_000,
            ice_servers=(server,) * 9,
        )

    assert refused.value.mistakes == (
        "peers_max is not above 0",
        "incomplete_max_bytes is not above 0",
        "unsent_max_bytes is not above 0",
        "policy is 'none', neither 'all' nor 'relay'",
        "rotate_seconds is below 0",
        "dead_seconds is less than heartbeat_seconds",
        "heal_max_seconds is less than heal_first_seconds",
        "channels_max is above 65535",
        "more than 8 ice_servers",
    )


@pytest.mark.parametrize("name", Direct.__struct_fields__)
def test_every_setting_is_read(name: str) -> None:
    """Nothing can be set that changes nothing."""
    source = Path(settings.__file__)
    others = [path.read_text() for path in source.parent.glob("*.py") if path != source]

    assert any(re.search(rf"settings\.{name}\b", text) for text in others)


def test_what_is_no_number_is_refused() -> None:
    """It is neither above nor below anything."""
    with pytest.raises(SettingsError) as refused:
        Direct(connect_seconds=nan, rotate_seconds=nan)

    assert refused.value.mistakes == ("connect_seconds is not above 0", "rotate_seconds is below 0")
