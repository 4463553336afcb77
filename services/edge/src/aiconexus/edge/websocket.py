"""The route /ws: who may open a WebSocket, and its whole life."""

import base64
import os
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.edge import metrics
from aiconexus.edge.audit import Audit
from aiconexus.edge.connection import ABNORMAL, Connection
from aiconexus.edge.dialects import DIALECTS, Dialect
from aiconexus.edge.doorman import Doorman
from aiconexus.edge.limits import Buckets
from aiconexus.edge.platform import Platform
from aiconexus.edge.problems import problem_response
from aiconexus.edge.roster import Roster
from aiconexus.edge.sessions import Farewells
from aiconexus.edge.settings import ANY_ORIGIN, EdgeSettings
from aiconexus.edge.switchboard import Switchboard
from aiconexus.edge.watchers import Watchers
from aiconexus.protocol.closing import Close
from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.errors import AiconexusError, BusUnavailable, MalformedEnvelope, Refused, TooManyConnections
from aiconexus.runtime.logs import Log, Throttle

NONCE_BYTES = 24
ADDRESSES_MAX = 65_536
COUNTED_CODES = frozenset({*Close, ABNORMAL})


def agreed(offered: str, spoken: tuple[str, ...]) -> Dialect:
    """
    The subprotocol of a handshake: the client's first one that we speak.

    Args:
        offered: The header Sec-WebSocket-Protocol.
        spoken: What is switched on here.

    Raises:
        MalformedEnvelope: If there is none.

    """
    for name in offered.split(","):
        if name.strip() in spoken:
            return DIALECTS[name.strip()]
    raise MalformedEnvelope(f"Sec-WebSocket-Protocol must offer one of {', '.join(spoken)}")


def is_allowed_origin(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """
    Whether a page may open a WebSocket; browsers always say where the page came from.

    Args:
        origin: The header Origin; what is no browser sends none.
        host: The header Host: a page that this very host served is allowed.
        allowed: What the operator allows.

    """
    if origin is None or ANY_ORIGIN in allowed or origin in allowed:
        return True
    return bool(host) and urlsplit(origin).netloc == host


class WebSockets:
    """
    Serves agents.

    Args:
        settings: Of the edge.
        instance: Our id.
        log: Of the process.
        platform: Nobody is let in before it is known.
        roster: Of the connections.
        doorman: Lets agents in.
        switchboard: Handles their frames.
        watchers: Must forget who is gone.
        farewells: Must tell who is gone.
        audit: Settles doubts.
        clock: Seconds; only goes forward.

    """

    def __init__(
        self,
        settings: EdgeSettings,
        instance: str,
        log: Log,
        *,
        platform: Platform,
        roster: Roster,
        doorman: Doorman,
        switchboard: Switchboard,
        watchers: Watchers,
        farewells: Farewells,
        audit: Audit,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._instance = instance
        self._log = log
        self._platform = platform
        self._roster = roster
        self._doorman = doorman
        self._switchboard = switchboard
        self._watchers = watchers
        self._farewells = farewells
        self._audit = audit
        self._clock = clock
        self._throttle = Throttle()
        rate = settings.handshakes_per_second
        self._handshakes: Buckets[str] = Buckets(rate, settings.handshakes_burst, ADDRESSES_MAX)
        self._budgets: Buckets[str] = Buckets(
            settings.frames_per_second, settings.frames_burst, settings.max_connections * 4
        )

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Open a WebSocket and stay until it ends, or refuse it over HTTP."""
        try:
            dialect = self._check(request)
            with self._roster.seat():
                return await self._live(request, dialect)
        except TooManyConnections as error:
            return _refusal(error, 503)
        except BusUnavailable as error:
            return _refusal(error, 503)
        except RateLimited as error:
            return _refusal(error, 429)
        except Refused as error:
            return _refusal(error, 403)
        except MalformedEnvelope as error:
            return _refusal(error, 400)

    def _check(self, request: web.Request) -> Dialect:
        dialect = agreed(request.headers.get("Sec-WebSocket-Protocol", ""), self._settings.subprotocols)
        origin = request.headers.get("Origin")
        if not is_allowed_origin(origin, request.headers.get("Host", ""), self._settings.cors_origins):
            raise Refused("this Origin may not use this edge")
        if self._settings.handshakes_per_second:
            wait_seconds = self._handshakes.of(request.remote or "", self._clock()).take(self._clock())
            if wait_seconds:
                raise RateLimited(int(wait_seconds * 1000) + 1)
        if not self._roster.is_open or not self._platform.is_known:
            raise BusUnavailable((), "this edge lets nobody in now")
        return dialect

    async def _live(self, request: web.Request, dialect: Dialect) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            timeout=self._settings.close_seconds,
            autoping=False,
            protocols=(dialect.name,),
            compress=False,
            max_msg_size=self._settings.frame_max_bytes,
            decode_text=False,
        )
        await socket.prepare(request)
        connection = Connection(
            socket,
            request.transport,
            dialect,
            session=f"{self._instance}.{new_id()}",
            nonce=base64.urlsafe_b64encode(os.urandom(NONCE_BYTES)).decode(),
            settings=self._settings,
        )
        with self._roster.listed(connection):
            try:
                await self._talk(connection)
            finally:
                await self._leave(connection)
        return socket

    async def _talk(self, connection: Connection) -> None:
        try:
            async with connection.lasting():
                if await self._doorman.admit(connection):
                    self._enter(connection)
                    while (frame := await connection.read()) is not None:
                        await self._switchboard.handle(connection, frame)
        except ConnectionError:
            connection.ending = connection.ending or (ABNORMAL, "")

    def _enter(self, connection: Connection) -> None:
        metrics.HANDSHAKES.labels("registered").inc()
        connection.bucket = self._budgets.of(connection.did, self._clock())
        self._roster.register(connection)
        if connection.is_doubted:
            self._audit.doubt(connection)
        self._log.debug("edge.agent_connected", did=connection.did, session=connection.session)

    async def _leave(self, connection: Connection) -> None:
        self._watchers.forget(connection)
        if connection.is_attached:
            self._farewells.add(connection)
        if connection.subscription is not None:
            await connection.subscription.unsubscribe()
        await connection.close()
        code, reason = connection.ending or (ABNORMAL, "")
        metrics.CLOSES.labels(_label(code)).inc()
        # Whoever never got in must not fill our disk.
        suppressed = 0 if connection.is_registered else self._throttle.admit(now_ms())
        if suppressed is not None:
            self._log.info(
                "edge.connection_closed",
                did=connection.did or None,
                session=connection.session,
                code=code,
                reason=reason,
                frames=connection.frames_read,
                seconds=round(self._clock() - connection.since, 3),
                suppressed=suppressed,
            )


def _label(code: int) -> str:
    """Agents choose their own codes, a metric's labels are few."""
    return str(code) if code in COUNTED_CODES else "other"


def _refusal(error: AiconexusError, status: int) -> web.Response:
    metrics.HANDSHAKES.labels(f"http_{status}").inc()
    response = problem_response(error, status)
    response.force_close()
    return response
