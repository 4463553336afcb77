"""What the retry service is told of an envelope that it shall deliver."""

import msgspec

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.errors import Refused
from aiconexus.protocol.job_bodies import Schedule
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import Codec
from aiconexus.sdk.link import Link
from aiconexus.sdk.voice import Voice


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """When an envelope is tried, and how often."""

    policy: RetryPolicy
    not_before_ms: int = 0

    @property
    def encoded(self) -> bytes:
        """As the journal keeps it."""
        return msgspec.msgpack.encode(self)


def plan_in(data: bytes) -> Plan:
    """Read what ``encoded`` wrote."""
    return msgspec.msgpack.decode(data, type=Plan)


def check_room(plan: Plan, sealed: bytes, voice: Voice, codec: Codec) -> None:
    """
    Whether an envelope fits into the SCHEDULE that carries it.

    Raises:
        EnvelopeTooLarge: If it does not.

    """
    question = Schedule(envelope=sealed, policy=plan.policy, not_before_ms=plan.not_before_ms)
    voice.say(question, voice.did, codec, id_=new_id(), now_ms=now_ms())


def retry_service(link: Link) -> str:
    """
    The name of the retry service.

    Raises:
        Refused: If this platform has none.

    """
    if "retry" not in link.services.dids:
        raise Refused("this platform has no retry service")
    return "retry"
