"""From ``--router DOTTED.NAME`` to a router: import it, make it, and see whether it is one."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Any

from zope.interface import Invalid
from zope.interface.exceptions import BrokenImplementation, BrokenMethodImplementation
from zope.interface.verify import verifyObject

from vegurtx.interfaces import IRouter
from vegurtx.router import Router

#: what a subclass of `Router` has to define
_DUTIES = ("checkout_service", "service_backend")


class RouterError(ValueError):
    """There is no usable router of that name. Its text is one line for the user."""


def load_router(name: str) -> Any:
    """The router that `name` means.

    :param name: the dotted name of a class, a function that makes one (both are called without arguments), or an
        object that provides `IRouter`. Modules are looked for in the current directory, too.
    :raises RouterError: it cannot be imported, made, or does not provide `IRouter`.
    """
    found = _find(name)
    if isinstance(found, type) or (callable(found) and not IRouter.providedBy(found)):
        try:
            found = found()
        except Exception as problem:
            raise RouterError(f"router {name!r}: calling it failed: {_said(problem)}") from problem
    _check(name, found)
    return found


def _find(name: str) -> Any:
    parts = name.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise RouterError(f"router {name!r}: not a dotted name such as mymodule.MyRouter")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    found: Any = _import(name, parts[0])
    path = parts[0]
    for part in parts[1:]:
        if not hasattr(found, part) and hasattr(found, "__path__"):
            _import(name, f"{path}.{part}")
        try:
            found = getattr(found, part)
        except AttributeError:
            kind = "module" if path in sys.modules else "object"
            raise RouterError(f"router {name!r}: {kind} {path!r} has no {part!r}") from None
        path = f"{path}.{part}"
    return found


def _import(name: str, module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as problem:
        if problem.name == module:
            parent, _, last = module.rpartition(".")
            what = f"module {parent!r} has no {last!r}" if parent else f"there is no module {module!r}"
            raise RouterError(f"router {name!r}: {what}") from None
        raise RouterError(f"router {name!r}: importing {module!r} failed: {_said(problem)}") from problem
    except Exception as problem:
        raise RouterError(f"router {name!r}: importing {module!r} failed: {_said(problem)}") from problem


def _said(problem: Exception) -> str:
    """The exception in one line, with the place where it was raised."""
    text = " ".join(traceback.format_exception_only(problem)[-1].split())
    if isinstance(problem, SyntaxError):
        return f"{text} ({problem.filename}, line {problem.lineno})"
    frames = [
        frame
        for frame in traceback.extract_tb(problem.__traceback__)
        if frame.filename != __file__
        and not frame.filename.startswith("<")
        and "importlib" not in frame.filename
    ]
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text


def _check(name: str, router: Any) -> None:
    try:
        verifyObject(IRouter, router, tentative=True)
    except Invalid as problem:
        raise RouterError(f"router {name!r} does not provide IRouter: {_wrong(problem)}") from None
    if not IRouter.providedBy(router):
        raise RouterError(
            f"router {name!r} does not provide IRouter: it has the methods, but is not declared; "
            "derive it from vegurtx.Router or decorate it with @implementer(vegurtx.IRouter)"
        )
    missing = [duty for duty in _DUTIES if getattr(type(router), duty, None) is getattr(Router, duty)]
    if missing:
        raise RouterError(f"router {name!r} must define {' and '.join(missing)}")


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
