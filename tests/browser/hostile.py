"""An edge that does not do as it should: everything between a page and its edge passes through here and may change."""

from collections.abc import Callable

import msgspec
from playwright.async_api import Page, WebSocketRoute

Change = Callable[[dict[str, object]], dict[str, object]]


class HostileEdge:
    """
    Between one page and its edge.

    Args:
        page: Not opened yet.

    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._routes: list[WebSocketRoute] = []
        self._change: Change = lambda frame: frame

    async def step_in(self) -> None:
        """Stand between the page and whatever edge it connects to."""
        await self._page.route_web_socket("**/ws", self._stand_between)

    def change(self, change: Change) -> None:
        """Change what the page gets from now on."""
        self._change = change

    def inject(self, frame: bytes) -> None:
        """Say something to the page that no edge said."""
        self._routes[-1].send(frame.decode())

    def _stand_between(self, route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        self._routes.append(route)
        route.on_message(server.send)
        server.on_message(
            lambda text: route.send(msgspec.json.encode(self._change(msgspec.json.decode(text))).decode())
        )
