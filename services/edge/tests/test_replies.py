"""Requests that wait for services, over a real bus."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aiconexus.bus.nkeys import user_nkey
from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.testing import NatsServer, running
from aiconexus.edge.replies import Replies
from aiconexus.protocol.errors import AiconexusError, BusUnavailable, NoResponders, RequestTimedOut
from aiconexus.protocol.keys import SigningKey

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = SigningKey(bytes(32))
SUBJECT = "test"


class Question:
    """Remembers what became of it."""

    def __init__(self, subject: str = SUBJECT) -> None:
        self.subject = subject
        self.outcome: asyncio.Future[bytes | AiconexusError] = asyncio.get_running_loop().create_future()

    def answer(self, data: bytes) -> None:
        self.outcome.set_result(data)

    def fail(self, error: AiconexusError) -> None:
        self.outcome.set_result(error)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """A bus where one user may do everything."""
    config = f"authorization {{ users: [ {{ nkey: {user_nkey(KEY.public_key)} }} ] }}\n"
    async with running(tmp_path_factory.mktemp("nats"), config) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def session(server: NatsServer) -> AsyncIterator[Session]:
    """A connection."""
    session = await Session.connect([server.url], KEY, name="test", inbox_prefix="_INBOX.test")
    yield session
    await session.close()


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_answers_find_their_questions(session: Session) -> None:
    """Many requests share one subscription, and each gets its own answer."""
    replies = Replies(session, 5.0, Clock())
    await replies.open()

    async def echo(incoming: Incoming) -> None:
        await session.publish(incoming.reply, incoming.data)

    await session.subscribe(SUBJECT, echo)
    questions = [Question() for _ in range(50)]
    for number, question in enumerate(questions):
        await replies.ask(question, b"%d" % number)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(question.outcome for question in questions))

    assert [b"%d" % number for number in range(50)] == answers
    assert 0 == len(replies)
    await replies.close()


async def test_absent_service_is_told_at_once(session: Session) -> None:
    """The bus says that nobody listens; nobody waits for a time-out."""
    replies = Replies(session, 5.0, Clock())
    await replies.open()
    question = Question()
    await replies.ask(question, b"x")
    async with asyncio.timeout(2):
        outcome = await question.outcome

    assert isinstance(outcome, NoResponders)


async def test_silent_service_is_given_up(session: Session) -> None:
    """Whoever has waited long enough is told, the oldest first, and a late answer is dropped."""
    clock = Clock()
    replies = Replies(session, 5.0, clock)
    await replies.open()
    asked: asyncio.Queue[Incoming] = asyncio.Queue()

    async def keep(incoming: Incoming) -> None:
        asked.put_nowait(incoming)

    await session.subscribe(SUBJECT, keep)
    old, young = Question(), Question()
    await replies.ask(old, b"x")
    clock.now = 3.0
    await replies.ask(young, b"x")
    clock.now = 5.0
    replies.expire()
    first = await asked.get()
    await session.publish(first.reply, b"late")
    second = await asked.get()
    await session.publish(second.reply, b"in time")
    async with asyncio.timeout(2):
        outcomes = [await old.outcome, await young.outcome]

    assert isinstance(outcomes[0], RequestTimedOut)
    assert b"in time" == outcomes[1]


async def test_closed_bus_refuses(session: Session) -> None:
    """What cannot be sent does not wait."""
    replies = Replies(session, 5.0, Clock())
    await session.close()
    with pytest.raises(BusUnavailable):
        await replies.ask(Question(), b"x")

    assert 0 == len(replies)
