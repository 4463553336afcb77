"""What an application has of a channel."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.sdk.direct.channel_config import ChannelState
from aiconexus.sdk.direct.course import Course
from aiconexus.sdk.direct.loose import LooseIn, LooseOut

StateCallback = TypeVar("StateCallback", bound=Callable[[ChannelState], Any])
MessageCallback = TypeVar("MessageCallback", bound=Callable[[Any], Any])

CLOSE_SECONDS = 10.0


class Channel:
    """
    Messages to and from one peer, made by ``peer.open_channel``; ``async for message in channel`` reads it.

    It outlives the connection that it was opened in. A reliable channel keeps what is not read yet up to about 1 MiB,
    and one long message; then the other side waits. An unreliable one drops the oldest instead.

    Args:
        course: Its inside.

    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._created_at = asyncio.get_running_loop().time()
        self.label = course.label
        """Its name, unique between the two agents."""
        self.id = course.id
        """Its stream in every connection."""
        self.config = course.config
        """Its kind."""
        self.send = course.sending.send
        """
        Send bytes or text once there is room for it: raises ChannelClosed, MessageTooLarge, TypeError.

        Without a connection there is room for about 2 MiB; then it waits for the next one.
        """
        self.try_send = course.sending.try_send
        """Likewise if it need not wait; returns whether it was taken."""

    def __repr__(self) -> str:
        return f"<Channel {self.label!r} id={self.id} {self.state} age={self.age_seconds:.1f}s>"

    @property
    def state(self) -> ChannelState:
        """Where it stands."""
        return self._course.state

    @property
    def age_seconds(self) -> float:
        """Since it was asked for."""
        return asyncio.get_running_loop().time() - self._created_at

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait to be sent."""
        return self._course.sending.waiting_bytes + self._course.sending.stack_bytes

    @property
    def messages_sent(self) -> int:
        """Messages that were taken."""
        return self._course.sending.messages

    @property
    def bytes_sent(self) -> int:
        """Their bytes; of a text, its characters."""
        return self._course.sending.bytes

    @property
    def messages_received(self) -> int:
        """Messages that were read."""
        return self._course.reader.messages

    @property
    def bytes_received(self) -> int:
        """Their bytes; of a text, its characters."""
        return self._course.reader.bytes

    @property
    def dropped(self) -> int:
        """Messages of an unreliable channel that this side gave up."""
        flows = (self._course.out, self._course.source)
        return sum(flow.dropped for flow in flows if isinstance(flow, LooseOut | LooseIn))

    async def receive(self) -> bytes | str:
        """
        Wait for the next message.

        Raises:
            ChannelClosed: After the last one.

        """
        message = await self._course.reader.receive()
        if message is None:
            raise ChannelClosed(self.label)
        return message

    async def __aiter__(self) -> AsyncIterator[bytes | str]:
        while (message := await self._course.reader.receive()) is not None:
            yield message

    def on_message(self, callback: MessageCallback) -> MessageCallback:
        """Have a callback get each message; if it is a coroutine function, the next message waits for it."""
        self._course.reader.have_called(callback)
        return callback

    def on_state(self, callback: StateCallback) -> StateCallback:
        """Have a callback told of every change of state."""
        self._course.on_state.append(callback)
        return callback

    async def wait_closed(self) -> None:
        """
        Wait for the end.

        Raises:
            ChannelClosed: If it did not end by being closed.

        """
        await asyncio.shield(self._course.ended)
        if self._course.error is not None:
            raise self._course.error

    async def close(self, timeout: float = CLOSE_SECONDS) -> None:  # noqa: ASYNC109 - the channel is closed by then
        """
        Bring across what was sent, then close; what came can still be read.

        Raises:
            ChannelClosed: If the other side did not get everything in time.

        """
        course = self._course
        if course.state is not ChannelState.CLOSED and course.state is not ChannelState.CLOSING:
            course.begin_close()
        await asyncio.wait({course.ended}, timeout=timeout)
        if not course.ended.done():
            error = ChannelClosed(self.label, "the other side did not get everything in time")
            course.abort(error)
            raise error
