"""Those who wait for the next turn of events, whatever it is."""

import asyncio


class Waiting:
    """A crowd that is woken together, with an error or without."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """
        Wait to be woken.

        Raises:
            Exception: What the others were woken with.

        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def wake(self, error: Exception | None = None) -> None:
        """Wake all who wait now."""
        for waiter in self._waiters:
            if not waiter.done():
                _settle(waiter, error)


def _settle(waiter: "asyncio.Future[None]", error: Exception | None) -> None:
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
