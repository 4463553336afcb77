"""Key files: made private, refused otherwise."""

import json
import os
import stat
from pathlib import Path

import pytest

from aiconexus.protocol.errors import InvalidKeyFile
from aiconexus.sdk.identity import FILE_MAX_BYTES, Identity


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where no key file is yet."""
    return tmp_path / "agent.key"


def test_new_identity_can_be_loaded(path: Path) -> None:
    """What create made, load reads."""
    made = Identity.create(path)

    assert Identity.load(path).did == made.did
    assert Identity.load(path).key.seed == made.key.seed


def test_file_is_private(path: Path) -> None:
    """Nobody but the owner may use the file, whatever the umask."""
    before = os.umask(0)
    try:
        Identity.create(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_left_beside_the_file(path: Path) -> None:
    """The draft is gone once the file is there."""
    Identity.create(path)

    assert [path] == list(path.parent.iterdir())


def test_existing_file_is_not_replaced(path: Path) -> None:
    """A key is never overwritten."""
    first = Identity.create(path)

    with pytest.raises(InvalidKeyFile, match="exists"):
        Identity.create(path)
    assert Identity.load(path).did == first.did
    assert [path] == list(path.parent.iterdir())


def test_directory_is_made(tmp_path: Path) -> None:
    """A directory that lacks is made, for its owner alone."""
    Identity.create(tmp_path / "keys" / "agent.key")

    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_load_or_create_keeps_the_identity(path: Path) -> None:
    """The second time is the same agent."""
    first = Identity.load_or_create(path)

    assert Identity.load_or_create(path).did == first.did


def test_load_or_create_reports_an_unwritable_place(tmp_path: Path) -> None:
    """A place where no file can be made is named as the reason."""
    (tmp_path / "file").touch()

    with pytest.raises(InvalidKeyFile, match="File exists"):
        Identity.load_or_create(tmp_path / "file" / "agent.key")


def test_generated_identity_has_no_file() -> None:
    """An identity for one process leaves no trace."""
    assert Identity.generate().path is None


def test_secret_is_not_shown(path: Path) -> None:
    """Printing an identity tells its name and nothing else."""
    identity = Identity.create(path)

    assert f"Identity({identity.did})" == repr(identity)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777], ids=oct)
def test_loose_permissions_are_refused(path: Path, mode: int) -> None:
    """Whoever else may read, write or search makes the key unusable."""
    Identity.create(path)
    path.chmod(mode)

    with pytest.raises(InvalidKeyFile, match="others may use it"):
        Identity.load(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_foreign_owner_is_refused(path: Path) -> None:
    """A key that belongs to somebody else may be theirs to change."""
    Identity.create(path)
    os.chown(path, 12345, -1)

    with pytest.raises(InvalidKeyFile, match="belongs to user 12345"):
        Identity.load(path)


def test_link_is_as_good_as_its_target(path: Path) -> None:
    """Secrets are often mounted as links: what counts is the file behind it."""
    made = Identity.create(path)
    link = path.with_name("link")
    link.symlink_to(path)

    assert Identity.load(link).did == made.did
    path.chmod(0o644)
    with pytest.raises(InvalidKeyFile, match="others may use it"):
        Identity.load(link)


def test_directory_is_refused(tmp_path: Path) -> None:
    """A directory is no key file."""
    with pytest.raises(InvalidKeyFile):
        Identity.load(tmp_path)


def test_pipe_is_refused(path: Path) -> None:
    """A pipe is no key file, and opening it does not hang."""
    os.mkfifo(path, 0o600)

    with pytest.raises(InvalidKeyFile, match="no regular file"):
        Identity.load(path)


def test_missing_file_is_named(path: Path) -> None:
    """The error says which file lacks."""
    with pytest.raises(InvalidKeyFile, match=r"agent\.key: No such file"):
        Identity.load(path)


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"SUAJSKDJF", id="no JSON"),
        pytest.param(b"{}", id="no did"),
        pytest.param(b'{"did": "did:key:z6Mk"}', id="no seed"),
        pytest.param(b'{"did": "did:key:z6Mk", "seed": "AAAA"}', id="short seed"),
        pytest.param(b'{"did": "did:key:z6Mk", "seed": "?"}', id="no base64"),
        pytest.param(b"[" * 2000, id="deep"),
        pytest.param(b'{"did": "\xff"}', id="no UTF-8"),
        pytest.param(b" " * (FILE_MAX_BYTES + 1), id="too long"),
        pytest.param(
            b'{"did":"d","sealed":{"box":"","salt":"","opslimit":1,"memlimit":9999999999999}}', id="greedy derivation"
        ),
        pytest.param(
            b'{"did":"d","sealed":{"box":"","salt":"","opslimit":1,"memlimit":8192}}', id="sealed without salt"
        ),
        pytest.param(
            b'{"did":"d","sealed":{"box":"","salt":"AAAAAAAAAAAAAAAAAAAAAA==","opslimit":1,"memlimit":8192,"kdf":"x"}}',
            id="other derivation",
        ),
    ],
)
def test_unsound_file_is_refused(path: Path, content: bytes) -> None:
    """Anything but a whole key file is refused with that error and no other."""
    _write(path, content)

    with pytest.raises(InvalidKeyFile):
        Identity.load(path, passphrase="x")


def test_wrong_did_is_refused(path: Path, tmp_path: Path) -> None:
    """A file whose name and seed belong to two agents was tampered with."""
    Identity.create(path)
    other = Identity.create(tmp_path / "other.key")
    content = json.loads(path.read_text())
    _write(path, json.dumps(content | {"did": other.did}).encode())

    with pytest.raises(InvalidKeyFile, match="its seed is that of"):
        Identity.load(path)


class TestPassphrase:
    """An encrypted key file."""

    @pytest.fixture
    def made(self, path: Path) -> Identity:
        """An identity under a passphrase."""
        return Identity.create(path, passphrase="correct horse")

    def test_opens_the_file(self, path: Path, made: Identity) -> None:
        """The right passphrase gives the identity back, and the seed is not in the file."""
        assert Identity.load(path, passphrase="correct horse").key.seed == made.key.seed
        assert "seed" not in json.loads(path.read_text())

    def test_wrong_one_is_refused(self, path: Path, made: Identity) -> None:
        """A wrong passphrase opens nothing."""
        with pytest.raises(InvalidKeyFile, match="does not open"):
            Identity.load(path, passphrase="battery staple")

    def test_missing_one_is_refused(self, path: Path, made: Identity) -> None:
        """Without a passphrase the error says that one is needed."""
        with pytest.raises(InvalidKeyFile, match="encrypted"):
            Identity.load(path)
