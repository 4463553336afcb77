"""
How late the timers of the retry service go off, and how many it can take.

`./dev bench retry [--json]` starts a platform (bus, identity, relay and one retry process), and agents on NATS that
leave 5,000 envelopes to the retry service, to be delivered at random moments of five seconds. It measures:

- `retry.timers_per_s`: jobs taken in per second: verified, stored, timer set and answered.
- `retry.p50_late_ms`, `retry.p99_late_ms`: from the moment that was asked for to the envelope's arrival at its
  recipient, through timer, retry, relay, mailbox and push.
- `retry.fired_per_s`: envelopes that arrive per second when 2,000 timers go off in one moment.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.session import Incoming, Session
from aiconexus.cli.platform import Platform
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Message, PlatformInfo, Register, Registered
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.job_bodies import Schedule, Scheduled
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import compose, peek, split, unseal

TIMERS = 5_000
SPREAD_MS = 5_000
STORM = 2_000
PAIRS = 10
AT_ONCE = 64
HEAD_START_MS = 1_000
REQUEST_SECONDS = 20.0
ARRIVE_SECONDS = 60
SETTINGS = {
    "AICONEXUS_RETRY_LOG_LEVEL": "warning",
    "AICONEXUS_RETRY_SENDER_RATE_PER_SECOND": "100000",
    "AICONEXUS_RETRY_SENDER_BURST": "100000",
    "AICONEXUS_RELAY_MAILBOX_MAX_ENVELOPES": "100000",
}


class Agent:
    """One agent on NATS, without the SDK."""

    def __init__(self, session: Session, key: SigningKey, arrivals: "Arrivals") -> None:
        self.key = key
        self._session = session
        self._arrivals = arrivals
        self._services: dict[str, str] = {}

    async def begin(self) -> None:
        """Learn who the services are, register, and hear the mailbox."""
        subject = subjects.send(self.key.token, "identity", "platform")
        info = unseal((await self._session.request(subject, b"")).data).body
        assert isinstance(info, PlatformInfo)
        self._services = info.services
        answer = await self.ask("identity", Register(public_key=key_text_of(self.key.did)))
        assert isinstance(answer, Registered), answer
        await self._session.subscribe(subjects.inbox_mail(self.key.token), self._arrivals.note)
        await self._session.barrier()

    async def ask(self, service: str, body: Body) -> Body:
        """Put a signed request."""
        data = compose(body, self.key, self._services[service], id_=new_id(), now_ms=now_ms())
        subject = subjects.send(self.key.token, service, body.TYPE.lower())
        return unseal((await self._session.request(subject, data, timeout_seconds=REQUEST_SECONDS)).data).body

    async def schedule(self, recipient: str, id_: str, at_ms: int) -> None:
        """Leave an envelope to retry."""
        letter = compose(Message(content="x" * 200), self.key, recipient, id_=id_, now_ms=now_ms())
        answer = await self.ask("retry", Schedule(envelope=letter, policy=RetryPolicy(), not_before_ms=at_ms))
        assert isinstance(answer, Scheduled), answer


class Arrivals:
    """When each envelope came, in milliseconds since the epoch."""

    def __init__(self) -> None:
        self.at_ms: dict[str, float] = {}
        self._wanted = 0
        self._all = asyncio.Event()

    async def note(self, incoming: Incoming) -> None:
        """Take a copy of the mailbox."""
        self.at_ms.setdefault(peek(split(incoming.data)).id, time.time() * 1000)
        if len(self.at_ms) >= self._wanted:
            self._all.set()

    async def wait(self, count: int, seconds: float) -> None:
        """Wait until so many have come since the last call."""
        self._wanted = count
        self._all.clear()
        if len(self.at_ms) < count:
            async with asyncio.timeout(seconds):
                await self._all.wait()


async def schedule_all(pairs: list[tuple[Agent, Agent]], due: dict[str, int]) -> float:
    """
    Have all jobs taken in.

    Returns:
        The seconds that it took.

    """
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, id_: str, at_ms: int) -> None:
        sender, recipient = pairs[number % len(pairs)]
        async with room:
            await sender.schedule(recipient.key.did, id_, at_ms)

    started = time.perf_counter()
    await asyncio.gather(*(one(number, *job) for number, job in enumerate(due.items())))
    return time.perf_counter() - started


async def lateness(pairs: list[tuple[Agent, Agent]], arrivals: Arrivals, timers: int) -> dict[str, float]:
    """Timers at random moments."""
    probe = {new_id(): 0 for _ in range(timers // 10)}
    rate = len(probe) / await schedule_all(pairs, probe)
    await arrivals.wait(len(probe), ARRIVE_SECONDS)
    # None shall be due before all are scheduled.
    first_ms = now_ms() + HEAD_START_MS + int(timers / rate * 1500)
    due = {new_id(): first_ms + random.randrange(SPREAD_MS) for _ in range(timers)}
    seconds = await schedule_all(pairs, due)
    assert now_ms() < first_ms, "scheduling was too slow for a measurement"
    await arrivals.wait(len(probe) + timers, (first_ms - now_ms() + SPREAD_MS) / 1000 + ARRIVE_SECONDS)
    late = [arrivals.at_ms[id_] - at_ms for id_, at_ms in due.items()]
    assert min(late) > -1, f"a timer went off {-min(late)} ms early"
    cuts = statistics.quantiles(late, n=100)
    return {
        "retry.p50_late_ms": cuts[49],
        "retry.p99_late_ms": cuts[98],
        "retry.max_late_ms": max(late),
        "retry.timers_per_s": timers / seconds,
    }


async def storm(pairs: list[tuple[Agent, Agent]], arrivals: Arrivals, rate: float) -> dict[str, float]:
    """Timers in one moment."""
    before = len(arrivals.at_ms)
    at_ms = now_ms() + HEAD_START_MS + int(STORM / rate * 1500)
    due = {new_id(): at_ms for _ in range(STORM)}
    await schedule_all(pairs, due)
    await arrivals.wait(before + STORM, ARRIVE_SECONDS)
    last = max(arrivals.at_ms[id_] for id_ in due)
    return {"retry.fired_per_s": STORM / (last - at_ms) * 1000}


@asynccontextmanager
async def agents(url: str, arrivals: Arrivals) -> AsyncIterator[list[tuple[Agent, Agent]]]:
    """Senders and their recipients."""
    async with AsyncExitStack() as stack:
        everybody = []
        for _ in range(2 * PAIRS):
            key = SigningKey(os.urandom(32))
            inbox = subjects.inbox_replies(key.token)
            session = await Session.connect([url], key, name="bench", inbox_prefix=inbox)
            stack.push_async_callback(session.close)
            everybody.append(Agent(session, key, arrivals))
            await everybody[-1].begin()
        yield list(zip(everybody[:PAIRS], everybody[PAIRS:], strict=True))


async def measure(timers: int) -> dict[str, float]:
    """Everything, from the platform to the figures."""
    with tempfile.TemporaryDirectory(prefix="aiconexus-bench-") as folder:
        home = Path(folder) / "home"
        services = ("identity", "relay", "retry")
        async with Platform(home, services=services, settings=SETTINGS) as platform:
            arrivals = Arrivals()
            async with agents(platform.endpoints().nats, arrivals) as pairs:
                figures = await lateness(pairs, arrivals, timers)
                return figures | await storm(pairs, arrivals, figures["retry.timers_per_s"])


def main() -> None:
    """Print the figures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--timers", type=int, default=TIMERS, help="how many, if not %(default)s")
    arguments = parser.parse_args()
    figures = uvloop.run(measure(arguments.timers))
    for name, value in figures.items():
        print(f"{name:24} {value:10.1f}")
    if arguments.json:
        print(msgspec.json.encode({name: round(value, 2) for name, value in figures.items()}).decode())


if __name__ == "__main__":
    main()
