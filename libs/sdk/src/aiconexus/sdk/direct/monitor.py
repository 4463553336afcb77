"""Looks at a peer's connection every two seconds, as long as there is one."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiconexus.bus.clock import now_ms
from aiconexus.sdk.direct import metrics, stack
from aiconexus.sdk.direct.quality import SAMPLE_SECONDS, Assessor, Quality, Rating, Sample
from aiconexus.sdk.direct.statistics import Transport, transport_of

if TYPE_CHECKING:
    from aiconexus.sdk.direct.connection import Connection

Trip = Callable[[], tuple[float, float] | None]


class Monitor:
    """
    The quality of one peer.

    Args:
        trip: The latest round trip since it was last asked, and the jitter; None if no heartbeat was answered.
        on_rating: Told of every change.
        sample_seconds: How often it looks.

    """

    def __init__(
        self, trip: Trip, on_rating: Callable[[Rating | None], None], sample_seconds: float = SAMPLE_SECONDS
    ) -> None:
        self._sample_seconds = sample_seconds
        self._trip = trip
        self._on_rating = on_rating
        self._assessor = Assessor()
        self._connection: Connection | None = None
        self._chunks = stack.Chunks()
        self._before = Transport()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def quality(self) -> Quality:
        """What the samples come to."""
        return self._assessor.quality

    @property
    def transport(self) -> Transport | None:
        """What passed through the present connection."""
        return None if self._connection is None else transport_of(self._connection.pc, self._chunks)

    def attach(self, connection: "Connection") -> None:
        """Look at a connection from now on."""
        if connection is self._connection:
            return
        self._connection = connection
        self._chunks = stack.count_chunks(connection.pc, metrics.traffic)
        self._before = transport_of(connection.pc, self._chunks)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._sample_seconds, self._look)

    def close(self) -> None:
        """Look no more."""
        self._connection = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        metrics.note_rating(self.quality.rating, None)

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._sample_seconds, self._look)
        if self._connection is None:
            return
        now, before, trip = transport_of(self._connection.pc, self._chunks), self._before, self._trip()
        self._before = now
        sample = Sample(
            at_ms=now_ms(),
            rtt_seconds=None if trip is None else trip[0],
            jitter_seconds=(self.quality.jitter_seconds or 0.0) if trip is None else trip[1],
            chunks_sent=now.chunks_sent - before.chunks_sent,
            chunks_resent=now.chunks_resent - before.chunks_resent,
            bytes_sent=now.bytes_sent - before.bytes_sent,
            bytes_received=now.bytes_received - before.bytes_received,
            road=self._connection.road,
        )
        rating = self.quality.rating
        after = self._assessor.add(sample).rating
        if after is not rating:
            metrics.note_rating(rating, after)
            self._on_rating(after)
