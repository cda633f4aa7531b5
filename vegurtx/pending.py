"""Plain values, Deferreds and coroutines: the one place that tells them apart.

A router's callback may return any of the three. On a plain value the code runs straight on, so that the ordinary
request creates no Deferred; only what is really pending pays for waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any

from twisted.internet.defer import Deferred

#: what a callback returns when its value is yet to come
PENDING = (Deferred, CoroutineType)


def deferred_of(value: Any) -> Deferred[Any]:
    """The Deferred of a pending `value`: itself, or a running coroutine's."""
    return value if isinstance(value, Deferred) else Deferred.fromCoroutine(value)


def then(value: Any, use: Callable[..., Any], *args: Any) -> Any:
    """``use(value, *args)``, at once for a plain value; for a pending one, a Deferred of it."""
    if isinstance(value, PENDING):
        return deferred_of(value).addCallback(use, *args)
    return use(value, *args)
