"""The command ``aiconexus-identity``."""

from typing import NoReturn

from aiconexus.identity.service import start
from aiconexus.identity.settings import IdentitySettings
from aiconexus.runtime.process import run


def main() -> NoReturn:
    """Be the service until a signal ends it."""
    run("identity", IdentitySettings, start)


if __name__ == "__main__":
    main()
