import asyncio
from pathlib import Path

from aiconexus.bus.testing import new_key
from aiconexus.protocol import subjects
from aiconexus.runtime.testing import counted

from .world import PATIENCE_SECONDS, Agent, World

VIOLATIONS = "aiconexus_identity_bus_violations_total"


def log_of(world: World) -> str:
    """Where the server of the test logs."""
    return str(world.server.store_dir.parent / "nats.log")


async def until_counted(count: float, kind: str) -> None:
    """Wait for the log to be read."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while counted(VIOLATIONS, kind=kind, account="AGENTS") < count:
            await asyncio.sleep(0.01)


async def test_what_the_server_refuses_is_counted_once(world: World) -> None:
    """Of two replicas on a machine one counts what the server refused to an agent, and names the agent."""
    published = counted(VIOLATIONS, kind="publish", account="AGENTS")
    heard = counted(VIOLATIONS, kind="subscription", account="AGENTS")
    async with world.identity("i1", bus_log_file=log_of(world)), world.identity("i2", bus_log_file=log_of(world)):
        agent = await Agent(world, new_key()).connect()
        await agent.session.publish("foreign", b"")
        await agent.session.subscribe(subjects.all_inboxes(), agent.live.take)
        await until_counted(heard + 1, "subscription")
    told = world.lines.of("identity.agent_violated")

    assert published + 1 == counted(VIOLATIONS, kind="publish", account="AGENTS")
    assert [(agent.key.did, "publish"), (agent.key.did, "subscription")] == [
        (line["agent"], str(line["kind"])) for line in told
    ]


async def test_another_replica_takes_over(world: World) -> None:
    """When the replica that reads the log ends, what is refused from then on is counted by another."""
    count = counted(VIOLATIONS, kind="publish", account="AGENTS")
    async with world.identity("i1", bus_log_file=log_of(world)):
        agent = await Agent(world, new_key()).connect()
        await agent.session.publish("foreign", b"")
        await until_counted(count + 1, "publish")
    async with world.identity("i2", bus_log_file=log_of(world)):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not counted("aiconexus_identity_bus_log_followed"):
                await asyncio.sleep(0.01)
        agent = await Agent(world, new_key()).connect()
        await agent.session.publish("foreign", b"")
        await until_counted(count + 2, "publish")


async def test_log_that_cannot_be_read_is_told_once(world: World, tmp_path: Path) -> None:
    """Identity works without the log, and says that it misses it."""
    async with world.identity(bus_log_file=str(tmp_path / "nowhere" / "nats.log")):
        agent = await Agent(world, new_key()).connect()
        await agent.register()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not world.lines.of("identity.bus_log_unreadable"):
                await asyncio.sleep(0.01)

    assert 0 == counted("aiconexus_identity_bus_log_followed")
