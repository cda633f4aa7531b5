"""From a dotted name to the object that it means: users' modules are imported here. What goes wrong is one line."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Any


class LoadError(ValueError):
    """There is nothing usable of that name. Its text is one line for the user."""


def find(what: str, name: str) -> Any:
    """The object called `name`. Modules are looked for in the current directory, too.

    :param what: what it is to be ("router"), for the error's text.
    :param name: a module's dotted name, then the object's within it.
    :raises LoadError: it cannot be imported, or is not there.
    """
    parts = name.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise LoadError(f"{what} {name!r}: not a dotted name such as mymodule.My{what.capitalize()}")
    search_here()
    found: Any = _import(what, name, parts[0])
    path = parts[0]
    for part in parts[1:]:
        if not hasattr(found, part) and hasattr(found, "__path__"):
            _import(what, name, f"{path}.{part}")
        try:
            found = getattr(found, part)
        except AttributeError:
            kind = "module" if path in sys.modules else "object"
            raise LoadError(f"{what} {name!r}: {kind} {path!r} has no {part!r}") from None
        path = f"{path}.{part}"
    return found


def search_here() -> None:
    """Let modules of the current directory be found, under twistd too."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)


def made(what: str, name: str, maker: Any) -> Any:
    """What `maker`, found under `name`, returns when it is called without arguments.

    :raises LoadError: it raised something; the line says where.
    """
    try:
        return maker()
    except (Exception, SystemExit) as problem:  # a module may end the program that imports it
        raise LoadError(f"{what} {name!r}: calling it failed: {_said(problem)}") from problem


def _import(what: str, name: str, module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as problem:
        if problem.name == module:
            parent, _, last = module.rpartition(".")
            missing = f"module {parent!r} has no {last!r}" if parent else f"there is no module {module!r}"
            raise LoadError(f"{what} {name!r}: {missing}") from None
        raise LoadError(f"{what} {name!r}: importing {module!r} failed: {_said(problem)}") from problem
    except (Exception, SystemExit) as problem:  # a module may end the program that imports it
        raise LoadError(f"{what} {name!r}: importing {module!r} failed: {_said(problem)}") from problem


def _said(problem: BaseException) -> str:
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
