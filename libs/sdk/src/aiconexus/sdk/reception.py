"""Sort what arrives: mail into the inbox, receipts and answers to whoever waits, the rest to the live traffic."""

from collections import OrderedDict, deque

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Body, Error, ExecResponse, Intent, Receipt
from aiconexus.protocol.call_bodies import Cancel, Chunk, Progress, Resume
from aiconexus.protocol.errors import EnvelopeError, IdentityError, RemoteProblem
from aiconexus.protocol.seal import Letter, wrap
from aiconexus.sdk.callees import Callees
from aiconexus.sdk.callrows import CallRows
from aiconexus.sdk.calls import Calls
from aiconexus.sdk.delivery import Delivery, Post
from aiconexus.sdk.direct.mail import Mail
from aiconexus.sdk.handlers import Handlers
from aiconexus.sdk.inbox import Inbox, open_mail
from aiconexus.sdk.live import Live
from aiconexus.sdk.notices import Notices
from aiconexus.sdk.outbox import Outbox
from aiconexus.sdk.progress import Ticket
from aiconexus.sdk.road import Push
from aiconexus.sdk.workers import Workers

EARLY_MAX = 1024
BY_MAILBOX, CLOSING = "by_mailbox", "closing"
"""Why an envelope is not taken directly."""
_OF_CALLS = (ExecResponse, Error, Progress, Chunk, Cancel, Resume)


class Reception:
    """
    The one place where everything comes in. Its parts are set by the agent once they exist.

    Args:
        did: Ours.
        handlers: The application's.
        calls: Who waits for an answer.
        notices: Told of errors that answer nothing.
        post: How a handler answers.

    """

    asked: CallRows
    callees: Callees
    inbox: Inbox
    live: Live
    mail: Mail
    outbox: Outbox
    workers: Workers

    def __init__(self, did: str, handlers: Handlers, calls: Calls, notices: Notices, post: Post) -> None:
        self._did = did
        self._handlers = handlers
        self._calls = calls
        self._notices = notices
        self._post = post
        self._heard: deque[tuple[int, list[str]]] = deque()
        self._early: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._is_closed = False

    def push(self, push: Push) -> None:
        """Take what a road brings."""
        if push.sequence is None:
            self.live.push(push.sealed)
        elif not self.inbox.push(push, push.sequence):
            self._heed_early(push)

    def take(self, letter: Letter, body: Body, ticket: Ticket) -> None:
        """Take an entry of the mailbox, in its turn; without any handler it stays there, for a process that has one."""
        if isinstance(body, Receipt):
            self._settle(letter, body)
            self._heard.append((ticket.sequence, [item.id for item in body.items]))
            self.inbox.finish(ticket)
        elif self._was_early(letter) or self._heed(letter, body) or self._is_orphan(body):
            self.workers.settle(letter.envelope, body, ticket)
        elif not self._handlers.is_empty:
            self.workers.give(self._delivery(letter, body), ticket)
        self.mail.note_arrived(letter.envelope.sender, letter.envelope.id)

    def take_direct(self, letter: Letter, body: Body, ticket: Ticket) -> str | None:
        """
        Take an envelope that a peer brought itself.

        Returns:
            The name of a problem if only the mailbox may bring it: nobody here would handle it, or whoever does may
            leave it to the retry service, which knows attempts by their place in the mailbox.

        """
        if isinstance(body, Receipt):
            self._settle(letter, body)
            self.outbox.forget([item.id for item in body.items])
            self.finish(ticket)
            return None
        if self._is_closed:
            return CLOSING
        if self._heed(letter, body) or self._is_orphan(body):
            self.workers.settle(letter.envelope, body, ticket)
            return None
        delivery = self._delivery(letter, body)
        if self._handlers.is_empty or self.workers.wants_retry(delivery):
            return BY_MAILBOX
        self.workers.give(delivery, ticket)
        return None

    def finish(self, ticket: Ticket) -> None:
        """Be done with an entry, whichever way it came."""
        if not self.mail.finish(ticket):
            self.inbox.finish(ticket)

    def is_known(self, sender: str, id_: str) -> bool:
        """Whether an envelope has come."""
        return (sender, id_) in self._early or self.workers.is_known(sender, id_)

    def pause(self) -> None:
        """Take nothing more that needs a handler."""
        self._is_closed = True
        self.inbox.pause()

    def note_acked(self, upto: int) -> None:
        """The relay has forgotten these entries: what they said was heard for the last time."""
        while self._heard and self._heard[0][0] <= upto:
            self.outbox.forget(self._heard.popleft()[1])

    def _heed_early(self, push: Push) -> None:
        """
        Heed receipts and answers even while the inbox does not read.

        Otherwise handlers that wait for an answer could fill the inbox, and the answer would wait behind them.
        """
        try:
            letter, body = open_mail(push.sealed, self._did, now_ms())
        except (EnvelopeError, IdentityError):
            # The inbox meets it again and says so.
            return
        if isinstance(body, Receipt):
            self._settle(letter, body)
        elif (key := (letter.envelope.sender, letter.envelope.id)) not in self._early and self._heed(letter, body):
            self._early[key] = None
            if len(self._early) > EARLY_MAX:
                self._early.popitem(last=False)

    def _was_early(self, letter: Letter) -> bool:
        """Whether this was heeded ahead of its turn, which comes now."""
        key = (letter.envelope.sender, letter.envelope.id)
        if key not in self._early:
            return False
        del self._early[key]
        return True

    def _heed(self, letter: Letter, body: Body) -> bool:
        """Whether it was meant for a call, of ours or of its sender's."""
        envelope = letter.envelope
        if envelope.in_reply_to is None:
            return False
        if isinstance(body, Cancel | Resume):
            self.callees.heed(envelope, body)
            return True
        if isinstance(body, ExecResponse | Intent):
            # Whoever asks again, perhaps in another life, gets this answer.
            self.asked.answer(envelope.in_reply_to, envelope.sender, wrap(letter.sealed))
        return self._calls.take(self._delivery(letter, body))

    def _delivery(self, letter: Letter, body: Body) -> Delivery:
        return Delivery(letter.envelope, body, self._post, letter.sealed)

    def _is_orphan(self, body: Body) -> bool:
        """Whether it belongs to a call that nobody waits for any more, and no handler takes such things."""
        if not isinstance(body, _OF_CALLS) or self._handlers.find(body.TYPE) is not None:
            return False
        if isinstance(body, Error):
            self._notices.error(RemoteProblem("a peer", body))
        return True

    def _settle(self, letter: Letter, receipt: Receipt) -> None:
        for item in receipt.items:
            notice = self.outbox.settle(item, letter.envelope.sender)
            if notice is not None:
                self._calls.note(notice)
