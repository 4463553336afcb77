"""
Callers as processes of their own, so that they can be killed while they wait or read.

Run as ``python -m tests.integration.callers SPEC``, with the spec as JSON; what happens goes out on standard output,
one line each: ``asked``, ``part JSON``, ``answer HEX`` (the sealed bytes), ``problem NAME``.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.integration.lives import Life

from aiconexus.protocol.bodies import ExecRequest
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.seal import wrap
from aiconexus.sdk import Agent

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0


class Spec(Life, frozen=True, kw_only=True):
    """Who asks whom for what."""

    callee: str
    capability: str
    id: str
    args: dict[str, Any] = msgspec.field(default_factory=dict)
    stream: bool = False
    timeout: float = 15.0


async def main(spec: Spec) -> None:
    """Ask, and tell what comes."""
    agent = Agent(spec.identity, spec.url)
    async with agent:
        say("asked")
        try:
            if spec.stream:
                terms: dict[str, Any] = {"capability": spec.capability, "args": spec.args, "timeout": spec.timeout}
                async for part in agent.stream(spec.callee, id_=spec.id, **terms):
                    say(f"part {msgspec.json.encode(part).decode()}")
            else:
                question = ExecRequest(capability=spec.capability, args=spec.args)
                answer = await agent.request(spec.callee, question, timeout=spec.timeout, id_=spec.id)
                assert answer.sealed is not None
                say(f"answer {wrap(answer.sealed).hex()}")
        except RemoteProblem as error:
            say(f"problem {error.error.problem}")


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Caller:
    """
    Such a process, seen from the test.

    Args:
        process: Running.

    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> str:
        """The next line; empty at the end."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self._process.stdout.readline()).decode().rstrip("\n")

    async def rest(self) -> list[str]:
        """All lines up to the end."""
        lines = []
        while line := await self.next():
            lines.append(line)
        return lines

    async def kill(self) -> list[str]:
        """SIGKILL; what it had still said."""
        self._process.kill()
        return await self.rest()


@asynccontextmanager
async def caller(spec: Spec) -> AsyncIterator[Caller]:
    """A caller that is gone after the block, whatever happens."""
    command = (sys.executable, "-m", "tests.integration.callers", msgspec.json.encode(spec).decode())
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        yield Caller(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Spec)))
