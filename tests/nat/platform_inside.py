"""
A platform for the public network of a lab.

Run as ``python -m tests.nat.platform_inside HOME VARIABLES`` in that namespace, with settings of the services as JSON.
It says where it listens, as JSON on one line, and ends with its standard input. What its parts say goes to HOME/log.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from aiconexus.cli.testing import logged_platform


async def serve(home: Path, settings: dict[str, str]) -> None:
    """Run until nobody wants it any more."""
    async with logged_platform(home, settings=settings) as platform:
        print(msgspec.json.encode(platform.endpoints()).decode(), flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Be it."""
    home, settings = sys.argv[1:]
    asyncio.run(serve(Path(home), msgspec.json.decode(settings, type=dict[str, str])))


if __name__ == "__main__":
    main()
