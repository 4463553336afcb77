"""
All channels between two agents, and how both sides agree on one before it is opened.

Whoever opens says Agree, with the stream, the kind and a token; the other says Agreed or Disagreed. Streams are chosen
apart: the lower DID takes even ones. Where both open the same label at once, the higher DID's channel is the one; a
negotiated channel that both describe alike is one channel for both.
"""

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aiconexus.protocol.direct_errors import ChannelClosed, ChannelExists, InvalidChannel, MessageTooLarge
from aiconexus.protocol.errors import AiconexusError, Refused
from aiconexus.protocol.frames import Agree, Agreed, Disagreed, Resume, Word
from aiconexus.protocol.problems import problem_of
from aiconexus.sdk.direct import chronicle, metrics
from aiconexus.sdk.direct.agreement import FEATURES, Streams, agree_of, are_same, config_of, error_of, kind_of
from aiconexus.sdk.direct.bandwidth import BandwidthMode, Sender
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import ChannelState, DataChannelConfig, check_label
from aiconexus.sdk.direct.course import Course
from aiconexus.sdk.direct.parts import Budget
from aiconexus.sdk.direct.seam import ChannelHost, Wire

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

OPEN_SECONDS = 15.0
ANNOUNCED_SECONDS = 30.0


class PeerChannels:
    """
    The channels of one peer; the ``Channels`` of the seam.

    Args:
        host: The peer.
        on_mode: Told of every new bandwidth mode.

    """

    def __init__(self, host: ChannelHost, on_mode: Callable[[BandwidthMode], None] = metrics.note_mode) -> None:
        self._host = host
        self.sender = Sender(on_mode)
        self.budget = Budget(host.settings.message_max_bytes)
        self.long_turn = asyncio.Lock()
        self.message_max_bytes = host.settings.message_max_bytes
        self._courses: dict[str, Course] = {}
        self._channels: dict[str, Channel] = {}
        self._asked: dict[str, tuple[Agree, asyncio.Future[None]]] = {}
        self._theirs: dict[str, str] = {}
        """The session in which the other side asked for each that it opened."""
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        """When each that it asked for is given up, unless it is opened."""
        self._claimed: set[str] = set()
        self._streams = Streams(is_even=host.own_did < host.did)
        self._changed = asyncio.Event()

    # What the application asks, through the peer

    @property
    def open(self) -> dict[str, Channel]:
        """By label, those that can be used or go on when there is a connection."""
        return {label: self._channels[label] for label in self._channels if label in self._courses}

    @property
    def mode(self) -> BandwidthMode:
        """How the link keeps up."""
        return self.sender.mode

    async def open_channel(self, label: str, config: DataChannelConfig | None = None) -> Channel:
        """
        Open a channel, if the other side agrees.

        Raises:
            InvalidChannel: If the label cannot be one, or the other side cannot have such a channel.
            ChannelExists: If there is one with the label or the id.
            ChannelClosed: If the other side did not answer in time, or the peer was closed.
            Refused: If there are as many as there may be.

        """
        check_label(label)
        config = config or DataChannelConfig()
        if (known := self._claim(label, config)) is not None:
            return known
        agree = self._agree_of(label, config)
        course = self._add(agree, config)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked[label] = agree, future
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                self._say(agree)
                await future
        except TimeoutError as error:
            raise ChannelClosed(label, "the other side did not open it in time") from error
        finally:
            if self._asked.get(label) == (agree, future):
                del self._asked[label]
            if course.state is ChannelState.CONNECTING:
                course.abort(None)
            if future.cancelled():
                self._say(_void(agree.id, agree.token))
        return self._channels[label]

    # What the peer tells

    def attach(self, wire: Wire) -> None:
        """A connection is the one to use."""
        for label, course in tuple(self._courses.items()):
            if label in self._asked and not course.has_begun:
                self._say(self._asked[label][0])
            elif course.has_begun or self._theirs[label] != wire.session:
                self._attach(course, wire)
        self.sender.pump()

    def detach(self, session: str) -> None:
        """A connection is silent or over."""
        for course in tuple(self._courses.values()):
            course.suspend(session)
        self.sender.pump()
        self._changed.set()

    def incoming(self, wire: Wire, raw: "RTCDataChannel") -> None:
        """The other side announced a channel in-band, on which we have agreed."""
        course = None if raw.id is None else self._by_id(raw.id)
        if course is None or course.label not in self._theirs or course.has_begun or course.config.negotiated:
            self._host.note_foreign("foreign_frame", f"stream {raw.id} was opened without agreement")
            raw.close()
        else:
            course.begin(raw, wire.session)

    def word(self, wire: Wire, word: Word) -> None:
        """The other side said Agree, Agreed, Disagreed or Resume."""
        match word:
            case Agree():
                self._answer(wire, word)
            case Agreed(id=id_):
                self._note_agreed(wire, id_)
            case Disagreed():
                self._note_disagreed(word)
            case Resume():
                self._resume(wire, word)

    async def drained(self, session: str, timeout_seconds: float) -> None:
        """Wait, not too long, until all that was sent through a connection has left it."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while any(course.leaves(session) for course in self._courses.values()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    def close(self, reason: str) -> None:
        """The peer is over: nothing comes back."""
        for label, course in tuple(self._courses.items()):
            error = ChannelClosed(label, reason)
            if (asked := self._asked.get(label)) is not None and not asked[1].done():
                asked[1].set_exception(error)
            course.abort(error)

    # What channels tell

    def say_resume(self, word: Resume) -> None:
        """Say a word through the present connection, if there is one."""
        self._say(word)

    def note_room(self) -> None:
        """The stack has sent something."""
        self.sender.pump()
        self._changed.set()

    def note_state(self, label: str, state: ChannelState) -> None:
        """A channel stands elsewhere."""
        wire = self._host.wire
        chronicle.note_channel(self._host.did, None if wire is None else wire.session, label, state)
        course = self._courses[label]
        if (expiry := self._expiries.pop(label, None)) is not None:
            expiry.cancel()
        if state is ChannelState.OPEN and label not in self._channels:
            self._note_open(course)
        elif state is ChannelState.CLOSED:
            del self._courses[label]
            if self._channels.pop(label, None) is not None:
                metrics.note_channel(opened=False)
            self._theirs.pop(label, None)
            self._claimed.discard(label)
        self._changed.set()

    def note_violation(self, label: str, error: Exception) -> None:
        """The other side does what no honest one would."""
        metrics.note_error(error)
        if not isinstance(error, MessageTooLarge):  # its settings may just allow more than ours
            self._host.note_foreign("foreign_frame", f"channel {label!r}: {error}")

    # Agreement

    def _claim(self, label: str, config: DataChannelConfig) -> Channel | None:
        """The negotiated channel that the other side has described just like this before us, once."""
        course = self._courses.get(label)
        if course is None:
            return None
        same = config.negotiated and (course.id, kind_of(course.config)) == (config.id, kind_of(config))
        if not same or label not in self._theirs or label in self._claimed:
            raise ChannelExists(label)
        self._claimed.add(label)
        return self._channels[label]

    def _agree_of(self, label: str, config: DataChannelConfig) -> Agree:
        if len(self._courses) >= self._host.settings.channels_max:
            raise Refused(f"there are {len(self._courses)} channels already")
        id_ = self._streams.free(self._is_taken) if config.id is None else config.id
        if self._is_taken(id_):
            raise ChannelExists(f"of stream {id_}")
        return agree_of(label, id_, config, os.urandom(8).hex())

    def _answer(self, wire: Wire, agree: Agree) -> None:
        known, asked = self._courses.get(agree.label), self._asked.get(agree.label)
        if known is not None and known.token == agree.token:
            self._say(Agreed(agree.id))
        elif known is not None and asked is not None and are_same(agree, asked[0]) and not known.has_begun:
            known.token = max((self._host.did, agree.token), (self._host.own_did, known.token))[1]
            self._begin(known, wire)
        elif known is not None and asked is not None and not known.has_begun and self._host.own_did < self._host.did:
            if not asked[1].done():
                asked[1].set_exception(ChannelExists(agree.label))
            del self._asked[agree.label]
            known.abort(None)
            self._accept(wire, agree)
        elif known is not None or self._is_taken(agree.id):
            self._refuse(agree, ChannelExists(agree.label))
        else:
            self._accept(wire, agree)

    def _accept(self, wire: Wire, agree: Agree) -> None:
        try:
            config = config_of(agree)
            if len(self._courses) >= self._host.settings.channels_max:
                raise Refused("there are too many channels")  # noqa: TRY301 - told like the others
        except (InvalidChannel, Refused) as error:
            self._refuse(agree, error)
            return
        course = self._add(agree, config)
        self._theirs[agree.label] = wire.session
        loop = asyncio.get_running_loop()
        self._expiries[agree.label] = loop.call_later(ANNOUNCED_SECONDS, course.abort, None)
        if wire is not self._host.wire:
            self._attach(course, self._host.wire)
        elif config.negotiated:
            self._begin(course, wire)
        self._say(Agreed(agree.id))

    def _refuse(self, agree: Agree, error: AiconexusError) -> None:
        self._say(Disagreed(agree.id, problem_of(error).name, str(error)[:256]))

    def _note_agreed(self, wire: Wire, id_: int) -> None:
        course = self._by_id(id_)
        if course is not None and course.label in self._asked and not course.has_begun and wire is self._host.wire:
            self._begin(course, wire)

    def _note_disagreed(self, word: Disagreed) -> None:
        course = self._by_id(word.id)
        if course is None:
            return
        asked = self._asked.get(course.label)
        if asked is not None and not course.has_begun:
            if not asked[1].done():
                asked[1].set_exception(error_of(course.label, word))
        elif word.message == course.token:
            is_asked_for = course.state is ChannelState.CLOSING
            course.abort(
                None if is_asked_for else ChannelClosed(course.label, "the other side does not have it any more")
            )

    def _resume(self, wire: Wire, word: Resume) -> None:
        course = self._by_id(word.id)
        if course is None or course.token != word.token:
            self._say(_void(word.id, word.token))
            return
        if not course.has_begun:
            self._attach(course, wire)
        course.resume(wire.session, word.received, word.consumed)
        self._changed.set()

    # Inside

    def _add(self, agree: Agree, config: DataChannelConfig) -> Course:
        course = Course(self, agree.label, agree.id, config, token=agree.token, is_framed=agree.features == FEATURES)
        self._courses[agree.label] = course
        return course

    def _begin(self, course: Course, wire: Wire) -> None:
        try:
            course.begin(self._raw(course, negotiated=course.config.negotiated), wire.session)
        except ChannelClosed:
            return  # the next connection will do

    def _attach(self, course: Course, wire: Wire | None) -> None:
        try:
            if wire is not None:
                course.attach(wire.session, lambda: self._raw(course, negotiated=True))
        except ChannelClosed:
            return  # likewise

    def _raw(self, course: Course, *, negotiated: bool) -> "RTCDataChannel":
        return self._host.open_raw(course.label, replace(course.config, negotiated=negotiated, id=course.id))

    def _note_open(self, course: Course) -> None:
        channel = self._channels[course.label] = Channel(course)
        metrics.note_channel(opened=True)
        asked = self._asked.get(course.label)
        if asked is None:
            self._host.note_channel(channel)
        elif not asked[1].done():
            asked[1].set_result(None)

    def _say(self, word: Word) -> None:
        try:
            self._host.send_word(word)
        except ChannelClosed:
            return  # it is said again in the next connection, if it still counts

    def _is_taken(self, id_: int) -> bool:
        return self._by_id(id_) is not None or self._host.is_taken(id_)

    def _by_id(self, id_: int) -> Course | None:
        return next((course for course in self._courses.values() if course.id == id_), None)


def _void(id_: int, token: str) -> Disagreed:
    """The word that there is no such channel, or none any more."""
    return Disagreed(id_, problem_of(ChannelClosed("")).name, token)
