"""
Let agents in: the NATS server asks, and gets a login that is good for the agent's own subjects and nothing else.

The server has verified nothing. An agent's did:key is its nkey, so that the signature over the server's nonce proves
the name, and no account, password or token is needed.
"""

import time
from enum import StrEnum

import msgspec
from prometheus_client import Counter, Histogram

from aiconexus.bus.claims import CurveKey, LoginRequest, check_login, login_answer, read_login_request, user_jwt
from aiconexus.bus.session import Incoming, Session
from aiconexus.identity.events import AGENTS
from aiconexus.identity.roster import Roster
from aiconexus.protocol import subjects
from aiconexus.protocol.did import token_in
from aiconexus.protocol.errors import AiconexusError, IdentityError, KeyRevoked, MalformedEnvelope, SessionError
from aiconexus.protocol.keys import SigningKey
from aiconexus.runtime.logs import Log, Throttle

QUEUE = "identity"
SERVER_XKEY = "Nats-Server-Xkey"

LOGINS = Counter("aiconexus_identity_logins_total", "Logins over NATS", ["outcome"])
LOGIN_SECONDS = Histogram(
    "aiconexus_identity_login_seconds",
    "From the server's question to our answer",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1.0),
)


class Outcome(StrEnum):
    """How a login ended."""

    GRANTED = "granted"
    REVOKED = "revoked"
    REFUSED = "refused"
    MALFORMED = "malformed"


_LOGINS = {outcome: LOGINS.labels(outcome) for outcome in Outcome}


class Issuer(msgspec.Struct, frozen=True):
    """What a login is made with; it lasts ``lifetime_seconds``."""

    key: SigningKey
    lifetime_seconds: int


def admit(request: LoginRequest, roster: Roster, issuer: Issuer, now_seconds: float) -> str:
    """
    The JWT of an agent that may come in.

    Raises:
        Refused: If it brought no signature of the form that we accept.
        InvalidDid: If its key is not usable.
        InvalidSignature: If it did not sign the nonce.
        KeyRevoked: If its key is void.

    """
    did = check_login(request)
    if roster.is_revoked(did):
        raise KeyRevoked(did)
    token = token_in(did)
    return user_jwt(
        issuer.key,
        request,
        name=did,
        account=AGENTS,
        publish=(subjects.sends_of(token),),
        subscribe=(subjects.inbox_of(token), subjects.all_presence()),
        now_seconds=now_seconds,
        lifetime_seconds=issuer.lifetime_seconds,
    )


class Callout:
    """
    Answers the server's questions, one after the other: they cost nothing but computation.

    Args:
        session: In the account of the callout.
        curve: Opens the questions.
        issuer: Makes the logins.
        roster: Knows the revoked keys; must be current.
        log: Says who was refused, a few times a second.

    """

    def __init__(self, session: Session, curve: CurveKey, issuer: Issuer, roster: Roster, log: Log) -> None:
        self._session = session
        self._curve = curve
        self._issuer = issuer
        self._roster = roster
        self._log = log
        self._throttle = Throttle()

    async def open(self) -> None:
        """Answer from now on, together with the other replicas."""
        await self._session.subscribe(subjects.login_requests(), self.answer, queue=QUEUE)
        await self._session.barrier()

    async def answer(self, incoming: Incoming) -> None:
        """Answer one question; what no server can have asked gets no answer."""
        with LOGIN_SECONDS.time():
            server = (incoming.headers or {}).get(SERVER_XKEY, "")
            try:
                request = read_login_request(self._curve.open(incoming.data, server), time.time())
            except (MalformedEnvelope, IdentityError) as error:
                self._refused(Outcome.MALFORMED, error)
                return
            answer = self._decide(request, time.time())
            await self._session.publish(incoming.reply, self._curve.seal(answer, server))

    def _decide(self, request: LoginRequest, now_seconds: float) -> bytes:
        try:
            jwt = admit(request, self._roster, self._issuer, now_seconds)
        except (IdentityError, SessionError) as error:
            self._refused(Outcome.REVOKED if isinstance(error, KeyRevoked) else Outcome.REFUSED, error)
            return login_answer(self._issuer.key, request, now_seconds=now_seconds, error=str(error))
        _LOGINS[Outcome.GRANTED].inc()
        return login_answer(self._issuer.key, request, now_seconds=now_seconds, jwt=jwt)

    def _refused(self, outcome: Outcome, error: AiconexusError) -> None:
        _LOGINS[outcome].inc()
        dropped = self._throttle.admit(time.time_ns() // 1_000_000)
        if dropped is not None:
            self._log.warning("identity.login_refused", outcome=outcome, reason=str(error), lines_dropped=dropped)
