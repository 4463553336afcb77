"""
The route /agents: discovery over HTTP, for whoever signs the question.

``Authorization: AIConexus <base64url of a sealed DISCOVER addressed to the platform>``: the filters stand in what is
signed, and identity checks it like any other DISCOVER. Where the operator lists agents to the public, the same filters
may stand in the query instead.
"""

import base64
import binascii
import re
from collections.abc import Mapping

import msgspec
from aiohttp import web

from aiconexus.edge.problems import error_response, problem_response
from aiconexus.edge.routing import Names
from aiconexus.edge.settings import EdgeSettings
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Agents, Body, Discover, Error
from aiconexus.protocol.did import token_in
from aiconexus.protocol.errors import (
    AiconexusError,
    BusError,
    EnvelopeError,
    ForeignSender,
    IdentityError,
    MalformedEnvelope,
    Refused,
    RemoteProblem,
    UnsupportedType,
)
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.problems import CONNECTION_REFUSED, INVALID_SIGNATURE, MALFORMED_MESSAGE, TIMEOUT
from aiconexus.protocol.seal import peek, split, unseal
from aiconexus.runtime.context import Context

SCHEME = "AIConexus"
BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
UNAUTHORISED = 401

STATUSES = {INVALID_SIGNATURE: 401, TIMEOUT: 401, MALFORMED_MESSAGE: 400, CONNECTION_REFUSED: 403}
"""Of what identity refuses; an envelope that has expired authorises nobody."""


class WrongQuery(MalformedEnvelope):
    """The query string is no question."""

    def __str__(self) -> str:
        return f"malformed query: {self.reason}"


class _Query(Discover, frozen=True, forbid_unknown_fields=True):
    """A DISCOVER where an unknown filter is a mistake."""


def credentials(header: str) -> bytes:
    """
    The sealed envelope of an Authorization header.

    Raises:
        Refused: If there is none.

    """
    scheme, _, text = header.partition(" ")
    text = text.strip().rstrip("=")
    if scheme.lower() != SCHEME.lower() or not text:
        raise Refused(f"Authorization must be {SCHEME} and the base64url of a sealed DISCOVER to the platform")
    if BASE64URL.fullmatch(text) is None:
        raise Refused("the credentials are not base64url")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise Refused("the credentials are not base64url") from error


def question_of(query: Mapping[str, str]) -> Discover:
    """
    The DISCOVER of a query string.

    Raises:
        WrongQuery: If it is none.

    """
    try:
        return msgspec.convert(dict(query), _Query, strict=False)
    except msgspec.ValidationError as error:
        raise WrongQuery(str(error)) from error


def status_of(error: AiconexusError) -> int:
    """The HTTP status for why there is no list."""
    if isinstance(error, RemoteProblem):
        if error.error.retryable:
            return 429 if error.error.retry_after_ms is not None else 503
        return STATUSES.get(error.error.code, 502)
    if isinstance(error, BusError):
        return 503
    if isinstance(error, WrongQuery):
        return 400
    return 401 if isinstance(error, Refused | EnvelopeError | IdentityError) else 500


class Listing:
    """
    Answers /agents.

    Args:
        context: Of the service.
        names: Of the services.

    """

    def __init__(self, context: Context[EdgeSettings], names: Names) -> None:
        self._context = context
        self._names = names

    async def serve(self, request: web.Request) -> web.Response:
        """One page of agents as JSON, or a problem."""
        try:
            agents = await self._ask(self._question(request))
        except RemoteProblem as problem:
            return _authenticating(error_response(problem.error, status_of(problem)))
        except AiconexusError as error:
            return _authenticating(problem_response(error, status_of(error)))
        return web.Response(body=msgspec.json.encode(agents), content_type="application/json")

    def _question(self, request: web.Request) -> bytes:
        header = request.headers.get("Authorization", "")
        if not header and self._context.settings.agents_public:
            return self._context.voice.say(question_of(request.query), self._names.platform)
        data = credentials(header)
        if request.query:
            raise WrongQuery("the filters stand in the signed DISCOVER")
        return data

    async def _ask(self, data: bytes) -> Agents:
        envelope = peek(split(data))
        if envelope.type != Discover.TYPE or envelope.recipient != self._names.platform:
            raise Refused("the credentials are a DISCOVER to the platform")
        subject = subjects.send(token_in(envelope.sender), "identity", "discover")
        incoming = await self._context.session.request(subject, data)
        return self._agents(incoming.data)

    def _agents(self, data: bytes) -> Agents:
        letter = unseal(data, REPLY_MAX_BYTES)
        if letter.envelope.sender != self._names.platform:
            raise ForeignSender(letter.envelope.sender, self._names.platform)
        body: Body = letter.body
        if isinstance(body, Error):
            raise RemoteProblem(self._names.platform, body)
        if not isinstance(body, Agents):
            raise UnsupportedType(body.TYPE)
        return body


def _authenticating(response: web.Response) -> web.Response:
    if response.status == UNAUTHORISED:
        response.headers["WWW-Authenticate"] = SCHEME
    return response
