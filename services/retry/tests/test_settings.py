"""What an operator may set."""

import pytest

from aiconexus.protocol.errors import SettingsError
from aiconexus.protocol.job_bodies import JobState
from aiconexus.retry.settings import RetrySettings
from aiconexus.runtime.settings import load

from .world import Agent, World


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e400", "soon"])
@pytest.mark.parametrize("name", ["LOOK_SECONDS", "FINISHED_KEPT_SECONDS", "DEAD_LETTERS_KEPT_SECONDS"])
def test_times_that_are_none_are_mistakes(name: str, value: str) -> None:
    """A time that nobody can wait for is named at the start."""
    with pytest.raises(SettingsError, match=f"AICONEXUS_RETRY_{name}.*does not fit"):
        load(RetrySettings, "retry", {f"AICONEXUS_RETRY_{name}": value})


async def test_dead_letters_may_be_kept_for_a_moment(world: World, alice: Agent, bob: Agent) -> None:
    """However short dead letters are kept, the service starts and works."""
    async with world.relay(), world.retry(dead_letters_kept_seconds=1.0):
        job = (await alice.schedule(alice.letter(bob))).job
        ((sequence, _),) = await bob.mail()
        await bob.ack(sequence)
        await alice.reach(job, JobState.DONE)
