"""The process ``aiconexus-signaling``."""

from aiconexus.runtime.process import run
from aiconexus.signaling.service import serve
from aiconexus.signaling.settings import SignalingSettings


def main() -> None:
    """Be the signaling service until a signal ends it."""
    run("signaling", SignalingSettings, serve)


if __name__ == "__main__":
    main()
