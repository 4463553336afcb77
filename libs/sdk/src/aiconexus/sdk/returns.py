"""Leave to the retry service what a handler failed at."""

import re

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.errors import AiconexusError, MalformedEnvelope, RemoteProblem
from aiconexus.protocol.job_bodies import Return, Scheduled
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.problems import problem_of
from aiconexus.protocol.seal import wrap
from aiconexus.sdk.delivery import Delivery
from aiconexus.sdk.link import Link
from aiconexus.sdk.plans import retry_service
from aiconexus.sdk.retrying import is_retryable, retrying
from aiconexus.sdk.runs import HANDLER_FAILED

MESSAGE_CHARACTERS = 256
_NAME = re.compile(r"[a-z0-9_.-]{1,64}")


class Returns:
    """
    The way back of what failed.

    Args:
        link: The way to the retry service.

    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def give_back(
        self, delivery: Delivery, sequence: int, failure: Exception | None, policy: RetryPolicy | None
    ) -> Scheduled:
        """
        Have an envelope come again later.

        Args:
            delivery: The envelope.
            sequence: Its place in the mailbox, which names the attempt.
            failure: What the handler raised; None if a crash has swallowed that.
            policy: When it comes again, if its sender has not said so.

        Raises:
            AiconexusError: If the retry service does not take it; there may be none.

        """
        if delivery.sealed is None:
            raise MalformedEnvelope("it did not come through the mailbox")
        problem, retryable = named(failure)
        question = Return(
            envelope=wrap(delivery.sealed),
            sequence=sequence,
            problem=problem,
            message=None if failure is None else f"{type(failure).__name__}: {failure}"[:MESSAGE_CHARACTERS],
            retryable=retryable,
            policy=policy,
        )
        async for attempt in retrying(is_retryable, stop=lambda: now_ms() >= delivery.envelope.ends_ms):
            with attempt:
                await self._link.online.wait()
                return await self._link.services.ask(retry_service(self._link), question, Scheduled)
        raise AssertionError


def named(failure: Exception | None) -> tuple[str, bool]:
    """What a failure is called, and whether another attempt may succeed: an error of ours says so itself."""
    if isinstance(failure, RemoteProblem) and _NAME.fullmatch(failure.error.problem):
        return failure.error.problem, failure.retryable
    if isinstance(failure, AiconexusError) and not isinstance(failure, RemoteProblem):
        problem = problem_of(failure)
        return problem.name, problem.retryable
    return HANDLER_FAILED, True
