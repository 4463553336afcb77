"""The examples run as they stand."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from aiconexus.cli.platform import Platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
READMES = ("README.md", "libs/sdk/README.md")
SECONDS = 60.0


def snippets() -> list[Any]:
    """Every Python program in the READMEs, and how to name it."""
    found = [(name, re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)) for name in READMES]
    return [
        pytest.param(snippet, id=f"{name} {number}")
        for name, programs in found
        for number, snippet in enumerate(programs, 1)
    ]


async def run(example: str | Path, folder: Path, *urls: str) -> str:
    """What an example prints, if it ends well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        EXAMPLES / example,
        *urls,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS):
        output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_echo(platform: Platform, tmp_path: Path) -> None:
    """What was said comes back, signed."""
    output = await run("echo.py", tmp_path, platform.endpoints().nats)

    assert ["hello", "is anybody there?", "good bye"] == re.findall(r"signed: (.*)", output)


async def test_direct(platform: Platform, tmp_path: Path) -> None:
    """Mail takes the direct channel while there is one, and the relay before and after."""
    output = await run("direct.py", tmp_path, platform.endpoints().nats, platform.endpoints().ws)

    assert ["relay", "direct", "relay"] == re.findall(r"it went by (.*)", output)
    assert ["before", "meanwhile", "afterwards"] == re.findall(r"bob read '(.*)'", output)
    assert ["ONE", "TWO", "THREE"] == re.findall(r"came back as (.*)", output)


async def test_metrics(platform: Platform, tmp_path: Path) -> None:
    """Whoever scrapes an agent sees which road its peers take."""
    output = await run("metrics.py", tmp_path, platform.endpoints().nats)

    assert 'webrtc_peers{road="direct"} 2.0' in output
    assert "webrtc_messages_sent_total 1.0" in output


async def test_pair(platform: Platform, tmp_path: Path) -> None:
    """Two agents on different roads count to ten together."""
    output = await run("pair.py", tmp_path, platform.endpoints().nats, platform.endpoints().ws)

    assert [str(number) for number in range(1, 11)] == re.findall(r"got (\d+)", output)
    assert "is processed" in output


async def test_pool(platform: Platform, tmp_path: Path) -> None:
    """The work is spread, and what one worker fails at another one does."""
    output = await run("pool.py", tmp_path, platform.endpoints().nats)

    assert "75 words in 20 texts" in output
    assert "out of order" in output
    assert ["worker-1", "worker-2", "worker-3"] == re.findall(r"(\S+) counted", output)


async def test_auth(platform: Platform, tmp_path: Path) -> None:
    """The friend is let in, the stranger is not."""
    output = await run("auth.py", tmp_path, platform.endpoints().ws)

    assert "without the passphrase: the passphrase does not open it" in output
    assert "the friend: opened for" in output
    assert "the stranger: refused" in output


async def test_stream(platform: Platform, tmp_path: Path) -> None:
    """The parts come in order."""
    output = await run("stream.py", tmp_path, platform.endpoints().ws)

    assert "the kettle sings a signed " in output
    assert "(clearing my throat)" in output


async def test_fanout(platform: Platform, tmp_path: Path) -> None:
    """Everybody gets it, the clumsy one at the second attempt, and who cannot is named."""
    output = await run("fanout.py", tmp_path, platform.endpoints().nats)

    assert ["0", "1", "2", "3"] == sorted(re.findall(r"listener-(\d) read 'tea is ready'", output))
    assert "listener-0 read 'milk, too' at attempt 2" in output
    assert "broadcast: stored for 4, not for 0" in output
    assert "to many: stored for 4, not for 1" in output
    assert "unknown_agent" in output
    assert 1 == output.count("'you, wash up'")


@pytest.mark.parametrize("snippet", snippets())
async def test_readme(platform: Platform, tmp_path: Path, snippet: str) -> None:
    """What the READMEs show runs as it stands."""
    endpoints = platform.endpoints()
    program = snippet.replace("nats://127.0.0.1:4222", endpoints.nats).replace("ws://127.0.0.1:8000/ws", endpoints.ws)
    (tmp_path / "program.py").write_text(program)
    output = await run(tmp_path / "program.py", tmp_path)

    assert program != snippet
    assert output
    assert "Traceback" not in output
