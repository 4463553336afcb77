"""Timers that outlive every process: messages that the server holds back until their time, NATS ADR-51."""

from datetime import UTC, datetime

from aiconexus.bus.streams import Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.records import RETRY


class Timers:
    """
    One timer for each job at most; setting it again replaces it.

    Args:
        streams: To the stream of timers.

    """

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def set(self, key: str, at_ms: int) -> None:
        """
        Have the job woken at a time; one that has passed is now.

        Raises:
            BusError: If the server did not take note.

        """
        sender = key.split(".", 1)[0]
        headers = {
            "Nats-Schedule": f"@at {moment(at_ms)}",
            "Nats-Schedule-Target": subjects.retry_due(subjects.partition(sender)),
        }
        await self._streams.publish(subjects.retry_timer(key), key.encode(), headers=headers)

    async def cancel(self, key: str) -> None:
        """
        Let the job sleep.

        Raises:
            BusError: If the server did not take note.

        """
        await self._streams.purge(RETRY, subjects.retry_timer(key))


def moment(at_ms: int) -> str:
    """A time as the server reads it: RFC 3339 in UTC."""
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"
