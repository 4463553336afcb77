"""Callbacks of the application."""

import asyncio
from typing import Any

from aiconexus.sdk.delivery import AgentState
from aiconexus.sdk.notices import Notices


async def test_callbacks_hear_in_order() -> None:
    """Each callback hears every state, in order, whether it is a coroutine function or not."""
    notices = Notices()
    plain: list[AgentState] = []
    patient: list[AgentState] = []
    notices.on_state(plain.append)

    @notices.on_state
    async def hear(state: AgentState) -> None:
        patient.append(state)

    notices.state(AgentState.CONNECTING)
    notices.state(AgentState.ONLINE)
    await asyncio.sleep(0)
    await notices.flush()

    assert [AgentState.CONNECTING, AgentState.ONLINE] == plain == patient


async def test_failing_callback_is_reported_and_harms_nobody() -> None:
    """A callback that raises goes to the loop's exception handler; the others hear nevertheless."""
    notices = Notices()
    reported: list[dict[str, Any]] = []
    heard: list[Exception] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    @notices.on_error
    def fail(_: Exception) -> None:
        raise KeyError("callback")

    notices.on_error(heard.append)
    error = ValueError("x")
    notices.error(error)
    await asyncio.sleep(0)

    assert heard == [error]
    assert isinstance(reported[0]["exception"], KeyError)
