"""The operator's command for what was given up, against a running platform."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.strangers import NativeStranger, native, sealed

from aiconexus.bus.clock import new_id
from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import Fetch, Mail, Message
from aiconexus.protocol.job_bodies import Return, Scheduled

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROGRAM = (sys.executable, "-c", "import sys; from aiconexus.cli.main import app; sys.exit(app())")
PATIENCE_SECONDS = 30


@pytest_asyncio.fixture(loop_scope="module")
async def pair(platform: Platform) -> AsyncIterator[tuple[NativeStranger, NativeStranger]]:
    """A sender, and a recipient that will have nothing of it."""
    url = platform.endpoints().nats
    async with native(url) as alice, native(url) as bob:
        yield alice, bob


async def dead_letters(platform: Platform, *words: str) -> tuple[int, str]:
    """Run the command; its status and what it says."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        "dead-letters",
        *words,
        "--home",
        str(platform.home.path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def listed(platform: Platform) -> list[dict[str, Any]]:
    """All dead letters."""
    status, output = await dead_letters(platform, "list", "--json")
    assert 0 == status, output
    cards: list[dict[str, Any]] = json.loads(output)
    return cards


async def refuse(alice: NativeStranger, bob: NativeStranger) -> str:
    """Have an envelope of Alice given up; its job."""
    letter = sealed(alice.key, Message(content="take \x1b[2J this"), bob.key.did, id_=new_id())
    body = Return(envelope=letter, sequence=1, problem="no_handler", message="not mine", retryable=False)
    answer = (await bob.ask("retry", "return", sealed(bob.key, body, bob.services["retry"]))).body
    assert isinstance(answer, Scheduled), answer
    return answer.job


async def until_listed(platform: Platform, *jobs: str) -> None:
    """Wait until these are the dead letters."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while {card["job"] for card in await listed(platform)} != set(jobs):
            continue


async def test_dead_letter_is_listed_shown_requeued_and_dropped(
    platform: Platform, pair: tuple[NativeStranger, NativeStranger]
) -> None:
    """The operator sees the dead letters of others, reads them without harm, sends one again and drops one."""
    alice, bob = pair
    first, second = await refuse(alice, bob), await refuse(alice, bob)
    await until_listed(platform, first, second)
    shown = (await dead_letters(platform, "show", first))[1]
    again = await dead_letters(platform, "requeue", first)
    dropped = await dead_letters(platform, "drop", "--all")
    left = (await dead_letters(platform, "list"))[1]
    mail = (await bob.ask("relay", "fetch", sealed(bob.key, Fetch(), bob.services["relay"]))).body

    assert (0, "1 sent again\n") == again
    assert (0, "1 dropped\n") == dropped
    assert "no dead letters\n" == left
    assert "no_handler" in shown
    assert "not mine" in shown
    assert "take" in shown
    assert "\x1b" not in shown
    assert isinstance(mail, Mail)
    assert 1 == len(mail.items)


@pytest.mark.parametrize("words", [("show",), ("requeue", "z6Mk.nobody"), ("drop",)], ids=lambda words: words[0])
async def test_what_is_no_job_is_said_in_a_sentence(platform: Platform, words: tuple[str, ...]) -> None:
    """A name that no job can have is wrong use, of which nothing is done."""
    status, output = await dead_letters(platform, *words, "\x1b[2Jz.a b")

    assert 2 == status
    assert "is no job; `aiconexus dead-letters list` names them" in output
    assert "sent again" not in output


async def test_filter_that_is_no_did_is_said_in_a_sentence(platform: Platform) -> None:
    """A list is not asked for somebody who cannot be."""
    status, output = await dead_letters(platform, "list", "--recipient", "*")

    assert 2 == status
    assert "is not an Ed25519 did:key" in output


async def test_what_is_no_dead_letter_is_refused(platform: Platform) -> None:
    """An unknown job is refused with a sentence, and nobody drops everything by accident."""
    unknown = await dead_letters(platform, "requeue", "z6Mk.nobody")
    nothing = await dead_letters(platform, "drop")

    assert 4 == unknown[0]
    assert "unknown_job" in unknown[1]
    assert 2 == nothing[0]
    assert "say --all" in nothing[1]
