"""The process ``aiconexus-relay``."""

from aiconexus.relay.service import serve
from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.process import run


def main() -> None:
    """Be the relay until a signal ends it."""
    run("relay", RelaySettings, serve)


if __name__ == "__main__":
    main()
