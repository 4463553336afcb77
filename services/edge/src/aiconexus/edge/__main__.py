"""The process ``aiconexus-edge``."""

from aiconexus.edge.service import serve
from aiconexus.edge.settings import EdgeSettings
from aiconexus.runtime.process import run


def main() -> None:
    """Be the edge until a signal ends it."""
    run("edge", EdgeSettings, serve)


if __name__ == "__main__":
    main()
