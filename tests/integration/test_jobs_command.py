"""The operator's list of jobs, against a running platform."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sdk_agents import host_of

from aiconexus.cli.platform import Platform
from aiconexus.sdk import RetryPolicy

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROGRAM = (sys.executable, "-c", "import sys; from aiconexus.cli.main import app; sys.exit(app())")


async def jobs(platform: Platform, *words: str) -> str:
    """What the command says."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        "jobs",
        *words,
        "--home",
        str(platform.home.path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert 0 == process.returncode, output.decode()
    return output.decode()


async def test_operator_lists_jobs(platform: Platform, tmp_path: Path) -> None:
    """Jobs of others are there, with state and reason, for people and for programs; filters apply."""
    none = await jobs(platform)
    async with host_of(platform, tmp_path) as host:
        alice, bob = await host.open(host.make()), host.make()
        patient = RetryPolicy(initial_delay_seconds=60, max_delay_seconds=60, retryable=("unknown_agent",))
        sent = await alice.send(bob.did, "wait", retry=patient)
        waiting: list[dict[str, Any]] = []
        async with asyncio.timeout(20):
            while not any(card.get("problem") for card in waiting):
                waiting = json.loads(await jobs(platform, "--json", "--state", "waiting"))
        told = await jobs(platform, "--sender", alice.did)
        other = await jobs(platform, "--state", "dead")

    assert ["no jobs\n", "no jobs\n"] == [none, other]
    assert [sent.id] == [card["job"].partition(".")[2] for card in waiting]
    assert "unknown_agent" in told
    assert bob.did in told
