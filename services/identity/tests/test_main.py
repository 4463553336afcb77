import asyncio
import json
import signal
import sys
from pathlib import Path

from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.bus.testing import new_key

from .world import PATIENCE_SECONDS, Agent, World


def environment(world: World, home: Path) -> dict[str, str]:
    """What an operator would set."""
    seeds = {
        "SEED": seed_text(Kind.USER, world.keys["identity"].seed),
        "AUTH_SEED": seed_text(Kind.USER, world.keys["auth"].seed),
        "SYSTEM_SEED": seed_text(Kind.USER, world.keys["system"].seed),
        "ISSUER_SEED": seed_text(Kind.ACCOUNT, world.keys["issuer"].seed),
        "XKEY_SEED": seed_text(Kind.CURVE, world.curve_seed),
    }
    directory = home / "directory.json"
    directory.write_text(json.dumps({"services": world.directory.services}))
    found = {
        "AICONEXUS_IDENTITY_NATS_URLS": world.server.url,
        "AICONEXUS_IDENTITY_DIRECTORY_FILE": str(directory),
        "AICONEXUS_IDENTITY_METRICS_PORT": "0",
    }
    for name, text in seeds.items():
        path = home / name
        path.touch(mode=0o600)
        path.write_text(text)
        found[f"AICONEXUS_IDENTITY_{name}_FILE"] = str(path)
    return found


async def test_the_command_serves_until_it_is_told_to_stop(world: World, tmp_path: Path) -> None:
    """Started from its environment the process lets an agent in and registers it; on SIGTERM it ends in order."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "aiconexus.identity",
        env=environment(world, tmp_path),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(PATIENCE_SECONDS * 4):
        while not any("identity.service_started" in line for line in lines):
            lines.append((await process.stdout.readline()).decode())
        agent = await Agent(world, new_key()).connect()
        registered = await agent.register()
        process.send_signal(signal.SIGTERM)
        rest = (await process.stdout.read()).decode()
        await process.wait()

    assert registered.session
    assert 0 == process.returncode
    assert "identity.process_stopped" in rest
    assert not any('"level":"error"' in line for line in [*lines, rest])
