"""A peer, as an application sees it: the lasting relation with one agent."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.direct_errors import InvalidChannel
from aiconexus.protocol.errors import AiconexusError
from aiconexus.sdk.direct import signed
from aiconexus.sdk.direct.bandwidth import BandwidthMode
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import DataChannelConfig
from aiconexus.sdk.direct.hooks import Hooks
from aiconexus.sdk.direct.quality import Quality
from aiconexus.sdk.direct.signed import SignedChannel
from aiconexus.sdk.direct.states import ConnectionState, IceState
from aiconexus.sdk.direct.statistics import Statistics, statistics_of

if TYPE_CHECKING:
    from aiconexus.sdk.direct.relation import Relation

Callback = TypeVar("Callback", bound=Callable[..., Any])


class Peer:
    """
    One agent that we are, or will be, directly connected with, over as many connections as it takes.

    Args:
        relation: What keeps it connected.
        hooks: The application's callbacks.

    """

    def __init__(self, relation: "Relation", hooks: Hooks) -> None:
        self._relation = relation
        self._hooks = hooks

    @property
    def did(self) -> str:
        """Its name."""
        return self._relation.did

    @property
    def session(self) -> str | None:
        """The name of the present session."""
        return self._relation.session

    @property
    def role(self) -> str | None:
        """Our role in the present session: ``offerer`` or ``answerer``."""
        return self._relation.role

    @property
    def state(self) -> ConnectionState:
        """Where it stands."""
        return self._relation.state

    @property
    def ice_state(self) -> IceState:
        """Where its ICE stands; before the first connection, that of the negotiation."""
        return self._relation.ice_state

    @property
    def road(self) -> str:
        """Which way mail goes now: ``direct``, ``turn``, or ``relay`` while neither works."""
        return self._relation.road

    @property
    def rtt_seconds(self) -> float | None:
        """The smoothed round trip of heartbeats."""
        return self._relation.rtt_seconds

    def on_state(self, callback: Callback) -> Callback:
        """Have a callback told of every change of ``state``."""
        return self._hooks.add("state", callback)

    def on_ice_state(self, callback: Callback) -> Callback:
        """Have a callback told of every change of ``ice_state``."""
        return self._hooks.add("ice_state", callback)

    def on_road(self, callback: Callback) -> Callback:
        """Have a callback told of every change of ``road``."""
        return self._hooks.add("road", callback)

    def on_channel(self, callback: Callback) -> Callback:
        """Have a callback told of channels that the other side opens."""
        return self._hooks.add("channel", callback)

    @property
    def channels(self) -> dict[str, Channel]:
        """The channels that are open, by label."""
        return self._relation.channels.open

    @property
    def bandwidth(self) -> BandwidthMode:
        """How well the link keeps up with what is sent."""
        return self._relation.channels.mode

    async def open_channel(self, label: str, config: DataChannelConfig | None = None) -> Channel:
        """
        Open a channel, if the other side agrees.

        Raises:
            InvalidChannel: If the label cannot be one, or the other side cannot have such a channel.
            ChannelExists: If there is one with the label or the id.
            ChannelClosed: If the other side did not answer in time, or the peer was closed.
            Refused: If there are as many as there may be.

        """
        return await self._relation.channels.open_channel(label, config)

    @property
    def quality(self) -> Quality:
        """How good the connection is, from samples taken every two seconds."""
        return self._relation.monitor.quality

    def on_quality(self, callback: Callback) -> Callback:
        """Have a callback told of every change of ``quality.rating``."""
        return self._hooks.add("quality", callback)

    async def statistics(self) -> Statistics:
        """All that there is to tell of it at this moment."""
        channels = tuple(statistics_of(channel) for channel in self.channels.values())
        return Statistics(
            at_ms=now_ms(),
            did=self.did,
            session=self.session,
            role=self.role,
            state=self.state,
            ice_state=self.ice_state,
            road=self.road,
            rtt_seconds=self.rtt_seconds,
            jitter_seconds=self.quality.jitter_seconds,
            transport=self._relation.monitor.transport,
            channels=channels,
            buffered_amount=sum(channel.buffered_amount for channel in channels),
        )

    def channel(self, label: str) -> Channel | None:
        """The open channel of a label."""
        return self.channels.get(label)

    async def open_signed_channel(self, label: str) -> SignedChannel:
        """
        Open a channel of signed messages; raises as ``open_channel``.

        The other side gets it as a channel of the protocol ``aiconexus.signed.v1``, and reads it through ``signed``.
        """
        return self.signed(await self.open_channel(label, DataChannelConfig(protocol=signed.PROTOCOL)))

    def signed(self, channel: Channel) -> SignedChannel:
        """Read and write signed messages through a channel of that protocol; nothing else counts there."""
        if channel.config.protocol != signed.PROTOCOL:
            raise InvalidChannel((f"the channel {channel.label} does not speak {signed.PROTOCOL}",))

        def note(error: AiconexusError) -> None:
            self._relation.note_incident("signature_invalid", str(error))

        return SignedChannel(channel, self._relation.local.voice, self.did, note)

    async def wait_connected(self) -> None:
        """
        Wait until it is connected.

        Raises:
            AiconexusError: If what is under way has failed.

        """
        await self._relation.wait_connected()

    async def replace(self, reason: str = "replace") -> None:
        """
        Bring a new connection about, with fresh keys, and let it take the place of the present one.

        Raises:
            AiconexusError: If none comes about; the present one stays.

        """
        await self._relation.replace(reason)

    async def close(self, reason: str = "close") -> None:
        """Leave the other side, for good, and tell it."""
        await self._relation.close(reason)

    def __repr__(self) -> str:
        return f"Peer({self.did}, {self.state}, {self.road})"
