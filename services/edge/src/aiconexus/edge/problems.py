"""A problem over HTTP: the body is that of an ERROR envelope."""

import msgspec
from aiohttp import web

from aiconexus.protocol.bodies import Error
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.problems import report

RETRY_SECONDS = 5


def problem_response(error: AiconexusError, status: int) -> web.Response:
    """An error of ours as a response, with Retry-After where another try may help."""
    return error_response(report(error), status)


def error_response(error: Error, status: int) -> web.Response:
    """Likewise, for an error that somebody else reported."""
    response = web.Response(status=status, body=msgspec.json.encode(error), content_type="application/problem+json")
    if error.retryable:
        wait_ms = error.retry_after_ms or RETRY_SECONDS * 1000
        response.headers["Retry-After"] = str(-(-wait_ms // 1000))
    return response
