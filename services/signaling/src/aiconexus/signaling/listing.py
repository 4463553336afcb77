"""Answer LIST_SERVERS: the servers that work, the fastest first, and a login of the asker's own for those of TURN."""

from collections.abc import Callable, Sequence

from prometheus_client import Counter

from aiconexus.protocol.limits import ICE_SERVERS_MAX
from aiconexus.protocol.signal_bodies import IceServer, IceServers, ListServers
from aiconexus.runtime.desk import Request
from aiconexus.signaling.addresses import Address
from aiconexus.signaling.credentials import Login, login_of, user_of
from aiconexus.signaling.gate import Gate
from aiconexus.signaling.watch import Standing, Watch

ISSUED = Counter("aiconexus_signaling_credentials_issued", "Logins for TURN that were written for agents.")


class Listing:
    """
    The verb ``list_servers``.

    Args:
        watch: Knows which servers work.
        secrets: Of the TURN servers, as the watch has them.
        gate: Who may ask, and how often.
        login_seconds: How long a login is good for.
        now_ms: A clock in milliseconds since the epoch.

    """

    def __init__(
        self, watch: Watch, secrets: Sequence[str], gate: Gate, *, login_seconds: int, now_ms: Callable[[], int]
    ) -> None:
        self._watch = watch
        self._secrets = secrets
        self._gate = gate
        self._login_seconds = login_seconds
        self._now_ms = now_ms

    async def list_servers(self, request: Request[ListServers]) -> IceServers:
        """Name them; none if none works."""
        await self._gate.admit(request)
        found = self._watch.up()
        chosen = [item for item in found if item[0].is_turn or not request.body.relay_only][:ICE_SERVERS_MAX]
        ends = self._now_ms() // 1000 + self._login_seconds
        user = user_of(request.sender)
        logins = [login_of(secret, user, ends) for secret in self._secrets]
        if any(address.is_turn for address, _ in chosen):
            ISSUED.inc()
        return IceServers(servers=tuple(_told(item, logins) for item in chosen), expires_ms=ends * 1000)


def _told(item: tuple[Address, Standing], logins: Sequence[Login]) -> IceServer:
    address, standing = item
    latency_ms = None if standing.seconds is None else round(standing.seconds * 1000, 3)
    if not address.is_turn:
        return IceServer(urls=(address.url,), latency_ms=latency_ms)
    login = logins[standing.secret]
    return IceServer(urls=(address.url,), username=login.username, credential=login.credential, latency_ms=latency_ms)
