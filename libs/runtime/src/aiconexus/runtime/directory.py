"""Who the services are: a public file that every service is given."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec

from aiconexus.protocol.did import public_key_of
from aiconexus.protocol.errors import InvalidDid, SettingsError


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    services: dict[str, str]
    operators: tuple[str, ...] = ()


class Directory:
    """
    The DIDs of the services by their names, and those of the operators.

    Args:
        services: One DID for each name.
        operators: Agents that may see and change what belongs to others.

    Raises:
        SettingsError: If a DID is none, or stands for two services.

    """

    def __init__(self, services: dict[str, str], operators: Iterable[str] = ()) -> None:
        self.services = dict(services)
        self.operators = frozenset(operators)
        self._names = {did: name for name, did in services.items()}
        named = [*services.items(), *(("operator", did) for did in sorted(self.operators))]
        mistakes = [mistake for name, did in named if (mistake := _mistake(name, did))]
        if len(self._names) != len(services):
            mistakes.append("the directory gives two services the same DID")
        if mistakes:
            raise SettingsError(mistakes)

    @classmethod
    def load(cls, path: str) -> Self:
        """
        Read a directory file: ``{"services": {"identity": "did:key:…", …}, "operators": ["did:key:…"]}``.

        Raises:
            SettingsError: If it is not usable.

        """
        try:
            read = msgspec.json.decode(Path(path).read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SettingsError([f"directory {path}: {error}"]) from error
        return cls(read.services, read.operators)

    def did_of(self, name: str) -> str:
        """
        The DID of a service.

        Raises:
            SettingsError: If the directory does not name it.

        """
        did = self.services.get(name)
        if did is None:
            raise SettingsError([f"the directory names no service {name}"])
        return did

    def name_of(self, did: str) -> str | None:
        """The service behind a DID, None if it is no service's."""
        return self._names.get(did)


def _mistake(name: str, did: str) -> str | None:
    try:
        public_key_of(did)
    except InvalidDid as error:
        return f"the directory's {name}: {error}"
    return None
