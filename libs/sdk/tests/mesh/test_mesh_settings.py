import pytest

from aiconexus.protocol.errors import SettingsError
from aiconexus.sdk.mesh import MeshSettings


def test_defaults_are_sound() -> None:
    """Nobody has to set anything."""
    assert 8 == MeshSettings().ttl


def test_all_mistakes_are_told_together() -> None:
    """Nobody has to try again and again."""
    with pytest.raises(SettingsError, match=r"ttl(.|\n)*at_once(.|\n)*gone_seconds"):
        MeshSettings(ttl=17, at_once=0, gone_seconds=-1)
