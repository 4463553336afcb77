"""Callbacks of the application on one peer."""

from collections.abc import Callable
from typing import Any, TypeVar

Callback = TypeVar("Callback", bound=Callable[..., Any])


class Hooks:
    """
    Who wants to be told of what.

    Args:
        tell: Calls one callback with a fact, soon.

    """

    def __init__(self, tell: Callable[[Callable[[Any], Any], Any], None]) -> None:
        self._tell = tell
        self._callbacks: dict[str, list[Callable[[Any], Any]]] = {}

    def add(self, kind: str, callback: Callback) -> Callback:
        """Have a callback told."""
        self._callbacks.setdefault(kind, []).append(callback)
        return callback

    def tell(self, kind: str, fact: Any) -> None:
        """Tell all of one kind."""
        for callback in self._callbacks.get(kind, ()):
            self._tell(callback, fact)
