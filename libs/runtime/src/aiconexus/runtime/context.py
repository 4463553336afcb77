"""What a service is given when it starts."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from aiconexus.bus.session import Session
from aiconexus.protocol.keys import SigningKey
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.health import Health
from aiconexus.runtime.logs import Log
from aiconexus.runtime.ports import Ports
from aiconexus.runtime.settings import ServiceSettings
from aiconexus.runtime.voice import Voice

S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[S]):
    """
    Everything around a service: ``Context[RelaySettings]``.

    ``session`` is connected when the service starts and heals itself afterwards. ``instance`` names this replica.
    A service that serves HTTP tells its port to ``ports``: ``context.ports.announce("http", port)``.
    """

    service: str
    instance: str
    settings: S
    key: SigningKey
    voice: Voice
    directory: Directory
    session: Session
    health: Health
    ports: Ports
    log: Log
