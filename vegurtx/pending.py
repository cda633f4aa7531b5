"""Plain values, Deferreds and coroutines: the one place that tells them apart.

A router's callback may return any of the three. On a plain value the code runs straight on, so that the ordinary
request creates no Deferred; only what is really pending pays for waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any

from twisted.internet.defer import Deferred

#: classes remembered at the most; a router may return objects of any class
_REMEMBERED = 4096


class _Pending(dict[type, bool]):
    """Whether the instances of a class are values that are yet to come, worked out once per class.

    `isinstance` with `Deferred`, whose metaclass is an `ABCMeta`, costs ten times as much as a look in a dict.
    """

    def __missing__(self, kind: type) -> bool:
        pending = issubclass(kind, (Deferred, CoroutineType))
        if len(self) < _REMEMBERED:
            self[kind] = pending
        return pending


#: ``PENDING[value.__class__]``: whether `value` is a Deferred or a coroutine
PENDING = _Pending()


def deferred_of(value: Any) -> Deferred[Any]:
    """The Deferred of a pending `value`: itself, or a running coroutine's."""
    return value if isinstance(value, Deferred) else Deferred.fromCoroutine(value)


def then(value: Any, use: Callable[..., Any], *args: Any) -> Any:
    """``use(value, *args)``, at once for a plain value; for a pending one, a Deferred of it."""
    if PENDING[value.__class__]:
        return deferred_of(value).addCallback(use, *args)
    return use(value, *args)
