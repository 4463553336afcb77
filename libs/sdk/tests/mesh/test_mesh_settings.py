import pytest
from msgspec.structs import replace

from aiconexus.protocol.errors import SettingsError
from aiconexus.sdk.mesh import MeshSettings


def test_defaults_are_sound() -> None:
    """Nobody has to set anything."""
    assert 8 == MeshSettings().ttl


def test_all_mistakes_are_told_together() -> None:
    """Nobody has to try again and again."""
    with pytest.raises(SettingsError, match=r"ttl(.|\n)*at_once(.|\n)*gone_seconds"):
        MeshSettings(ttl=17, at_once=0, gone_seconds=-1)


@pytest.mark.parametrize("name", ["gone_seconds", "absent_seconds", "patience_seconds", "tune_seconds"])
def test_what_is_no_number_is_a_mistake(name: str) -> None:
    """NaN is no time: nothing is ever later."""
    with pytest.raises(SettingsError, match=name):
        replace(MeshSettings(), **{name: float("nan")})
