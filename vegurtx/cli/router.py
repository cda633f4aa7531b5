"""From ``--router DOTTED.NAME`` to a router: import it, make it, and see whether it is one."""

from __future__ import annotations

from typing import Any

from zope.interface import Invalid
from zope.interface.exceptions import BrokenImplementation, BrokenMethodImplementation
from zope.interface.verify import verifyObject

from vegurtx.cli.dotted import LoadError, find, made
from vegurtx.interfaces import IRouter
from vegurtx.router import Router

#: what a subclass of `Router` has to define
_DUTIES = ("checkout_service", "service_backend")


def load_router(name: str) -> Any:
    """The router that `name` means.

    :param name: the dotted name of a class, a function that makes one (both are called without arguments), or an
        object that provides `IRouter`. Modules are looked for in the current directory, too.
    :raises LoadError: it cannot be imported, made, or does not provide `IRouter`.
    """
    found = find("router", name)
    if isinstance(found, type) or (callable(found) and not IRouter.providedBy(found)):
        found = made("router", name, found)
    _check(name, found)
    return found


def _check(name: str, router: Any) -> None:
    try:
        verifyObject(IRouter, router, tentative=True)
    except Invalid as problem:
        raise LoadError(f"router {name!r} does not provide IRouter: {_wrong(problem)}") from None
    if not IRouter.providedBy(router):
        raise LoadError(
            f"router {name!r} does not provide IRouter: it has the methods, but is not declared; "
            "derive it from vegurtx.Router or decorate it with @implementer(vegurtx.IRouter)"
        )
    missing = [duty for duty in _DUTIES if getattr(type(router), duty, None) is getattr(Router, duty)]
    if missing:
        raise LoadError(f"router {name!r} must define {' and '.join(missing)}")


def _wrong(problem: Any) -> str:
    lacking, broken = [], []
    for one in getattr(problem, "exceptions", [problem]):
        if isinstance(one, BrokenImplementation):
            lacking.append(getattr(one.name, "__name__", str(one.name)))
        elif isinstance(one, BrokenMethodImplementation):
            broken.append(f"{getattr(one.method, '__name__', one.method)}: {' '.join(str(one.mess).split())}")
        else:
            broken.append(" ".join(str(one).split()))
    return "; ".join([f"it lacks {', '.join(lacking)}"] * bool(lacking) + broken)
