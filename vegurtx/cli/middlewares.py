"""From ``--middleware DOTTED.NAME``, given once or several times, to the chain of stages.

Single stages run in their given order, behind the first default stage (validate headers: what is no proper request gets
no further) and before the domain is looked up. A name that means a list is the whole chain instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from vegurtx.cli.dotted import LoadError, find, made
from vegurtx.middleware import ValidateHeaders, default_middlewares

_WHAT = "middleware"


def load_middlewares(names: Sequence[str]) -> list[Any] | None:
    """The chain that `names` make; None where there are none: the default chain.

    :param names: dotted names. Each means a stage: an object with ``execute(request)``, a function of the request, or a
        class or a function without arguments that makes one. Or it alone means the whole chain: a list of stages, or a
        function that returns one.
    :raises LoadError: one of them cannot be imported, made, or is no stage.
    """
    if not names:
        return None
    stages: list[Any] = []
    for name in names:
        found = _loaded(name)
        if isinstance(found, list | tuple):
            if len(names) > 1:
                raise LoadError(f"{_WHAT} {name!r} is a whole chain; it cannot be given together with others")
            return [_stage(f"{name}[{index}]", each) for index, each in enumerate(found)] or _empty(name)
        stages.append(_stage(name, found))
    chain: list[Any] = default_middlewares()
    place = next(index for index, stage in enumerate(chain) if isinstance(stage, ValidateHeaders)) + 1
    return [*chain[:place], *stages, *chain[place:]]


def _loaded(name: str) -> Any:
    """What `name` means; what makes stages is called."""
    found = find(_WHAT, name)
    makes = isinstance(found, type) or (
        callable(found) and not hasattr(found, "execute") and not _takes(found, 1)
    )
    return made(_WHAT, name, found) if makes else found


def _stage(name: str, stage: Any) -> Any:
    """`stage`, if it is one.

    :raises LoadError: it is none.
    """
    execute = getattr(stage, "execute", stage)
    if isinstance(stage, type) or not callable(execute):
        raise LoadError(
            f"{_WHAT} {name!r} is not a middleware: it has no method execute(request), and is no function of a request"
        )
    if not _takes(execute, 1):
        what = "it" if execute is stage else "its method execute"
        raise LoadError(
            f"{_WHAT} {name!r} is not a middleware: {what} does not take one argument, the request"
        )
    return stage


def _empty(name: str) -> Any:
    raise LoadError(f"{_WHAT} {name!r} is an empty chain")


def _takes(function: Any, count: int) -> bool:
    """Whether `function` can be called with `count` arguments; yes where it does not say."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # written in C
        return True
    return True
