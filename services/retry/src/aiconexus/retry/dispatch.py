"""
Hear timers go off, and have the jobs advanced in a fair order.

A timer says nothing but which job; so all that went off are read as fast as they come, and wait here by sender. Of a
sender that has too many, the rest is put off to a time when they can be worked on.
"""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import Counter, Gauge

from aiconexus.bus.consumers import Delivery, Puller
from aiconexus.protocol.errors import AiconexusError, BusError, RemoteProblem
from aiconexus.retry.fairness import FairQueue, Slots
from aiconexus.retry.timers import Timers
from aiconexus.runtime.logs import Log

FIRED = Counter("aiconexus_retry_timers_fired", "Timers that went off.")
PUT_OFF = Counter("aiconexus_retry_timers_put_off", "Timers that were put off because their sender has too many.")
BEGUN_AGAIN = Counter("aiconexus_retry_steps_repeated", "Steps that are tried again because something was away.")
WAITING = Gauge("aiconexus_retry_timers_waiting", "Timers that went off and wait for their sender's turn.")

QUEUE_MAX = 8_192
"""Timers of all senders that may wait here before no more are read."""
FULL_SECONDS = 0.02
AWAY_SECONDS = 0.25
"""A pause after something was away."""
AWAY_MAX_SECONDS = 10.0


class Dispatcher:
    """
    The work of one replica.

    Args:
        puller: Brings timers that went off.
        timers: For those that are put off.
        advance: Does what is due for a job.
        queue: What waits.
        slots: When what is put off comes back.
        now_ms: A clock in milliseconds since the epoch.
        log: Of the process.

    """

    def __init__(
        self,
        puller: Puller,
        timers: Timers,
        advance: Callable[[str], Awaitable[None]],
        *,
        queue: FairQueue[Delivery],
        slots: Slots,
        now_ms: Callable[[], int],
        log: Log,
    ) -> None:
        self._puller = puller
        self._timers = timers
        self._advance = advance
        self._queue = queue
        self._slots = slots
        self._now_ms = now_ms
        self._log = log
        self._ready = asyncio.Condition()
        WAITING.set_function(lambda: len(queue))

    async def read(self) -> None:
        """Read timers for ever."""
        while True:
            while len(self._queue) >= QUEUE_MAX:  # noqa: ASYNC110 - there is always something to do meanwhile
                await asyncio.sleep(FULL_SECONDS)
            try:
                deliveries = await self._puller.take()
            except BusError:
                await asyncio.sleep(AWAY_SECONDS)
                continue
            FIRED.inc(len(deliveries))
            surplus = [one for one in deliveries if not self._queue.put(sender_of(one), one)]
            async with self._ready:
                self._ready.notify_all()
            await asyncio.gather(*map(self._put_off, surplus))

    async def work(self) -> None:
        """Advance one job after the other for ever."""
        while True:
            sender, delivery = await self._take()
            try:
                await self._advance(delivery.data.decode())
                await self._puller.ack(delivery)
            except (BusError, RemoteProblem) as error:
                await self._begin_again(delivery, error)
            except AiconexusError:
                # A record or an answer that cannot be read: it shall not stop the others, and it stays visible.
                self._log.exception("retry.step_failed", job=delivery.data.decode("utf-8", "replace"))
                await self._begin_again(delivery, None)
            finally:
                self._queue.finish(sender)
                async with self._ready:
                    self._ready.notify()

    async def _take(self) -> tuple[str, Delivery]:
        async with self._ready:
            while (taken := self._queue.take()) is None:
                await self._ready.wait()
            return taken

    async def _put_off(self, delivery: Delivery) -> None:
        key = delivery.data.decode()
        PUT_OFF.inc()
        try:
            await self._timers.set(key, self._slots.next_ms(sender_of(delivery), self._now_ms()))
            await self._puller.ack(delivery)
        except BusError:
            return  # unacknowledged, it comes again

    async def _begin_again(self, delivery: Delivery, error: AiconexusError | None) -> None:
        BEGUN_AGAIN.inc()
        if error is not None:
            self._log.debug("retry.step_interrupted", job=delivery.data.decode(), reason=str(error))
        delay = min(AWAY_SECONDS * 2 ** min(delivery.delivered, 16), AWAY_MAX_SECONDS)
        try:
            await self._puller.put_off(delivery, delay)
        except BusError:
            return  # unacknowledged, it comes again
        finally:
            await asyncio.sleep(AWAY_SECONDS)


def sender_of(delivery: Delivery) -> str:
    """The token of the sender whose job it is."""
    return delivery.data.partition(b".")[0].decode("ascii", "replace")
