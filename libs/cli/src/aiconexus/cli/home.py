"""
A platform's home: the folder that holds its keys, its bus configuration and, for `up`, its data.

    secrets/<name>.seed   one line each, only for their owner
    secrets/turn.secret   what signaling and TURN servers share
    turn/                 cert.pem and key.pem of a TURN server, if it shall speak TLS
    directory.json        the services' public names, for everybody
    nats.conf             written by `init`; `up` writes its own into run/
    compose.env           written by `init`: what compose.yaml has to know of this home
    store/ run/ agents/   data of the bus, what runs now, keys of this user's agents
"""

import os
import secrets
from pathlib import Path

import msgspec

from aiconexus.bus.accounts import ServerPlan
from aiconexus.bus.claims import account_text, curve_text
from aiconexus.bus.nkeys import Kind, seed_of, seed_text, user_nkey
from aiconexus.bus.ownership import SERVICES
from aiconexus.protocol.errors import InvalidKeyFile
from aiconexus.protocol.keys import SEED_BYTES, SigningKey
from aiconexus.sdk.identity import Identity

SECRETS: dict[str, Kind] = {
    **dict.fromkeys(SERVICES, Kind.USER),
    "identity-auth": Kind.USER,
    "identity-system": Kind.USER,
    "identity-issuer": Kind.ACCOUNT,
    "identity-xkey": Kind.CURVE,
}
"""Every secret of a platform and what it is for; those of identity are only for identity."""

TURN_SECRET_BYTES = 32

LOOSE_BITS = 0o077
PUBLIC_BITS = 0o644
CONTAINER_USER = 10001
"""Who the images run as, user and group."""


class Directory(msgspec.Struct, frozen=True):
    """What `directory.json` says: the DID of each service, and the agents that may see what belongs to others."""

    services: dict[str, str]
    operators: tuple[str, ...] = ()


class Home:
    """
    One such folder.

    Args:
        path: Need not exist before `ensure`.

    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def directory_file(self) -> Path:
        """Public names of the services."""
        return self.path / "directory.json"

    @property
    def endpoints_file(self) -> Path:
        """Where the running platform is reached."""
        return self.path / "endpoints.json"

    @property
    def run(self) -> Path:
        """What belongs to the running platform alone."""
        return self.path / "run"

    @property
    def store(self) -> Path:
        """The bus keeps its streams here."""
        return self.path / "store"

    @property
    def agents(self) -> Path:
        """Keys of the agents that the command line speaks as."""
        return self.path / "agents"

    @property
    def operator_file(self) -> Path:
        """The key of the agent as which the operator speaks."""
        return self.agents / "operator.key"

    def secret_file(self, name: str) -> Path:
        """The file of one of `SECRETS`."""
        return self.path / "secrets" / f"{name}.seed"

    @property
    def turn_secret_file(self) -> Path:
        """What signaling and TURN servers share."""
        return self.path / "secrets" / "turn.secret"

    @property
    def turn(self) -> Path:
        """The certificate of a TURN server, which the operator puts here."""
        return self.path / "turn"

    def ensure(self) -> None:
        """
        Make every key that is not there yet, and the directory from them.

        Raises:
            InvalidKeyFile: If a key that is there cannot be used.
            OSError: If the folder cannot be written.

        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.path / "secrets").mkdir(mode=0o700, exist_ok=True)
        for name, kind in SECRETS.items():
            file = self.secret_file(name)
            if not file.exists():
                write_secret(file, seed_text(kind, os.urandom(SEED_BYTES)))
        if not self.turn_secret_file.exists():
            write_secret(self.turn_secret_file, secrets.token_urlsafe(TURN_SECRET_BYTES))
        self.turn.mkdir(mode=0o755, exist_ok=True)
        services = {service: self.key(service).did for service in SERVICES}
        directory = Directory(services, self._operators())
        write_public(self.directory_file, msgspec.json.format(msgspec.json.encode(directory), indent=2) + b"\n")

    def _operators(self) -> tuple[str, ...]:
        """Ours, and those whom somebody wrote into the directory."""
        own = Identity.load_or_create(self.operator_file).did
        try:
            known = msgspec.json.decode(self.directory_file.read_bytes(), type=Directory).operators
        except (OSError, msgspec.DecodeError):
            known = ()
        return tuple(dict.fromkeys((own, *known)))

    def key(self, name: str) -> SigningKey:
        """
        The signing key among `SECRETS`.

        Raises:
            InvalidKeyFile: If the file cannot be used.

        """
        return SigningKey(self._seed(name))

    def compose_settings(self) -> dict[str, str]:
        """
        What compose.yaml has to know of this home, having given the secrets to whom the containers run as.

        A bind-mounted file keeps its owner. As root we give the secrets to the user of the images; anybody else has the
        containers run as themselves.
        """
        user, group = os.getuid(), os.getgid()
        if user == 0:
            user = group = CONTAINER_USER
            for file in (*(self.secret_file(name) for name in SECRETS), self.turn_secret_file):
                os.chown(file, user, group)
        return {"AICONEXUS_HOME": str(self.path), "AICONEXUS_UID": str(user), "AICONEXUS_GID": str(group)}

    @property
    def platform_did(self) -> str:
        """The name of the whole platform: identity's."""
        return self.key("identity").did

    def server_plan(self, **options: object) -> ServerPlan:
        """
        What the bus has to know of this platform's keys.

        Args:
            options: The other fields of ServerPlan.

        """
        public = {
            "services": {service: user_nkey(self.key(service).public_key) for service in SERVICES},
            "auth": user_nkey(self.key("identity-auth").public_key),
            "system": user_nkey(self.key("identity-system").public_key),
            "issuer": account_text(self.key("identity-issuer")),
            "xkey": curve_text(self._seed("identity-xkey")),
        }
        return msgspec.convert({"store_dir": str(self.store), **options, **public}, ServerPlan)

    def _seed(self, name: str) -> bytes:
        return read_seed(self.secret_file(name), SECRETS[name])


def write_secret(file: Path, text: str) -> None:
    """
    Write a new file that only its owner may read.

    Raises:
        FileExistsError: Rather than overwrite a key.

    """
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(descriptor)


def write_public(file: Path, data: bytes) -> None:
    """Replace a file in one step, so that nobody reads half of it; everybody may read it, whatever the umask says."""
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_bytes(data)
    scratch.chmod(PUBLIC_BITS)
    scratch.replace(file)


def read_seed(file: Path, kind: Kind) -> bytes:
    """
    The 32 bytes of a secret file.

    Raises:
        InvalidKeyFile: If it is not there, not readable, open to others, or no such key.

    """
    try:
        mode, text = file.stat().st_mode, file.read_text()
    except OSError as error:
        raise InvalidKeyFile(str(file), error.strerror or "unreadable") from error
    if mode & LOOSE_BITS:
        raise InvalidKeyFile(str(file), f"others may read it, too: chmod 600 {file}")
    try:
        found, seed = seed_of(text.strip())
    except ValueError as error:
        raise InvalidKeyFile(str(file), str(error)) from error
    if found is not kind:
        raise InvalidKeyFile(str(file), f"a key of kind {found.letter} instead of {kind.letter}")
    return seed
