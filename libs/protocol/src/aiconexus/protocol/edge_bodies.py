"""What an edge tells identity of the agents that are connected to it."""

from typing import Annotated, ClassVar

from msgspec import Meta

from aiconexus.protocol.bodies import Body, Did, Text


class Attach(Body, frozen=True):
    """From an edge: this agent proved its key to me; ``register`` is its own sealed REGISTER."""

    TYPE: ClassVar[str] = "ATTACH"
    session: Annotated[str, Meta(max_length=128)]
    edge: Annotated[str, Meta(max_length=64)]
    register: bytes


class Attached(Body, frozen=True):
    """The answer to ATTACH: what the edge hands to the agent unchanged, a sealed REGISTERED or ERROR."""

    TYPE: ClassVar[str] = "ATTACHED"
    answer: bytes


class Detach(Body, frozen=True):
    """From an edge: this session is over."""

    TYPE: ClassVar[str] = "DETACH"
    did: Did
    session: Annotated[str, Meta(max_length=128)]
    edge: Annotated[str, Meta(max_length=64)]
    reason: Text | None = None


class Detached(Body, frozen=True):
    """The answer to DETACH."""

    TYPE: ClassVar[str] = "DETACHED"
    did: Did
