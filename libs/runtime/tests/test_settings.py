import os
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.protocol.errors import SettingsError
from aiconexus.runtime.settings import AccountSeed, SecretText, ServiceSettings, load, shown


class ProbeSettings(ServiceSettings, frozen=True, kw_only=True):
    workers: Annotated[int, Meta(ge=1, le=64)] = 4
    verbose: bool = False
    origins: tuple[str, ...] = ()
    quotas: tuple[int, ...] = ()
    label: str | None = "probe"
    issuer: AccountSeed | None = None
    token: SecretText | None = None

    def __post_init__(self) -> None:
        if self.verbose and self.workers > 8:
            raise ValueError("more than 8 workers cannot be verbose")


@pytest.fixture
def seed() -> bytes:
    """Of the service."""
    return os.urandom(32)


@pytest.fixture
def environ(tmp_path: Path, seed: bytes) -> dict[str, str]:
    """The least that a service must be given."""
    return {
        "AICONEXUS_PROBE_SEED_FILE": str(secret(tmp_path / "seed", seed_text(Kind.USER, seed))),
        "AICONEXUS_PROBE_DIRECTORY_FILE": "/etc/aiconexus/directory.json",
    }


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a secret file."""
    path.write_text(text + "\n")
    path.chmod(mode)
    return path


def mistakes_of(environ: dict[str, str]) -> tuple[str, ...]:
    """All that is wrong."""
    with pytest.raises(SettingsError) as caught:
        load(ProbeSettings, "probe", environ)
    return caught.value.mistakes


def test_the_least_is_enough(environ: dict[str, str], seed: bytes) -> None:
    """What has a default need not be set, and the seed is the 32 bytes behind the text in its file."""
    settings = load(ProbeSettings, "probe", environ)

    assert settings.seed == seed
    assert settings.directory_file == "/etc/aiconexus/directory.json"
    assert settings.nats_urls == ("nats://127.0.0.1:4222",)
    assert settings.workers == 4


def test_every_type_is_read(environ: dict[str, str], tmp_path: Path) -> None:
    """Numbers, booleans, lists, absent values and secrets come out as their types."""
    issuer = os.urandom(32)
    environ |= {
        "AICONEXUS_PROBE_WORKERS": "8",
        "AICONEXUS_PROBE_VERBOSE": "true",
        "AICONEXUS_PROBE_ORIGINS": "https://a.example, https://b.example,",
        "AICONEXUS_PROBE_QUOTAS": "1,2,3",
        "AICONEXUS_PROBE_LABEL": "",
        "AICONEXUS_PROBE_LOG_LEVEL": "debug",
        "AICONEXUS_PROBE_DRAIN_SECONDS": "0.5",
        "AICONEXUS_PROBE_ISSUER_FILE": str(secret(tmp_path / "issuer", seed_text(Kind.ACCOUNT, issuer))),
        "AICONEXUS_PROBE_TOKEN_FILE": str(secret(tmp_path / "token", "open sesame")),
    }

    settings = load(ProbeSettings, "probe", environ)

    assert (settings.workers, settings.verbose, settings.label) == (8, True, None)
    assert settings.origins == ("https://a.example", "https://b.example")
    assert settings.quotas == (1, 2, 3)
    assert (settings.log_level, settings.drain_seconds) == ("debug", 0.5)
    assert (settings.issuer, settings.token) == (issuer, "open sesame")


def test_all_mistakes_are_told_together(environ: dict[str, str]) -> None:
    """Nobody has to start a service five times to learn of five mistakes."""
    del environ["AICONEXUS_PROBE_DIRECTORY_FILE"]
    environ |= {
        "AICONEXUS_PROBE_WORKERS": "65",
        "AICONEXUS_PROBE_VERBOSE": "perhaps",
        "AICONEXUS_PROBE_LOG_LEVEL": "loud",
        "AICONEXUS_PROBE_QUOTAS": "1,many",
        "AICONEXUS_PROBE_INSTANCE": "a b",
    }

    told = "\n".join(sorted(mistakes_of(environ)))

    assert len(mistakes_of(environ)) == 6
    assert "AICONEXUS_PROBE_DIRECTORY_FILE is not set" in told
    assert "AICONEXUS_PROBE_WORKERS: '65' does not fit: Expected `int` <= 64" in told
    assert "AICONEXUS_PROBE_VERBOSE: 'perhaps' does not fit: one of true, false" in told
    assert "AICONEXUS_PROBE_LOG_LEVEL: 'loud' does not fit: one of debug, info, warning, error" in told
    assert "AICONEXUS_PROBE_QUOTAS: '1,many' does not fit" in told


def test_an_unknown_name_is_a_mistake_with_a_suggestion(environ: dict[str, str]) -> None:
    """A misspelt setting is not silently without effect."""
    environ |= {"AICONEXUS_PROBE_WORKRES": "2", "AICONEXUS_PROBE_ZZZ": "1", "AICONEXUS_RELAY_ANYTHING": "1"}

    assert mistakes_of(environ) == (
        "AICONEXUS_PROBE_WORKRES is no setting: did you mean AICONEXUS_PROBE_WORKERS?",
        "AICONEXUS_PROBE_ZZZ is no setting",
    )


def test_a_secret_in_the_environment_is_refused_and_not_repeated(environ: dict[str, str]) -> None:
    """Secrets come from files, and a message never shows one."""
    environ["AICONEXUS_PROBE_TOKEN"] = "open sesame"

    (mistake,) = mistakes_of(environ)

    assert mistake == (
        "AICONEXUS_PROBE_TOKEN is no setting: it is read from a file, set AICONEXUS_PROBE_TOKEN_FILE to its path"
    )


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644], ids=oct)
def test_a_secret_that_others_may_read_is_refused(environ: dict[str, str], tmp_path: Path, mode: int) -> None:
    """A file of ours must be ours alone; the message says how to mend it."""
    path = secret(tmp_path / "token", "open sesame", mode)
    environ["AICONEXUS_PROBE_TOKEN_FILE"] = str(path)

    (mistake,) = mistakes_of(environ)

    assert mistake.endswith(f"{path} can be read by others (mode {mode:04o}): chmod 600 {path}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("x" * 5000, "holds more than 4096 bytes"),
        ("SUnonsense", "holds no seed"),
        (seed_text(Kind.ACCOUNT, bytes(32)), "holds a seed that begins with SA, wanted is SU"),
    ],
    ids=["empty", "large", "nonsense", "other kind"],
)
def test_a_file_without_the_secret_is_refused(
    environ: dict[str, str], tmp_path: Path, content: str, reason: str
) -> None:
    """The reason is told, the content is not."""
    environ["AICONEXUS_PROBE_SEED_FILE"] = str(secret(tmp_path / "other", content))

    (mistake,) = mistakes_of(environ)

    assert reason in mistake
    assert not content or content not in mistake


def test_a_secret_file_that_is_not_there_or_no_text_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    """Both are told in one go."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    binary.chmod(0o600)
    environ |= {"AICONEXUS_PROBE_SEED_FILE": "/nowhere/seed", "AICONEXUS_PROBE_TOKEN_FILE": str(binary)}

    told = "\n".join(mistakes_of(environ))

    assert "/nowhere/seed cannot be read: No such file or directory" in told
    assert f"{binary} holds no text" in told


def test_settings_that_do_not_go_together_are_a_mistake(environ: dict[str, str]) -> None:
    """A service may check its settings as a whole."""
    environ |= {"AICONEXUS_PROBE_VERBOSE": "1", "AICONEXUS_PROBE_WORKERS": "9"}

    assert mistakes_of(environ) == ("more than 8 workers cannot be verbose",)


def test_the_environment_wins_over_the_settings_file(environ: dict[str, str], tmp_path: Path) -> None:
    """A file may hold the settings of all services; comments, blank lines and quotes are understood."""
    path = tmp_path / "aiconexus.env"
    path.write_text(
        "# all services\n\nAICONEXUS_PROBE_WORKERS=5\nAICONEXUS_PROBE_LABEL='from the file'\n"
        "AICONEXUS_RELAY_ANYTHING=1\n  AICONEXUS_PROBE_VERBOSE = true\n"
    )
    environ |= {"AICONEXUS_PROBE_SETTINGS_FILE": str(path), "AICONEXUS_PROBE_WORKERS": "6"}

    settings = load(ProbeSettings, "probe", environ)

    assert (settings.workers, settings.label, settings.verbose) == (6, "from the file", True)


def test_mistakes_in_the_settings_file_are_told_with_their_lines(environ: dict[str, str], tmp_path: Path) -> None:
    """The operator finds the line."""
    path = tmp_path / "aiconexus.env"
    path.write_text(
        "PATH=/bin\nAICONEXUS_PROBE_WORKERS=0\nAICONEXUS_PROBE_WORKERS=1\nAICONEXUS_PROBE_SETTINGS_FILE=x\n"
        "AICONEXUS_PROBE_ZZZ=1\nAICONEXUS_PROBE_LABEL\n"
    )
    environ["AICONEXUS_PROBE_SETTINGS_FILE"] = str(path)

    told = mistakes_of(environ)

    assert [mistake.split(":")[0] for mistake in told] == [
        f"{path}, line 1",
        f"{path}, line 3",
        f"{path}, line 4",
        f"{path}, line 6",
        f"AICONEXUS_PROBE_ZZZ ({path}, line 5) is no setting",
        f"AICONEXUS_PROBE_WORKERS ({path}, line 2)",
    ]


def test_a_settings_file_that_is_not_there_is_a_mistake(environ: dict[str, str]) -> None:
    """Its absence is not taken for emptiness."""
    environ["AICONEXUS_PROBE_SETTINGS_FILE"] = "/nowhere/settings"

    (mistake,) = mistakes_of(environ)

    assert mistake.startswith("AICONEXUS_PROBE_SETTINGS_FILE: ")


def test_what_is_shown_masks_the_secrets(environ: dict[str, str]) -> None:
    """Neither seeds nor passwords in addresses reach a log."""
    environ["AICONEXUS_PROBE_NATS_URLS"] = "nats://user:password@one:4222,nats://two:4222"

    seen = shown(load(ProbeSettings, "probe", environ))

    assert seen["seed"] == "***"
    assert seen["token"] is None
    assert seen["nats_urls"] == ["nats://***@one:4222", "nats://two:4222"]
    assert seen["workers"] == 4


def test_servers_that_nobody_could_reach_are_mistakes(environ: dict[str, str]) -> None:
    """Every text that names no server is told with the other mistakes, instead of a crash when it is connected to."""
    environ["AICONEXUS_PROBE_NATS_URLS"] = "nats://a:4222, nats://, nats://b:99999"
    environ["AICONEXUS_PROBE_WORKERS"] = "0"

    told = mistakes_of(environ)

    assert ["AICONEXUS_PROBE_NATS_URLS: no NATS URL: nats://"] == [text for text in told if text.endswith("nats://")]
    assert 3 == len(told)
