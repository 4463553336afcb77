"""
How good a connection is: pure, from samples that are taken every two seconds.

A rating looks at the mean round trip, the jitter and the share of lost packets of the last ten samples. Jitter is that
of RFC 3550 section 6.4.1, of round trips instead of transit times: J += (|D| - J) / 16, D the difference of two that
follow each other. What is lost is what SCTP sent again, late acknowledgements included, out of all that it sent.
"""

from collections import deque
from enum import StrEnum

import msgspec

SAMPLE_SECONDS = 2.0
WINDOW = 10
RETURN_SHARE = 0.9
"""A better rating takes values of at most this share of its limits, so that it does not flap at one of them."""
SILENT_SAMPLES = 2
"""After so many samples without an answered heartbeat the rating is poor, whatever was before."""


class Rating(StrEnum):
    """From best to worst."""

    EXCELLENT = "excellent"
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"


class Limits(msgspec.Struct, frozen=True):
    """The most that a rating allows."""

    rtt_seconds: float
    jitter_seconds: float
    loss: float


LIMITS = {
    Rating.EXCELLENT: Limits(0.050, 0.010, 0.01),
    Rating.GOOD: Limits(0.100, 0.020, 0.03),
    Rating.FAIR: Limits(0.150, 0.030, 0.05),
}
ORDER = tuple(Rating)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """
    What happened in two seconds.

    ``rtt_seconds`` is the latest round trip, None if no heartbeat was answered; packets and bytes are those of the
    transport, chunks those of SCTP that carry data.
    """

    at_ms: int
    rtt_seconds: float | None
    jitter_seconds: float
    chunks_sent: int
    chunks_resent: int
    bytes_sent: int
    bytes_received: int
    road: str


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What the samples of the window come to; without any, everything is None."""

    rating: Rating | None = None
    rtt_seconds: float | None = None
    jitter_seconds: float | None = None
    loss: float | None = None
    samples: tuple[Sample, ...] = ()


def rate(rtt_seconds: float, jitter_seconds: float, loss: float, share: float = 1.0) -> Rating:
    """The best rating whose limits, or a share of them, hold."""
    for rating, limits in LIMITS.items():
        if (
            rtt_seconds <= limits.rtt_seconds * share
            and jitter_seconds <= limits.jitter_seconds * share
            and loss <= limits.loss * share
        ):
            return rating
    return Rating.POOR


def next_rating(before: Rating | None, rtt_seconds: float, jitter_seconds: float, loss: float) -> Rating:
    """The rating that follows: it falls as soon as a limit is passed, and rises when values are well inside."""
    now = rate(rtt_seconds, jitter_seconds, loss)
    if before is None or ORDER.index(now) >= ORDER.index(before):
        return now
    return min(before, rate(rtt_seconds, jitter_seconds, loss, RETURN_SHARE), key=ORDER.index)


class Assessor:
    """The window of one peer, over all its connections."""

    def __init__(self) -> None:
        self.quality = Quality()
        self._samples: deque[Sample] = deque(maxlen=WINDOW)

    def add(self, sample: Sample) -> Quality:
        """Take a sample, and say what all come to."""
        self._samples.append(sample)
        trips = [each.rtt_seconds for each in self._samples if each.rtt_seconds is not None]
        sent = sum(each.chunks_sent for each in self._samples)
        loss = sum(each.chunks_resent for each in self._samples) / sent if sent else 0.0
        rtt = sum(trips) / len(trips) if trips else None
        latest = tuple(self._samples)[-SILENT_SAMPLES:]
        is_silent = len(latest) == SILENT_SAMPLES and all(each.rtt_seconds is None for each in latest)
        if rtt is None and not is_silent:
            rating = self.quality.rating
        elif is_silent or rtt is None:
            rating = Rating.POOR
        else:
            rating = next_rating(self.quality.rating, rtt, sample.jitter_seconds, loss)
        self.quality = Quality(
            rating=rating,
            rtt_seconds=rtt,
            jitter_seconds=sample.jitter_seconds,
            loss=loss,
            samples=tuple(self._samples),
        )
        return self.quality
