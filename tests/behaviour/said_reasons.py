"""Which reasons the sources of the proxy can say, read from the sources themselves.

``test_reasons`` holds them against the reasons table: what is said there and stands in no table would be found here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vegurtx
from vegurtx.errors import Reason

PACKAGE = Path(vegurtx.__file__).parent


def fixed(reason: Reason) -> Reason:
    """The reason as the table has it: without a detail that varies."""
    return (reason[0], reason[1][0]) if isinstance(reason, tuple) and isinstance(reason[1], tuple) else reason


_BLAMES = ("upstream", "downstream", "undefined")
#: calls whose first argument is a reason, or is one where it is text
_SAYING = ("RouteError", "fail", "_failed", "broken", "backend_failed", "_end")
#: where a reason's second item is a name: the words that it can stand for
_VARYING = {("net/backend.py", "error.what"), ("net/backend.py", "what"), ("proxy/relay.py", "what")}


def trees(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    """The modules of these rooms, each with its path in the package."""
    for room in rooms:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def texts(node: ast.AST) -> list[str]:
    """All text constants below `node`, but for what stands in a tuple with a blame."""
    if isinstance(node, ast.Tuple) and _blames(node):
        return []
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    return [text for below in ast.iter_child_nodes(node) for text in texts(below)]


def called(node: ast.AST) -> str:
    """The name of what is called there; empty where nothing is."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def argument(node: Any) -> ast.AST:
    """The first argument of that call."""
    first: ast.AST = node.args[0] if node.args else node
    return first


def said_in_sources() -> Iterator[Reason]:
    """Every reason that the code of the proxy says."""
    for path, tree in trees("proxy", "middleware", "net"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Tuple) and _blames(node):
                yield from _tuples(path, node)
            elif called(node) in _SAYING:
                yield from (text for text in texts(argument(node)) if text not in ("normal", "error"))
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") == "problem":
                yield from texts(node.value)


def _tuples(path: str, node: ast.Tuple) -> Iterator[Reason]:
    blame, what = _constant(node.elts[0]), node.elts[1]
    if isinstance(what, ast.Tuple):
        what = what.elts[0]
    if isinstance(what, ast.Constant):
        yield (blame, what.value)
        return
    # a word that comes from elsewhere: then all that can come from there
    assert (path, ast.unparse(what)) in _VARYING, f"{path}: {ast.unparse(node)}"
    yield from (("downstream", word) for word in words_of_responses())


def _constant(node: ast.AST) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _blames(node: ast.Tuple) -> bool:
    return bool(node.elts) and _constant(node.elts[0]) in _BLAMES


def words_of_responses() -> Iterator[str]:
    """What the codec finds wrong in a response's head or framing, and how a back-end's connection ends."""
    for path, tree in trees("wire", "net"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == "ResponseHeadBuffer":
                yield from _raised(node, "BadHead")
            elif isinstance(node, ast.FunctionDef) and node.name in ("response_framing", "_length"):
                yield from _raised(node, "BadFraming")
            elif path == "net/backend.py" and called(node) == "_lost":
                yield from texts(node)


def _raised(tree: ast.AST, name: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if called(node) == name:
            yield from texts(node)


def rejected_in_sources() -> Iterator[str]:
    """The words of `BadHead` which have a status of their own: a request's."""
    for _, tree in trees("wire", "net"):
        for node in ast.walk(tree):
            if called(node) == "BadHead" and len(getattr(node, "args", ())) == 2:
                yield from texts(argument(node))
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_REQUEST_FAULTS":
                yield from texts(node.value)
