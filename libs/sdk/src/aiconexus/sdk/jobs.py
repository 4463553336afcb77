"""What the retry service has to do for an agent, and what it gave up: to be listed, shown, sent again and dropped."""

from collections.abc import AsyncIterator

from msgspec.structs import replace

from aiconexus.protocol.job_bodies import (
    DeadLetters,
    Drop,
    Dropped,
    JobCard,
    JobList,
    Jobs,
    JobShown,
    JobState,
    Requeue,
    Scheduled,
    ShowJob,
    Withdraw,
    Withdrawn,
)
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.sdk.services import Services

SERVICE = "retry"


class RetryJobs:
    """
    The jobs that an agent sent or is to receive; an operator's are all.

    Every question raises a RemoteProblem if the service refuses, and a BusError if it does not answer.

    Args:
        services: The way to the retry service.

    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def list(
        self, *, state: JobState | None = None, sender: str | None = None, recipient: str | None = None
    ) -> AsyncIterator[JobCard]:
        """
        All jobs that fit the filters; pages are fetched as they are needed.

        Args:
            state: In which they are.
            sender: A DID. An agent that names neither end gets those that it sent, an operator all.
            recipient: Likewise.

        """
        return self._pages(Jobs(state=state, sender=sender, recipient=recipient))

    def dead_letters(self, *, sender: str | None = None, recipient: str | None = None) -> AsyncIterator[JobCard]:
        """Likewise what was given up."""
        return self._pages(DeadLetters(sender=sender, recipient=recipient))

    async def _pages(self, question: Jobs | DeadLetters) -> AsyncIterator[JobCard]:
        while True:
            page = await self._services.ask(SERVICE, question, JobList)
            for card in page.jobs:
                yield card
            if page.cursor is None:
                return
            question = replace(question, cursor=page.cursor)

    async def show(self, job: str) -> JobShown:
        """All about one job, with its history and its envelope."""
        return await self._services.ask(SERVICE, ShowJob(job=job), JobShown)

    async def withdraw(self, job: str) -> JobState:
        """
        Have a job forgotten.

        Returns:
            ``withdrawn``, or how it had ended before.

        """
        return (await self._services.ask(SERVICE, Withdraw(job=job), Withdrawn)).state

    async def requeue(self, job: str, policy: RetryPolicy | None = None) -> Scheduled:
        """Send a dead letter again, under its old policy or a new one."""
        return await self._services.ask(SERVICE, Requeue(job=job, policy=policy), Scheduled)

    async def drop(self, job: str) -> None:
        """Have a dead letter forgotten."""
        await self._services.ask(SERVICE, Drop(job=job), Dropped)
