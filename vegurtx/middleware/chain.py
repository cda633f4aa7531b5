"""What may stand in a chain: the one place that knows, asked when a proxy is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def execute_of(stage: Any) -> Callable[[Any], Any]:
    """What a stage is called by.

    :param stage: provides `IMiddleware`, or is a function of the request.
    :raises TypeError: it is neither; the text says what it is. A class is none: its instance is.
    """
    if isinstance(stage, type):
        raise TypeError(
            f"a middleware is an object or a function; {stage!r} is a class, give an instance of it"
        )
    execute: Any = getattr(stage, "execute", stage)
    if not callable(execute):
        raise TypeError(
            f"a middleware has execute(request), or is a function of the request; {stage!r} is neither"
        )
    called: Callable[[Any], Any] = execute
    return called
