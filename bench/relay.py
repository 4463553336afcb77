"""
How fast one relay worker is, against the two things that it cannot be faster than.

`./dev bench relay [--json]` starts the platform (nats-server, identity, one relay) and an echo process, and hands over
pre-sealed envelopes of several agents, each logged in and registered on a connection of its own. It measures, in the
same run:

- `relay.ratio_to_verify`: envelopes verified, stored and answered per second, over the Ed25519 verifications per second
  of one core. Bodies of 512 bytes. `relay.cpu_ratio_to_verify` is the same in CPU time, which a busy machine disturbs
  less.
- `delivery.p50_ratio`, `delivery.p99_ratio`: sender to recipient by way of relay and mailbox, over the round trip of a
  raw NATS request, in turn.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import uvloop

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.session import Incoming, Session
from aiconexus.cli.platform import Platform
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Ack, Acked, Message, Receipt, ReceiptStatus, Register, Registered
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import check_seal, compose, peek, split, unseal

SENDERS = 16
WINDOW = 512
BODY_BYTES = 512
ROUNDS = 5
ROUND_ENVELOPES = 10_000
TRIES = 15
QUIET = 0.05
"""A round counts if other programs used no more of the machine; a busy machine has to do with its quietest rounds."""
VERIFY_SECONDS = 0.3
PORTIONS = 20
PORTION_SAMPLES = 150
READY_SECONDS = 20

HIGH_LIMITS = {
    "AICONEXUS_RELAY_LOG_LEVEL": "warning",
    "AICONEXUS_RELAY_MAILBOX_MAX_ENVELOPES": "1000000",
    "AICONEXUS_RELAY_SENDER_RATE_PER_SECOND": "1000000",
    "AICONEXUS_RELAY_SENDER_BURST": "1000000",
}
"""So that only speed limits."""


class Agent:
    """One agent, with a connection of its own."""

    def __init__(self, session: Session, key: SigningKey, relay: str) -> None:
        self.session = session
        self.key = key
        self.relay = relay
        self.replies = f"{subjects.inbox_replies(key.token)}.b"

    def sealed(self, recipient: str, count: int) -> list[bytes]:
        """So many envelopes, ready to go."""
        body = Message(content=os.urandom(BODY_BYTES))
        return [compose(body, self.key, recipient, id_=new_id(), now_ms=now_ms()) for _ in range(count)]

    async def acknowledge(self) -> None:
        """Be done with everything in the mailbox."""
        ack = compose(Ack(upto=2**50), self.key, self.relay, id_=new_id(), now_ms=now_ms())
        answer = await self.session.request(subjects.send(self.key.token, "relay", "ack"), ack, timeout_seconds=30)
        assert isinstance(unseal(answer.data).body, Acked)


class Load:
    """
    One sender's share of a round: a new envelope goes out with each answer.

    Only the first answer of the round is verified; that all are right is what the tests are for.
    """

    def __init__(self, agent: Agent, envelopes: Sequence[bytes], window: int) -> None:
        self._agent = agent
        self._subject = subjects.send(agent.key.token, "relay", "submit")
        self._envelopes = envelopes
        self._window = window
        self._next = 0
        self._answered = 0
        self._done = asyncio.Event()
        self._sent_at: dict[str, float] = {}
        self.seconds: list[float] = []

    async def run(self) -> None:
        """Send all and await all answers."""
        subscription = await self._agent.session.subscribe(f"{self._agent.replies}.*", self._on_answer)
        await self._agent.session.barrier()
        for _ in range(self._window):
            await self._send()
        await self._done.wait()
        await subscription.unsubscribe()

    async def _send(self) -> None:
        reply = f"{self._agent.replies}.{self._next}"
        self._sent_at[reply] = time.perf_counter()
        await self._agent.session.publish(self._subject, self._envelopes[self._next], reply=reply)
        self._next += 1

    async def _on_answer(self, incoming: Incoming) -> None:
        self.seconds.append(time.perf_counter() - self._sent_at.pop(incoming.subject))
        if not self._answered:
            _check(incoming)
        self._answered += 1
        if self._answered == len(self._envelopes):
            self._done.set()
        elif self._next < len(self._envelopes):
            await self._send()


def _check(incoming: Incoming) -> None:
    body = unseal(incoming.data).body
    assert isinstance(body, Receipt), body
    assert all(item.status is ReceiptStatus.STORED for item in body.items), body


def _cpu_seconds(processes: dict[str, psutil.Process]) -> dict[str, float]:
    return {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}


def _give_cores(processes: dict[str, psutil.Process]) -> None:
    """One core for the relay, as the verifications have one; the others for the rest."""
    cores = sorted(os.sched_getaffinity(0))
    for name, process in processes.items():
        for thread in process.threads():
            os.sched_setaffinity(thread.id, cores[-1:] if name == "relay" else cores[:-1] or cores)


def _machine_seconds() -> float:
    """CPU seconds that everything on this machine has used."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait


def verifications(envelopes: Sequence[bytes]) -> tuple[float, float]:
    """One core, doing nothing but checking seals: how many per second, and the CPU seconds of one."""
    sealed = [split(data) for data in envelopes]
    senders = [peek(each).sender for each in sealed]
    count, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < VERIFY_SECONDS:
        for each, sender in zip(sealed, senders, strict=True):
            check_seal(each, sender)
        count += len(sealed)
    return count / (time.perf_counter() - started), (time.process_time() - used) / count


class Round(msgspec.Struct, frozen=True):
    """What one round showed; seconds of CPU for each of our processes."""

    verified_per_s: float
    verify_cpu_seconds: float
    stored_per_s: float
    cpu: dict[str, float]
    others_share: float
    latencies: list[float]

    @property
    def ratio(self) -> float:
        """The relay's share of what verification alone would reach."""
        return self.stored_per_s / self.verified_per_s


async def one_round(
    agents: Sequence[Agent], recipients: Sequence[Agent], processes: dict[str, psutil.Process]
) -> Round:
    """Verification alone, then the whole path; then the recipients acknowledge what they have got."""
    each = ROUND_ENVELOPES // len(agents)
    envelopes = [agent.sealed(other.key.did, each) for agent, other in zip(agents, recipients, strict=True)]
    before = verifications(envelopes[0][:200])
    loads = [Load(agent, share, WINDOW // len(agents)) for agent, share in zip(agents, envelopes, strict=True)]
    used, machine, started = _cpu_seconds(processes), _machine_seconds(), time.perf_counter()
    await asyncio.gather(*(load.run() for load in loads))
    seconds = time.perf_counter() - started
    cpu = {name: then - used[name] for name, then in _cpu_seconds(processes).items()}
    others = _machine_seconds() - machine - sum(cpu.values())
    await asyncio.gather(*(other.acknowledge() for other in recipients))
    after = verifications(envelopes[0][:200])
    return Round(
        verified_per_s=max(before[0], after[0]),
        verify_cpu_seconds=min(before[1], after[1]),
        stored_per_s=each * len(agents) / seconds,
        cpu=cpu,
        others_share=others / seconds / (psutil.cpu_count() or 1),
        latencies=[second for load in loads for second in load.seconds],
    )


async def throughput(
    agents: Sequence[Agent], recipients: Sequence[Agent], processes: dict[str, psutil.Process]
) -> dict[str, float]:
    """The median of the rounds in which the machine was ours."""
    _give_cores(processes)
    rounds: list[Round] = []
    for _ in range(TRIES):
        rounds.append(await one_round(agents, recipients, processes))
        if sum(each.others_share <= QUIET for each in rounds) == ROUNDS:
            break
    rounds = sorted(rounds, key=lambda each: each.others_share)[:ROUNDS]
    latencies = [second for each in rounds for second in each.latencies]
    return {
        "relay.ratio_to_verify": statistics.median(each.ratio for each in rounds),
        "relay.ratio_to_verify_worst": min(each.ratio for each in rounds),
        "relay.ratio_to_verify_best": max(each.ratio for each in rounds),
        "relay.cpu_ratio_to_verify": statistics.median(
            each.verify_cpu_seconds * ROUND_ENVELOPES / each.cpu["relay"] for each in rounds
        ),
        "relay.envelopes_per_s": statistics.median(each.stored_per_s for each in rounds),
        "verify.per_s": statistics.median(each.verified_per_s for each in rounds),
        **{
            f"{name}.cpu_us_per_envelope": statistics.median(each.cpu[name] for each in rounds) / ROUND_ENVELOPES * 1e6
            for name in processes
        },
        "relay.loaded_p50_ms": quantile(latencies, 0.50) * 1e3,
        "relay.loaded_p99_ms": quantile(latencies, 0.99) * 1e3,
        "relay.rss_mb": processes["relay"].memory_info().rss / 2**20,
        "machine.others_share": max(each.others_share for each in rounds),
    }


async def delivery(sender: Agent, recipient: Agent) -> dict[str, float]:
    """One envelope at a time, from the sender's publish to the recipient's handler, in turn with raw requests."""
    arrived: asyncio.Queue[float] = asyncio.Queue()

    async def on_mail(incoming: Incoming) -> None:
        arrived.put_nowait(time.perf_counter())
        assert "Nats-Sequence" in (incoming.headers or {})

    await recipient.session.subscribe(subjects.inbox_mail(recipient.key.token), on_mail)
    await recipient.session.barrier()
    raw: list[float] = []
    one_way: list[float] = []
    answered: list[float] = []
    submit = subjects.send(sender.key.token, "relay", "submit")
    echo = subjects.send(sender.key.token, "edge", "echo")
    for portion in range(PORTIONS + 1):
        envelopes = sender.sealed(recipient.key.did, PORTION_SAMPLES)
        samples: tuple[list[float], list[float], list[float]] = ([], [], [])
        for data in envelopes:
            started = time.perf_counter()
            await sender.session.request(echo, data)
            samples[0].append(time.perf_counter() - started)
            started = time.perf_counter()
            answer = await sender.session.request(submit, data)
            samples[2].append(time.perf_counter() - started)
            samples[1].append(await arrived.get() - started)
            _check(answer)
        if portion:  # the first one warms everything up
            raw += samples[0]
            one_way += samples[1]
            answered += samples[2]
    return {
        "delivery.p50_ratio": quantile(one_way, 0.50) / quantile(raw, 0.50),
        "delivery.p99_ratio": quantile(one_way, 0.99) / quantile(raw, 0.99),
        "delivery.p50_ms": quantile(one_way, 0.50) * 1e3,
        "delivery.p99_ms": quantile(one_way, 0.99) * 1e3,
        "stored.p50_ms": quantile(answered, 0.50) * 1e3,
        "stored.p99_ms": quantile(answered, 0.99) * 1e3,
        "raw.p50_ms": quantile(raw, 0.50) * 1e3,
        "raw.p99_ms": quantile(raw, 0.99) * 1e3,
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the others does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@asynccontextmanager
async def echoing(url: str, key: SigningKey) -> AsyncIterator[None]:
    """Another process that answers raw requests, as fast as a Python process can."""
    child = await asyncio.create_subprocess_exec(sys.executable, __file__, "--echo", url, key.seed.hex())
    try:
        yield
    finally:
        child.terminate()
        await child.wait()


async def echo(url: str, secret: str) -> None:
    """Answer raw requests until told to stop."""
    key = SigningKey(bytes.fromhex(secret))
    session = await Session.connect([url], key, name="echo", inbox_prefix=subjects.service_inbox("edge"))

    async def answer(incoming: Incoming) -> None:
        await session.publish(incoming.reply, incoming.data)

    await session.subscribe(subjects.sends_to("edge"), answer)
    await asyncio.Event().wait()


async def log_in(url: str, platform: str, relay: str) -> Agent:
    """A new agent, connected and registered."""
    key = SigningKey(os.urandom(32))
    session = await Session.connect([url], key, name="agent", inbox_prefix=subjects.inbox_replies(key.token))
    register = compose(Register(public_key=key_text_of(key.did)), key, platform, id_=new_id(), now_ms=now_ms())
    answer = await session.request(subjects.send(key.token, "identity", "register"), register)
    assert isinstance(unseal(answer.data).body, Registered)
    return Agent(session, key, relay)


async def measure() -> dict[str, float]:
    """Everything, from the platform to the figures."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aiconexus-bench-")))
        platform = await stack.enter_async_context(Platform(home, services=("identity", "relay"), settings=HIGH_LIMITS))
        url, keys = platform.endpoints().nats, platform.home
        await stack.enter_async_context(echoing(url, keys.key("edge")))
        agents = [await log_in(url, keys.platform_did, keys.key("relay").did) for _ in range(SENDERS + 2)]
        for agent in agents:
            stack.push_async_callback(agent.session.close)
        await _answering(agents[0], "edge", "echo", agents[1].key.did)
        figures = await delivery(*agents[SENDERS:])
        senders = agents[:SENDERS]
        processes = {
            name: psutil.Process(platform.pids[part]) for name, part in (("relay", "relay"), ("server", "nats"))
        }
        processes["load"] = psutil.Process()
        return {**await throughput(senders, [*senders[1:], senders[0]], processes), **figures}


async def _answering(agent: Agent, service: str, verb: str, recipient: str) -> None:
    """Wait until a service is there."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                subject = subjects.send(agent.key.token, service, verb)
                await agent.session.request(subject, agent.sealed(recipient, 1)[0], timeout_seconds=1)
            except Exception as error:
                if type(error).__name__ not in ("NoResponders", "RequestTimedOut"):
                    raise
                await asyncio.sleep(0.1)
            else:
                return


def table(figures: dict[str, float]) -> str:
    """For people."""
    aims = {"relay.ratio_to_verify": ">= 0.55", "delivery.p50_ratio": "<= 3", "delivery.p99_ratio": "<= 3"}
    return "\n".join(f"{name:30} {value:12.3f}  {aims.get(name, '')}" for name, value in figures.items())


def main() -> None:
    """Print the figures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--echo", nargs=2, metavar=("URL", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.echo:
        uvloop.run(echo(*arguments.echo))
        return
    figures: dict[str, Any] = uvloop.run(measure())
    if arguments.json:
        rounded = {name: round(value, 4) for name, value in figures.items()}
        print(msgspec.json.encode(rounded | {"relay.body_bytes": BODY_BYTES}).decode())
    else:
        print(table(figures))


if __name__ == "__main__":
    main()
