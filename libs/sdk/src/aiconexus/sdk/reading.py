"""Read a streamed answer: in order, each part once, and with a word if one lacks."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from aiconexus.protocol.bodies import Body, ExecResponse
from aiconexus.protocol.call_bodies import Chunk, Progress
from aiconexus.protocol.delivery_errors import NotAcknowledged, StreamGap
from aiconexus.protocol.errors import MalformedEnvelope, RemoteProblem
from aiconexus.sdk.asking import Asked, Asking, Terms
from aiconexus.sdk.calls import Heard, result_of
from aiconexus.sdk.chunks import WINDOW_CHUNKS, Digest, Parts
from aiconexus.sdk.delivery import Delivery

TELL_CHUNKS = WINDOW_CHUNKS // 2
TELL_SECONDS = 1.0
AGAIN_SECONDS = 1.0
"""How often what lacks is asked for."""
PATIENCE_SECONDS = 0.2
"""What lacks may only have been overtaken."""


class Reading:
    """
    One streamed answer.

    Args:
        asking: Reaches the callee.
        body: The question.
        terms: How long to wait; what the application does with a part takes nothing from ``timeout``.
        heard: Told of progress.

    """

    def __init__(self, asking: Asking, body: Body, terms: Terms, heard: Heard | None = None) -> None:
        self._asking = asking
        self._body = body
        self._terms = terms
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._asked: Asked | None = None
        self._parts = Parts()
        self._digest: Digest | None = Digest()
        self._told = 0
        self._told_at = self._sign_at = self._loop.time()
        self._last = self._loop.time() + max(terms.ceiling, terms.timeout)

    async def run(self, did: str) -> AsyncGenerator[Any, None]:
        """
        Ask, and yield the parts.

        Raises:
            RemoteProblem: If the callee failed, after all that it sent before.
            StreamGap: If parts are lost for good.
            NotAcknowledged: If nothing came for too long.

        """
        asked = self._asked = self._asking.open(did, self._body, self._terms)
        self._parts = Parts(asked.next)
        answer = self._asking.calls.expect(asked.id, did, self._hear)
        answer.add_done_callback(lambda _: self._news.set())
        if asked.answer is not None:
            answer.set_result(asked.answer)
        if asked.is_again:
            self._digest = None
            self._asking.resume(asked, asked.next, again=True)
        try:
            async with contextlib.aclosing(self._read(asked, answer)) as parts:
                async for data in parts:
                    yield data
        finally:
            self._asking.calls.give_up(asked.id, answer)
            if not self._parts.is_whole and not answer.done():
                self._asking.leave(asked, self._body, self._terms)

    async def _read(self, asked: Asked, answer: "asyncio.Future[Delivery]") -> AsyncGenerator[Any, None]:
        while not self._parts.is_whole:
            chunk = self._parts.take()
            if chunk is None:
                if (said := self._conclude(answer)) is not None:
                    yield said.result
                    return
                await self._wait(asked, answer)
                continue
            if not chunk.last or chunk.data is not None:
                yield chunk.data
                if self._digest is not None:
                    self._digest.add(chunk.data)
            self._note_taken(asked, chunk)
        self._check_error(answer)

    def _conclude(self, answer: "asyncio.Future[Delivery]") -> ExecResponse | None:
        """Look at the answer, if it is there; returns one that came in one piece."""
        if not answer.done():
            return None
        error = answer.exception()
        if isinstance(error, RemoteProblem) and error.error.problem == "stream_gap":
            details = error.error.details
            raise StreamGap(error.error.message, details.get("first", self._parts.next), details.get("end"))
        body = answer.result().body
        if not isinstance(body, ExecResponse):
            raise MalformedEnvelope(f"a {body.TYPE} is no answer to a call")
        if body.chunks is None:
            result_of(answer.result())
            return body
        if self._parts.end is None:
            self._parts.end = body.chunks
        return None

    def _check_error(self, answer: "asyncio.Future[Delivery]") -> None:
        if answer.done() and answer.exception() is None:
            result_of(answer.result())

    async def _wait(self, asked: Asked, answer: "asyncio.Future[Delivery]") -> None:
        """Wait for something new; what lacks is asked for again and again."""
        if self._parts.is_whole:
            return
        self._sign_at = self._loop.time()
        patience = PATIENCE_SECONDS
        while True:
            gap = self._parts.gap
            left = min(self._sign_at + self._terms.timeout, self._last) - self._loop.time()
            if left <= 0:
                raise self._late(asked, gap)
            self._news.clear()
            was_answered = answer.done()
            try:
                async with asyncio.timeout(left if gap is None else min(left, patience)):
                    await self._news.wait()
            except TimeoutError:
                if gap is not None:
                    self._asking.resume(asked, self._parts.next, again=True)
                    patience = AGAIN_SECONDS
                continue
            if self._parts.gap is None or answer.done() is not was_answered:
                return

    def _late(self, asked: Asked, gap: tuple[int, int] | None) -> NotAcknowledged | StreamGap:
        if self._loop.time() >= self._last:
            return NotAcknowledged(asked.id, self._terms.ceiling)
        return NotAcknowledged(asked.id, self._terms.timeout) if gap is None else StreamGap(asked.id, *gap)

    def _hear(self, said: Progress | Chunk | None) -> None:
        if isinstance(said, Chunk):
            self._take(said)
        elif isinstance(said, Progress):
            self._sign_at = self._loop.time()
            self._news.set()
        if self._heard is not None:
            self._heard(said)

    def _take(self, chunk: Chunk) -> None:
        # Beyond the ceiling nothing is taken in: a stream without an end would go on for ever behind a slow reader.
        if self._loop.time() < self._last and self._parts.put(chunk):
            self._sign_at = self._loop.time()
            self._news.set()
        elif self._loop.time() - self._told_at >= PATIENCE_SECONDS and self._asked is not None:
            # What we told of it is lost, or was said to a process that is no more.
            self._tell(self._asked)

    def _note_taken(self, asked: Asked, chunk: Chunk) -> None:
        next_ = self._parts.next
        if self._terms.name is not None:
            self._asking.rows.advance(self._terms.name, next_)
        is_due = next_ - self._told >= TELL_CHUNKS or self._loop.time() - self._told_at >= TELL_SECONDS
        if chunk.last or is_due:
            self._tell(asked)
        if chunk.last and self._digest is not None and chunk.digest not in (None, self._digest.text):
            raise MalformedEnvelope("the parts of the answer are not those that the callee sent")

    def _tell(self, asked: Asked) -> None:
        self._told, self._told_at = self._parts.next, self._loop.time()
        self._asking.resume(asked, self._parts.next, again=False)
