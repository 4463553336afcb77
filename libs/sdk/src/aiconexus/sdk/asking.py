"""The caller's side of calls: put a question, wait as long as it makes sense, and know the answer if it comes again."""

import asyncio
from typing import Any

import msgspec

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Body, ExecRequest, Intent
from aiconexus.protocol.call_bodies import Cancel, Chunk, Progress, Resume
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.digests import digest_of_call
from aiconexus.protocol.errors import ConflictingEnvelope
from aiconexus.protocol.limits import LIFETIME_MAX_MS
from aiconexus.protocol.seal import unseal
from aiconexus.sdk.callees import KEPT_MS
from aiconexus.sdk.callrows import CallRow, CallRows
from aiconexus.sdk.calls import Calls, Heard
from aiconexus.sdk.delivery import Delivery, Post
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.outbox import Outbox
from aiconexus.sdk.rows import DEAD

CANCEL_MS = 600_000


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """
    How long a caller waits: ``timeout`` seconds without a sign of life, and ``ceiling`` seconds in all.

    ``name`` is an id of the application's own under which it may ask again.
    """

    timeout: float
    ceiling: float
    name: str | None = None

    def within(self, seconds: float) -> "Terms":
        """The same, but with so many seconds at most."""
        return msgspec.structs.replace(self, timeout=min(self.timeout, seconds))


class Asked(msgspec.Struct, frozen=True):
    """A question that was put: to whom, under which id, from which chunk on, and the answer if it is known."""

    callee: str
    id: str
    next: int = 0
    answer: Delivery | None = None
    is_again: bool = False


class Asking:
    """
    Questions to other agents.

    Args:
        journal: Keeps those that have a name.
        outbox: Takes them.
        calls: Who waits for an answer.
        post: How an answer is answered.

    """

    def __init__(self, journal: Journal, outbox: Outbox, calls: Calls, post: Post) -> None:
        self.rows = CallRows(journal)
        self.calls = calls
        self._journal = journal
        self._outbox = outbox
        self._post = post

    async def ask(self, did: str, body: Body, terms: Terms, heard: Heard | None = None, **fields: Any) -> Delivery:
        """
        Put a question and await the answer.

        Args:
            did: To whom.
            body: What.
            terms: How long to wait.
            heard: Told of signs of life.
            fields: Of the envelope.

        Raises:
            ConflictingEnvelope: If something else was asked under the name.
            RemoteProblem: If the answer is an ERROR, or the request died.
            NotAcknowledged: If no answer came in time.

        """
        asked = self.open(did, body, terms, **fields)
        if asked.answer is not None:
            return asked.answer
        loop = asyncio.get_running_loop()
        last = loop.time() + max(terms.ceiling, terms.timeout)

        def hear(said: Progress | Chunk | None) -> None:
            if said is not None and not scope.expired():
                scope.reschedule(min(loop.time() + terms.timeout, last))
            if heard is not None:
                heard(said)

        answer = self.calls.expect(asked.id, did, hear)
        try:
            async with asyncio.timeout(terms.timeout) as scope:
                return await answer
        except TimeoutError as error:
            self.leave(asked, body, terms)
            raise NotAcknowledged(asked.id, terms.timeout) from error
        except asyncio.CancelledError:
            self.leave(asked, body, terms)
            raise
        finally:
            self.calls.give_up(asked.id, answer)

    def open(self, did: str, body: Body, terms: Terms, **fields: Any) -> Asked:
        """
        Put a question, unless it was put before.

        Raises:
            ConflictingEnvelope: If something else was asked under the name.

        """
        body = _timed(body, terms)
        if terms.name is None:
            id_ = new_id()
            self._outbox.put(did, body, id_=id_, lifetime_ms=_lifetime_ms(terms), **fields)
            return Asked(did, id_)
        known, digest = self.rows.find(terms.name), digest_of_call(body)
        if known is not None:
            if known.digest != digest or known.callee not in ("", did):
                raise ConflictingEnvelope(terms.name)
            if known.answer is not None:
                return Asked(did, known.id, known.next, self._delivery(known.answer), is_again=True)
            row = self._outbox.find(known.id)
            if row is not None and row.state != DEAD:
                return Asked(did, known.id, known.next, is_again=True)
        id_, next_ = (terms.name, 0) if known is None else (known.id, known.next)
        lifetime_ms = min(max(KEPT_MS, _lifetime_ms(terms)), LIFETIME_MAX_MS)
        with self._journal.transaction():
            self.rows.add(CallRow(terms.name, id_, did, digest, now_ms() + lifetime_ms, next_))
            self._outbox.put(did, body, id_=id_, lifetime_ms=lifetime_ms, **fields)
        return Asked(did, id_, next_)

    def move(self, name: str) -> None:
        """Nobody ran a question of ours: the next one under its name goes to somebody else, under another id."""
        known = self.rows.find(name)
        if known is not None:
            self.rows.add(msgspec.structs.replace(known, id=new_id(), callee=""))

    def leave(self, asked: Asked, body: Body, terms: Terms) -> None:
        """Nobody waits any more; who gave the question a name means to come back, or cancels it expressly."""
        if terms.name is None and isinstance(body, ExecRequest | Intent):
            self._cancel(asked.callee, asked.id, _lifetime_ms(terms))

    def cancel(self, name: str, reason: str | None = None) -> None:
        """Tell the callee of a question that has a name that nobody wants its answer."""
        known = self.rows.find(name)
        if known is not None and known.callee:
            self._cancel(known.callee, known.id, known.ends_ms - now_ms(), reason)

    def resume(self, asked: Asked, next_: int, *, again: bool) -> None:
        """Tell a callee which chunks were taken, and whether the others are to be sent again."""
        if self._outbox.is_open:
            self._outbox.put(asked.callee, Resume(next=next_, again=again), in_reply_to=asked.id, lifetime_ms=CANCEL_MS)

    def _cancel(self, callee: str, id_: str, lifetime_ms: int, reason: str | None = None) -> None:
        # A callee that is away finds the question when it comes back, and has to find this behind it.
        if self._outbox.is_open:
            lifetime_ms = max(CANCEL_MS, lifetime_ms)
            self._outbox.put(callee, Cancel(reason=reason), in_reply_to=id_, lifetime_ms=lifetime_ms)

    def _delivery(self, sealed: bytes) -> Delivery:
        letter = unseal(sealed)
        return Delivery(letter.envelope, letter.body, self._post, letter.sealed)


def _timed(body: Body, terms: Terms) -> Body:
    if not isinstance(body, ExecRequest):
        return body
    timeout_ms = int(terms.timeout * 1000)
    return msgspec.structs.replace(
        body,
        timeout_ms=timeout_ms,
        ceiling_ms=int(terms.ceiling * 1000),
        begin_ms=timeout_ms if terms.name is None else None,
    )


def _lifetime_ms(terms: Terms) -> int:
    """The relay keeps a request as long as it may run: what it finds over, it takes away."""
    return max(1, int(max(terms.timeout, terms.ceiling) * 1000))
