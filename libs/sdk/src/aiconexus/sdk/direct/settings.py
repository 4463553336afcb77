"""How an agent uses direct connections."""

from collections.abc import Callable
from typing import Literal, get_args

import msgspec

from aiconexus.protocol.errors import SettingsError
from aiconexus.protocol.frames import CHANNEL_ID
from aiconexus.protocol.limits import ICE_SERVERS_MAX
from aiconexus.protocol.signal_bodies import IceServer

IcePolicy = Literal["all", "relay"]
CHANNEL_IDS_MAX = 65_535


class Direct(msgspec.Struct, frozen=True, kw_only=True):
    """
    The settings of the direct path; every mistake is named at once.

    Args:
        enabled: Whether offers are answered; without it they reach the application's own handler of OFFER, and where
            there is none they are declined.
        policy: ``relay`` lets no candidate out that would tell where we are: all goes through TURN.
        accept: Says of each DID whether its offers are answered; None answers all that the platform forwards.
        ice_servers: STUN and TURN servers; None asks signaling, an empty tuple uses none.
        turn_after_seconds: When an attempt without TURN is given up for one with it, on both ends.
        connect_seconds: The longest that one attempt may take from its offer to its first envelope.
        heartbeat_seconds: How often each side asks whether the other is there.
        dead_seconds: How long no answer may come before the relay takes over; four round trips if that is more.
        rotate_seconds: When a connection is replaced by one with fresh keys; 0 never.
        heal_first_seconds: How long a silent connection may come back by itself, and the first pause between attempts.
        heal_max_seconds: The longest pause between attempts.
        seek_direct_seconds: When a connection through TURN first looks for a direct way; the pauses double up to 15
            minutes. 0 never.
        vet_seconds: How long a peer whose key was revoked may stay at most; the registry is asked that often.
        peers_max: Peers at a time.
        channels_max: Channels of one peer.
        message_max_bytes: The longest message of a channel.
        incomplete_max_bytes: What a peer may have us keep of messages whose rest does not come; with more the
            connection ends. An honest one needs a fraction of the default.
        unsent_max_bytes: What may wait in the system channel for a peer that does not take it; with more the
            connection ends. Mail leaves about 1 MiB there, a mesh 4 MiB.
        report: Whether signaling is told of incidents.

    Raises:
        SettingsError: If anything is out of range.

    """

    enabled: bool = True
    policy: IcePolicy = "all"
    accept: Callable[[str], bool] | None = None
    ice_servers: tuple[IceServer, ...] | None = None
    turn_after_seconds: float = 5.0
    connect_seconds: float = 15.0
    heartbeat_seconds: float = 1.0
    dead_seconds: float = 3.0
    rotate_seconds: float = 86_400.0
    heal_first_seconds: float = 3.0
    heal_max_seconds: float = 60.0
    seek_direct_seconds: float = 30.0
    vet_seconds: float = 4.0
    peers_max: int = 256
    channels_max: int = 64
    message_max_bytes: int = 64 * 1024 * 1024
    incomplete_max_bytes: int = 16 * 1024 * 1024
    unsent_max_bytes: int = 8 * 1024 * 1024
    report: bool = True

    def __post_init__(self) -> None:
        mistakes = tuple(self._mistakes())
        if mistakes:
            raise SettingsError(mistakes)

    def _mistakes(self) -> "list[str]":
        positive = (
            "turn_after_seconds",
            "connect_seconds",
            "heartbeat_seconds",
            "dead_seconds",
            "heal_first_seconds",
            "vet_seconds",
            "peers_max",
            "channels_max",
            "message_max_bytes",
            "incomplete_max_bytes",
            "unsent_max_bytes",
        )
        mistakes = [f"{name} is not above 0" for name in positive if not getattr(self, name) > 0]
        if self.policy not in get_args(IcePolicy):
            mistakes.append(f"policy is {self.policy!r}, neither 'all' nor 'relay'")
        at_least_0 = ("rotate_seconds", "seek_direct_seconds")
        mistakes += [f"{name} is below 0" for name in at_least_0 if not getattr(self, name) >= 0]
        if self.dead_seconds < self.heartbeat_seconds:
            mistakes.append("dead_seconds is less than heartbeat_seconds")
        if self.heal_max_seconds < self.heal_first_seconds:
            mistakes.append("heal_max_seconds is less than heal_first_seconds")
        if self.channels_max > CHANNEL_IDS_MAX - CHANNEL_ID:
            mistakes.append(f"channels_max is above {CHANNEL_IDS_MAX - CHANNEL_ID}")
        if len(self.ice_servers or ()) > ICE_SERVERS_MAX:
            mistakes.append(f"more than {ICE_SERVERS_MAX} ice_servers")
        return mistakes
