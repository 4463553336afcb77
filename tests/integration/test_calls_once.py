"""Calls: that they are answered once and for all."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.integration.callers import Spec, caller
from tests.integration.sdk_agents import SECONDS, Host, until, within

from aiconexus.bus.clock import new_id
from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import ExecRequest, ReceiptItem, ReceiptStatus
from aiconexus.protocol.errors import ConflictingEnvelope, RemoteProblem
from aiconexus.protocol.seal import wrap
from aiconexus.sdk import Agent

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def counted(host: Host, label: str = "") -> tuple[Agent, list[int]]:
    """A callee that counts how often its handler runs."""
    agent, runs = host.make(label=label), list[int]()

    @agent.capability("count")
    async def count(args: dict[str, Any]) -> dict[str, Any]:
        runs.append(1)
        return {"run": len(runs), "args": args}

    return await host.open(agent), runs


async def test_same_id_gets_the_first_answer(host: Host) -> None:
    """Asked twice, at once, later, with more patience, or in another life: one run, and the same signed bytes."""
    bob, runs = await counted(host)
    question = ExecRequest(capability="count", args={"n": 1})
    alice = await host.open(host.make(label="alice"))
    both = await asyncio.gather(*(alice.request(bob.did, question, id_="once") for _ in range(2)))
    later = await alice.request(bob.did, question, id_="once", timeout=99)
    await alice.close()
    again = await host.open(host.make("binary", label="alice"))
    much_later = await again.request(bob.did, question, id_="once")
    answers = {wrap(each.sealed) for each in (*both, later, much_later) if each.sealed is not None}

    assert 1 == len(answers)
    assert [1] == runs
    with pytest.raises(ConflictingEnvelope):
        await again.call(bob.did, capability="count", args={"n": 2}, id_="once")


async def without_memory(host: Host, folder: Path) -> Agent:
    """Alice again, who has lost her journal."""
    label = new_id()
    shutil.copy(folder / "alice.key", folder / f"{label}.key")
    return await host.open(host.make("binary", label=label))


async def forgotten(host: Host, folder: Path) -> tuple[Agent, list[int], Agent]:
    """Bob, how often he counted, and Alice, who has asked him once and does not know it any more."""
    bob, runs = await counted(host)
    alice = await host.open(host.make(label="alice"))
    await alice.call(bob.did, capability="count", args={"n": 1}, id_="mine")
    await alice.close()
    return bob, runs, await without_memory(host, folder)


@pytest.mark.parametrize("moment", ["while it runs", "once it was answered", "once it was forgotten"])
async def test_caller_that_lost_its_journal_gets_the_first_answer(host: Host, tmp_path: Path, moment: str) -> None:
    """Whoever asks again under its id, however soon, gets the answer bit for bit, and the handler ran once."""
    runs: list[int] = []
    began, release = asyncio.Event(), asyncio.Event()

    def callee() -> Agent:
        agent = host.make(label="bob")

        @agent.capability("slow")
        async def slow(_: dict[str, Any]) -> int:
            runs.append(1)
            began.set()
            await release.wait()
            return len(runs)

        return agent

    bob = await host.open(callee())
    alice = await host.open(host.make(label="alice"))
    question = ExecRequest(capability="slow", args={"n": 1})
    waiting = asyncio.create_task(alice.request(bob.did, question, id_="mine", timeout=SECONDS))
    await within(began)
    if moment != "while it runs":
        release.set()
        await waiting
    if moment == "once it was forgotten":
        # Whoever leaves in order has told the relay what it has read.
        await bob.close()
        bob = await host.open(callee())
    await alice.close()
    await asyncio.gather(waiting, return_exceptions=True)
    again = asyncio.create_task(
        (await without_memory(host, tmp_path)).request(bob.did, question, id_="mine", timeout=SECONDS)
    )
    release.set()
    answers = [await again, await (await without_memory(host, tmp_path)).request(bob.did, question, id_="mine")]
    if not waiting.exception():
        answers.append(waiting.result())

    assert [1] == runs
    assert 1 == len({wrap(each.sealed) for each in answers if each.sealed is not None})


async def test_receipt_for_an_earlier_life_ends_no_question(host: Host, tmp_path: Path) -> None:
    """A late receipt, for what a caller that lost its journal had asked before, does not keep it from asking again."""
    bob, runs, forgetful = await forgotten(host, tmp_path)

    asking = asyncio.create_task(forgetful.call(bob.did, capability="count", args={"n": 1}, id_="mine"))
    await asyncio.sleep(0)
    outbox = forgetful._open.outbox
    assert outbox.find("mine") is not None
    outbox.settle(ReceiptItem(id="mine", status=ReceiptStatus.PROCESSED), bob.did)

    assert ({"run": 1, "args": {"n": 1}}, [1]) == (await asking, runs)


async def test_id_of_another_question_is_refused_to_who_forgot_it(host: Host, tmp_path: Path) -> None:
    """A caller that does not know what it asked under an id is told of the conflict: by the relay, or by the callee."""
    bob, runs, forgetful = await forgotten(host, tmp_path)

    with pytest.raises(RemoteProblem) as caught:
        await forgetful.call(bob.did, capability="count", args={"n": 2}, id_="mine")
    assert ("conflict", [1]) == (caught.value.error.problem, runs)


@pytest.mark.parametrize("moment", ["before it was answered", "after it was answered"])
async def test_caller_that_died_gets_the_first_answer(
    host: Host, platform: Platform, tmp_path: Path, moment: str
) -> None:
    """A caller is killed after it asked; its next life asks again and gets the first answer, which was given once."""
    bob = host.make("binary")
    runs: list[int] = []
    began, release = asyncio.Event(), asyncio.Event()

    @bob.capability("slow")
    async def slow(_: dict[str, Any]) -> int:
        runs.append(1)
        began.set()
        await release.wait()
        return len(runs)

    told = asyncio.Event()
    await host.open(bob)
    spec = Spec(
        folder=str(tmp_path),
        label="alice",
        url=platform.endpoints().nats,
        callee=bob.did,
        capability="slow",
        id="once",
        timeout=60,
    )
    bob.on_receipt(lambda _: told.set())
    async with caller(spec) as first:
        assert "asked" == await first.next()
        await within(began)
        if moment == "before it was answered":
            lines = await first.kill()
            release.set()
            await until(told.is_set, told)
        else:
            release.set()
            lines = [await first.next()]
            await first.kill()
    async with caller(spec) as second:
        lines += await second.rest()
    async with caller(spec) as third:
        lines += await third.rest()
    answers = {line for line in lines if line.startswith("answer")}

    assert [1] == runs
    assert 1 == len(answers), lines
