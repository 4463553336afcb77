"""Circulars, without a platform."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.errors import RequestTimedOut
from aiconexus.sdk.delivery import Sent
from aiconexus.sdk.engine import Engine
from aiconexus.sdk.fanout import AT_ONCE, Fanout, spread


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


async def broken_list(count: int) -> AsyncIterator[str]:
    """A list of recipients that cannot be read to its end."""
    for number in range(count):
        yield str(number)
    raise RequestTimedOut("identity", 5.0)


async def store(did: str) -> Sent:
    """Store for everybody."""
    await asyncio.sleep(0)
    return Sent(did, did)


async def test_list_that_breaks_off_is_told_with_the_report() -> None:
    """Whoever was named before gets it, and the report says that there may be others, and why."""
    report = await spread(broken_list(3), store)

    assert ["0", "1", "2"] == sorted(report.stored)
    assert (True, False) == (report.is_cut_short, report.is_complete)
    assert isinstance(report.trouble, RequestTimedOut)


async def test_list_that_cannot_be_had_is_raised_as_it_is() -> None:
    """Without any recipient there is nothing to report, and the error is that of the list."""
    with pytest.raises(RequestTimedOut):
        await spread(broken_list(0), store)


async def test_what_cannot_be_said_is_raised_as_it_is() -> None:
    """The caller's own mistake comes unwrapped, and leaves no cancellation behind in the caller's task."""

    async def refuse(did: str) -> Sent:
        raise TypeError(did)

    with pytest.raises(TypeError):
        await spread(named("1", "2"), refuse)
    current = asyncio.current_task()
    assert current is not None
    assert 0 == current.cancelling()


async def test_limit_below_zero_is_nobody() -> None:
    """A limit that was computed wrongly lets nothing out."""
    report = await spread(named("1", "2"), store, -1)

    assert ({}, True) == (report.stored, report.is_cut_short)


async def named(*dids: str) -> AsyncIterator[str]:
    """A list."""
    for did in dids:
        yield did
