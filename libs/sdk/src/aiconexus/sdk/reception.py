"""Sort what arrives: mail into the inbox, receipts and answers to whoever waits, the rest to the live traffic."""

from collections import deque

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Body, Error, ExecResponse, Receipt
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import EnvelopeError, IdentityError, RemoteProblem
from aiconexus.sdk.calls import Calls
from aiconexus.sdk.delivery import Delivery, Post
from aiconexus.sdk.handlers import Handlers
from aiconexus.sdk.inbox import Inbox, open_mail
from aiconexus.sdk.live import Live
from aiconexus.sdk.notices import Notices
from aiconexus.sdk.outbox import Outbox
from aiconexus.sdk.progress import Ticket
from aiconexus.sdk.road import Push
from aiconexus.sdk.workers import Workers


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

    inbox: Inbox
    live: Live
    outbox: Outbox
    workers: Workers

    def __init__(self, did: str, handlers: Handlers, calls: Calls, notices: Notices, post: Post) -> None:
        self._did = did
        self._handlers = handlers
        self._calls = calls
        self._notices = notices
        self._post = post
        self._heard: deque[tuple[int, list[str]]] = deque()

    def push(self, push: Push) -> None:
        """Take what a road brings."""
        if push.sequence is None:
            self.live.push(push.sealed)
        elif not self.inbox.push(push, push.sequence):
            self._heed_early(push)

    def take(self, envelope: Envelope, body: Body, ticket: Ticket) -> None:
        """Take an entry of the mailbox, in its turn; without any handler it stays there, for a process that has one."""
        if isinstance(body, Receipt):
            self._settle(envelope, body)
            self._heard.append((ticket.sequence, [item.id for item in body.items]))
            self.inbox.finish(ticket)
        elif self._heed(envelope, body) or self._is_orphan(body):
            self.workers.settle(envelope, ticket)
        elif not self._handlers.is_empty:
            self.workers.give(envelope, body, ticket)

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
            envelope, body = open_mail(push.sealed, self._did, now_ms())
        except (EnvelopeError, IdentityError):
            # The inbox meets it again and says so.
            return
        if isinstance(body, Receipt):
            self._settle(envelope, body)
        else:
            self._heed(envelope, body)

    def _heed(self, envelope: Envelope, body: Body) -> bool:
        return envelope.in_reply_to is not None and self._calls.take(Delivery(envelope, body, self._post))

    def _is_orphan(self, body: Body) -> bool:
        """Whether it answers something that nobody waits for any more, and no handler takes such things."""
        if not isinstance(body, ExecResponse | Error) or self._handlers.find(body.TYPE) is not None:
            return False
        if isinstance(body, Error):
            self._notices.error(RemoteProblem("a peer", body))
        return True

    def _settle(self, envelope: Envelope, receipt: Receipt) -> None:
        for item in receipt.items:
            notice = self.outbox.settle(item, envelope.sender)
            if notice is not None:
                self._calls.note(notice)
