"""Who may ask signaling something, and how often."""

from collections.abc import Callable
from typing import Any

from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.records import RegistryRecord
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.desk import Request
from aiconexus.runtime.parties import check_sender
from aiconexus.runtime.roster import Roster

IGNORED_RETRY_MS = 60_000
"""A desk answers everybody; who goes on after being refused is told to stay away for longer."""


class Gate:
    """
    The gate before one verb.

    Args:
        registry: Who is registered.
        budgets: How often each agent may ask.
        monotonic: A clock in seconds.

    """

    def __init__(self, registry: Roster[RegistryRecord], budgets: Budgets, monotonic: Callable[[], float]) -> None:
        self._registry = registry
        self._budgets = budgets
        self._monotonic = monotonic

    async def admit(self, request: Request[Any]) -> None:
        """
        Let a request pass.

        Raises:
            RateLimited: If its sender asks too often.
            UnknownAgent: If its sender never registered.
            KeyRevoked: If its sender's key is void.
            BusError: If the registry cannot be read.

        """
        wait_ms = self._budgets.take(request.token, self._monotonic())
        if wait_ms != 0:
            raise RateLimited(IGNORED_RETRY_MS if wait_ms is None else wait_ms)
        check_sender(request.sender, await self._registry.look_up(request.token))
