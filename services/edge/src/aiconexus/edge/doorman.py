"""
Let an agent in: CHALLENGE, its signed REGISTER, identity's agreement.

The subscription to the agent's inbox comes before ATTACH, on the same connection to the bus, so nothing that is sent
to it from the moment it is present can be missed.
"""

import hmac
from collections.abc import Awaitable, Callable

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Incoming
from aiconexus.edge import metrics
from aiconexus.edge.connection import Connection
from aiconexus.edge.platform import Platform
from aiconexus.edge.refusals import close_of
from aiconexus.edge.routing import Names
from aiconexus.edge.sessions import attach
from aiconexus.edge.settings import EdgeSettings
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Challenge, Register
from aiconexus.protocol.did import key_text_of, token_in
from aiconexus.protocol.envelope import check_fresh
from aiconexus.protocol.errors import (
    AiconexusError,
    InvalidSignature,
    MalformedEnvelope,
    UnsupportedType,
)
from aiconexus.protocol.problems import report
from aiconexus.protocol.replay import ReplayWindow
from aiconexus.protocol.seal import Codec, Letter, Return, Sealed, return_of, unseal
from aiconexus.runtime.context import Context

INBOX_MAX_BYTES = 16 * 1024 * 1024
"""What may wait in the bus client for one agent; beyond that, mail is left to FETCH."""


def check_register(letter: Letter, platform: str, nonce: str, now: int, *, is_first: bool) -> Register:
    """
    Whether a REGISTER proves the key of its sender on this connection.

    Args:
        letter: Its signature was verified.
        platform: Whom it must be addressed to.
        nonce: Of the connection's CHALLENGE.
        now: Milliseconds since the epoch.
        is_first: A later one renews what the connection has proved, so it need not repeat the nonce.

    Raises:
        UnsupportedType: If it is another type.
        MalformedEnvelope: If it is addressed to somebody else, or names another key.
        EnvelopeStale: If it is not fresh.
        InvalidSignature: If it answers another CHALLENGE.

    """
    envelope = letter.envelope
    if envelope.type != Register.TYPE:
        raise UnsupportedType(envelope.type)
    if envelope.recipient != platform:
        raise MalformedEnvelope("REGISTER is addressed to the platform's DID")
    check_fresh(envelope, now)
    body = letter.body
    if not isinstance(body, Register):
        raise UnsupportedType(envelope.type)
    challenge = body.challenge if body.challenge is not None or is_first else nonce
    if not hmac.compare_digest((challenge or "").encode(), nonce.encode()):
        raise InvalidSignature(envelope.sender)
    if body.public_key != key_text_of(envelope.sender):
        raise MalformedEnvelope("public_key is not the key of the sender's DID")
    return body


class Doorman:
    """
    Lets agents in.

    Args:
        context: Of the service.
        names: Of the services.
        platform: For the CHALLENGE.
        replay: The ids of what agents said to this edge.
        on_push: What arrives in the inbox of an agent is handled by this, from before it is present.

    """

    def __init__(
        self,
        context: Context[EdgeSettings],
        names: Names,
        platform: Platform,
        replay: ReplayWindow,
        on_push: Callable[[Connection], Callable[[Incoming], Awaitable[None]]],
    ) -> None:
        self._context = context
        self._names = names
        self._platform = platform
        self._replay = replay
        self._on_push = on_push

    async def admit(self, connection: Connection) -> bool:
        """
        Let the agent of a new connection in, or have the connection ended.

        Returns:
            Whether it is in.

        """
        challenge = Challenge(nonce=connection.nonce, platform=self._platform.sealed)
        await connection.say(self._context.voice.say(challenge, None, codec=connection.dialect.codec))
        frame = await connection.read()
        if frame is None:
            return False
        sealed: Sealed | None = None
        try:
            sealed, data = connection.dialect.read(frame)
            with metrics.HANDSHAKE_SECONDS.time():
                return await self._register(connection, unseal(sealed), data)
        except AiconexusError as error:
            await self._turn_away(connection, error, sealed)
            return False

    async def renew(self, connection: Connection, letter: Letter, data: bytes) -> None:
        """
        Register the agent of a live connection again, which updates what is known of it.

        Args:
            connection: Its own.
            letter: Verified.
            data: The same as bytes.

        Raises:
            AiconexusError: If it is not acceptable.

        """
        check_register(letter, self._names.platform, connection.nonce, now_ms(), is_first=False)
        connection.registration = data
        answer, _ = await attach(self._context, connection)
        connection.push(answer)

    async def _register(self, connection: Connection, letter: Letter, data: bytes) -> bool:
        envelope = letter.envelope
        check_register(letter, self._names.platform, connection.nonce, now_ms(), is_first=True)
        self._replay.admit(envelope.sender, envelope.id, now_ms())
        connection.did = envelope.sender
        connection.token = token_in(envelope.sender)
        connection.subscription = await self._context.session.subscribe(
            subjects.inbox_of(connection.token), self._on_push(connection), bytes_max=INBOX_MAX_BYTES
        )
        connection.registration = data
        answer, problem = await attach(self._context, connection)
        if problem is None:
            connection.register(answer)
            return True
        await connection.say(answer)
        connection.end(close_of(problem), problem.message)
        metrics.HANDSHAKES.labels(problem.problem).inc()
        return False

    async def _turn_away(self, connection: Connection, error: AiconexusError, sealed: Sealed | None) -> None:
        """Say why, to whom the envelope names, of any version; where it names nobody the close says it all."""
        problem = report(error)
        metrics.HANDSHAKES.labels(problem.problem).inc()
        asker = Return() if sealed is None else return_of(sealed)
        if asker.sender is not None and sealed is not None:
            complaint = self._context.voice.complain(
                error, asker.sender, codec=Codec(sealed.codec), in_reply_to=asker.id
            )
            await connection.say(complaint)
        connection.end(close_of(problem), problem.message)
