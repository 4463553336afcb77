"""Put identity together: the only place that knows every part of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.claims import CurveKey
from aiconexus.bus.session import Session
from aiconexus.identity.announcements import Announcer
from aiconexus.identity.attendance import Attendance
from aiconexus.identity.background import Background
from aiconexus.identity.callout import Callout, Issuer
from aiconexus.identity.connections import connect
from aiconexus.identity.departures import Departures
from aiconexus.identity.evictions import Evictions
from aiconexus.identity.handlers import Arrivals, Enquiries
from aiconexus.identity.leases import Leases
from aiconexus.identity.presence import PresenceStore
from aiconexus.identity.reception import Reception
from aiconexus.identity.registry import Registry
from aiconexus.identity.roster import Roster
from aiconexus.identity.servers import Servers
from aiconexus.identity.settings import IdentitySettings
from aiconexus.identity.sweeps import Sweeper
from aiconexus.identity.witness import Witness
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.records import PRESENCE, REGISTRY
from aiconexus.runtime.context import Context
from aiconexus.runtime.desk import Desk

RENEWALS_PER_TIMEOUT = 2
"""A sign of life is written down this often within the agents' time-out."""


class Identity:
    """
    The parts of one replica, not yet at work.

    Args:
        context: Of the service.
        system: The session in the system account.
        hurry: Has the sweeper sweep at once.
        registry_bucket: REGISTRY.
        presence_bucket: PRESENCE.

    """

    def __init__(
        self,
        context: Context[IdentitySettings],
        system: Session,
        hurry: asyncio.Event,
        registry_bucket: Bucket,
        presence_bucket: Bucket,
    ) -> None:
        settings, log = context.settings, context.log
        self._buckets = (registry_bucket, presence_bucket)
        self.roster = roster = Roster()
        self.background = background = Background(log)
        servers = Servers(system)
        announcer = Announcer(context.session, context.voice)
        renewal_ms = settings.agent_timeout_seconds * 1000 / RENEWALS_PER_TIMEOUT
        presences = PresenceStore(presence_bucket, roster, announcer, renewal_ms)
        registry = Registry(registry_bucket, roster, settings.registry_max_agents)
        self.departures = departures = Departures(presences, log)
        evictions = Evictions(context.session, announcer, presences, servers, background)
        self.attendance = attendance = Attendance(roster, departures, servers, evictions, background)
        self.leases = Leases(context.session, attendance.on_lease)
        self.sweeper = Sweeper(
            roster,
            servers,
            departures,
            self.leases,
            hurry,
            interval_seconds=settings.cleanup_seconds,
            timeout_seconds=settings.agent_timeout_seconds,
            log=log,
        )
        reception = Reception(settings, roster, registry, presences, evictions)
        self.desk = Desk(context)
        Arrivals(context, reception, presences, attendance).put_on(self.desk)
        Enquiries(context, roster, registry, evictions).put_on(self.desk)

    async def follow(self, stack: AsyncExitStack) -> None:
        """Read both buckets, and follow them."""
        for bucket, on_change in zip(
            self._buckets, (self.attendance.on_record, self.attendance.on_presence), strict=True
        ):
            watch = await bucket.watch(on_change)
            stack.push_async_callback(watch.stop)


@asynccontextmanager
async def start(context: Context[IdentitySettings]) -> AsyncIterator[None]:
    """
    Be identity.

    The order matters: listen to the servers before reading what is recorded, and be current before anybody logs in.
    """
    settings = context.settings
    async with AsyncExitStack() as stack:
        hurry = asyncio.Event()
        system = await connect(context, "system", settings.system_seed, on_up=hurry.set)
        stack.push_async_callback(system.close)
        auth = await connect(context, "callout", settings.auth_seed)
        registry = await Bucket.ensure(context.session, REGISTRY, replicas=settings.bucket_replicas)
        presence = await Bucket.ensure(context.session, PRESENCE, replicas=settings.bucket_replicas)
        identity = Identity(context, system, hurry, registry, presence)
        await identity.attendance.open(system)
        await identity.follow(stack)
        for part in (identity.departures, identity.leases, identity.sweeper):
            part.open()
            stack.push_async_callback(part.close)
        stack.push_async_callback(identity.background.close)
        await stack.enter_async_context(identity.desk)
        issuer = Issuer(SigningKey(settings.issuer_seed), settings.agent_jwt_seconds)
        callout = Callout(auth, CurveKey(settings.xkey_seed), issuer, identity.roster, context.log)
        stack.push_async_callback(auth.drain)
        await callout.open()
        if settings.bus_log_file is not None:
            witness = Witness(Path(settings.bus_log_file), context.log)
            witness.open()
            stack.push_async_callback(witness.close)
        context.log.info("identity.registry_read", agents=identity.roster.size)
        yield
