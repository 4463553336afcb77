"""Circulars, without a platform."""

import asyncio
from typing import Any

from aiconexus.protocol.errors import NotAcknowledged
from aiconexus.sdk.delivery import Sent
from aiconexus.sdk.engine import Engine
from aiconexus.sdk.fanout import AT_ONCE, Fanout


class Post:
    """Stores for all but a few, one after the other."""

    def __init__(self) -> None:
        self.open = self.peak = 0
        self.sent: list[str] = []

    async def send(self, did: str, content: Any, *, timeout: float | None) -> Sent:
        """Be ``Agent.send``."""
        self.open += 1
        self.peak = max(self.peak, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        self.sent.append(did)
        if did.endswith("7"):
            raise NotAcknowledged(did, timeout or 0.0)
        return Sent(did, did)


def no_engine() -> Engine:
    """Nothing here asks who is there."""
    raise AssertionError


async def test_only_so_many_are_on_their_way() -> None:
    """However many recipients there are, each gets it once, and the failures are those that failed."""
    post = Post()
    dids = [str(number) for number in range(1000)]
    report = await Fanout(no_engine, post.send).send_many([*dids, *dids], "news")

    assert dids == post.sent
    assert AT_ONCE == post.peak
    assert {did for did in dids if did.endswith("7")} == set(report.failed)
    assert 1000 == len(report.stored) + len(report.failed)
    assert "stored for 900, not for 100" == str(report)
