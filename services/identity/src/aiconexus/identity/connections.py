"""Identity's other logins: in the account of the callout, and in the system account."""

from collections.abc import Callable

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Session
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol import subjects
from aiconexus.protocol.keys import SigningKey
from aiconexus.runtime.context import Context
from aiconexus.runtime.logs import Throttle


async def connect(
    context: Context[IdentitySettings], role: str, seed: bytes, *, on_up: Callable[[], None] | None = None
) -> Session:
    """
    Log in as another user of identity's, and answer for the connection in the health report.

    Args:
        context: Of the service.
        role: What the connection is for: part of its name.
        seed: Of the user.
        on_up: Called whenever the connection is back.

    """
    throttle = Throttle(1)

    def on_error(error: Exception) -> None:
        suppressed = throttle.admit(now_ms())
        if suppressed is not None:
            context.log.warning("identity.connection_failed", role=role, reason=str(error), suppressed=suppressed)

    session = await Session.connect(
        context.settings.nats_urls,
        SigningKey(seed),
        name=f"{context.service}.{context.instance}.{role}",
        inbox_prefix=subjects.service_inbox(context.service),
        on_up=on_up,
        on_error=on_error,
    )

    async def check() -> bool:
        return session.is_connected

    context.health.add_check(role, check)
    return session
