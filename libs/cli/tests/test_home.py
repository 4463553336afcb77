import os
import stat
from pathlib import Path

import msgspec
import pytest

from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.bus.ownership import SERVICES
from aiconexus.cli.home import SECRETS, Directory, Home, read_seed, write_public, write_secret
from aiconexus.protocol.errors import InvalidKeyFile


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with all its keys."""
    home = Home(tmp_path / "home")
    home.ensure()
    return home


def test_nobody_else_reads_the_keys(home: Home) -> None:
    """Every secret, and the folder they are in, is for its owner alone."""
    modes = {stat.S_IMODE(home.secret_file(name).stat().st_mode) for name in SECRETS}

    assert ({0o400}, 0o700) == (modes, stat.S_IMODE(home.secret_file("relay").parent.stat().st_mode))


def test_the_directory_names_the_services(home: Home) -> None:
    """What is public holds the DID of each service, and identity's is the platform's."""
    directory = msgspec.json.decode(home.directory_file.read_bytes(), type=Directory)

    assert {name: home.key(name).did for name in SERVICES} == directory.services
    assert home.platform_did == directory.services["identity"]


def test_the_secret_of_turn_servers_is_made_once(home: Home) -> None:
    """It is for its owner alone, and stays."""
    before = home.turn_secret_file.read_text()
    home.ensure()

    assert (before, 0o400) == (home.turn_secret_file.read_text(), stat.S_IMODE(home.turn_secret_file.stat().st_mode))
    assert len(before.strip()) >= 32


def test_keys_are_made_once(home: Home) -> None:
    """A second start keeps every identity."""
    before = {name: home.secret_file(name).read_text() for name in SECRETS}
    home.ensure()

    assert before == {name: home.secret_file(name).read_text() for name in SECRETS}


def test_a_home_of_an_older_version_gets_what_it_lacks(home: Home) -> None:
    """A service that came later gets its key and its place in the directory; all others keep theirs."""
    services = msgspec.json.decode(home.directory_file.read_bytes(), type=Directory).services
    home.secret_file("signaling").unlink()
    older = {name: did for name, did in services.items() if name != "signaling"}
    write_public(home.directory_file, msgspec.json.encode(Directory(older)))
    home.ensure()
    upgraded = msgspec.json.decode(home.directory_file.read_bytes(), type=Directory).services

    assert set(SERVICES) == set(upgraded)
    assert services != upgraded
    assert older == {name: upgraded[name] for name in older}


def test_the_plan_of_the_bus_holds_no_secret(home: Home) -> None:
    """Public keys only: the configuration may be read by others."""
    plan = home.server_plan(port=4222, store_dir="/data")
    texts = [*plan.services.values(), plan.auth, plan.system, plan.issuer, plan.xkey]

    assert [*("U" for _ in SERVICES), "U", "U", "A", "X"] == [text[0] for text in texts]
    assert plan.store_dir == "/data"


def test_containers_run_as_the_owner_of_the_keys(home: Home) -> None:
    """Compose is told to run the services as the user whom the secrets belong to, which is never root."""
    settings = home.compose_settings()
    owners = {(home.secret_file(name).stat().st_uid, home.secret_file(name).stat().st_gid) for name in SECRETS}

    assert {(int(settings["AICONEXUS_UID"]), int(settings["AICONEXUS_GID"]))} == owners
    assert (0, 0) not in owners
    assert str(home.path) == settings["AICONEXUS_HOME"]


def test_what_is_public_can_be_read_by_all(tmp_path: Path) -> None:
    """The bus and the services read their files as users of their own, however careful the umask of init was."""
    before = os.umask(0o077)
    try:
        write_public(tmp_path / "nats.conf", b"")
    finally:
        os.umask(before)

    assert 0o644 == stat.S_IMODE((tmp_path / "nats.conf").stat().st_mode)


def test_a_key_is_never_overwritten(home: Home) -> None:
    """There is no way to lose a key by writing another over it."""
    with pytest.raises(FileExistsError):
        write_secret(home.secret_file("relay"), "SU")


def test_a_key_that_others_may_read_is_not_used(home: Home) -> None:
    """Loose permissions are an error that says how to mend them."""
    file = home.secret_file("relay")
    file.chmod(0o440)

    with pytest.raises(InvalidKeyFile, match="chmod 600"):
        home.key("relay")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "characters"),
        ("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VX", "checksum"),
        (seed_text(Kind.ACCOUNT, bytes(32)), "kind A instead of U"),
    ],
    ids=["empty", "damaged", "another kind"],
)
def test_a_file_without_the_right_key_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """What is no seed of the kind that is wanted is refused with the reason."""
    file = tmp_path / "x.seed"
    write_secret(file, text)

    with pytest.raises(InvalidKeyFile, match=reason):
        read_seed(file, Kind.USER)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(InvalidKeyFile, match=r"nowhere\.seed: No such file"):
        read_seed(tmp_path / "nowhere.seed", Kind.USER)
