"""The process ``aiconexus-retry``."""

from aiconexus.retry.service import serve
from aiconexus.retry.settings import RetrySettings
from aiconexus.runtime.process import run


def main() -> None:
    """Be the retry service until a signal ends it."""
    run("retry", RetrySettings, serve)


if __name__ == "__main__":
    main()
