"""The routes of the edge's port, and what holds for all of them: CORS, and problems as JSON."""

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from aiconexus.edge import metrics
from aiconexus.edge.listing import Listing
from aiconexus.edge.problems import error_response
from aiconexus.edge.settings import ANY_ORIGIN
from aiconexus.edge.websocket import WebSockets
from aiconexus.protocol.bodies import Error
from aiconexus.protocol.problems import CONNECTION_REFUSED
from aiconexus.runtime.health import Health, Status

PATHS = ("/ws", "/health", "/agents")
CORS_SECONDS = 600


def application(sockets: WebSockets, listing: Listing, health: Health, origins: tuple[str, ...]) -> web.Application:
    """
    Put the routes together.

    Args:
        sockets: Serves /ws.
        listing: Serves /agents.
        health: Serves /health.
        origins: Whose pages may read the answers.

    """

    async def report(_: web.Request) -> web.Response:
        found = await health.report()
        status = 503 if found.status is Status.UNHEALTHY else 200
        return web.Response(status=status, body=msgspec.json.encode(found), content_type="application/json")

    async def name(_: web.Request, response: web.StreamResponse) -> None:
        # Instead of the versions of Python and its library.
        response.headers["Server"] = "aiconexus"

    app = web.Application(middlewares=[_cors(origins), _problems], client_max_size=1024)
    app.on_response_prepare.append(name)
    app.router.add_get("/ws", sockets.serve, allow_head=False)
    app.router.add_get("/health", report)
    app.router.add_get("/agents", listing.serve)
    return app


def cors_headers(origin: str | None, origins: tuple[str, ...]) -> dict[str, str]:
    """What a browser must read to let a page of this origin see an answer; nothing if it may not."""
    if origin is None or not (ANY_ORIGIN in origins or origin in origins):
        return {}
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def preflight_headers() -> dict[str, str]:
    """What a page may send."""
    return {
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Allow-Headers": "Authorization",
        "Access-Control-Max-Age": str(CORS_SECONDS),
    }


def _cors(origins: tuple[str, ...]) -> Middleware:
    @web.middleware
    async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        allowed = cors_headers(request.headers.get("Origin"), origins)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers={**allowed, **(preflight_headers() if allowed else {})})
        response = await handler(request)
        if allowed and not response.prepared:
            response.headers.update(allowed)
        return response

    return cors


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        error = Error(code=CONNECTION_REFUSED, problem="refused", message=refusal.reason)
        response = error_response(error, refusal.status)
    path = request.path if request.path in PATHS else "other"
    metrics.HTTP_REQUESTS.labels(path, str(response.status)).inc()
    return response
