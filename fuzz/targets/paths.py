"""Paths: their normal form, the matchers that look at it, what is rewritten, and a query's parameters.

An input is a target in origin-form (the slash before it is ours).

Claims:

- A normal form is its own normal form, has no dot segments, no repeated slashes, no escapes of unreserved characters.
- It is where the path leads to those who decode escapes once, and to those who take ``%2F``, ``%5C`` and ``\\`` for a
  slash or cut segments at a semicolon, or there is none.
- The compiled table finds what a plain look at all matchers finds.
- A rewritten target is an origin-form, begins with ``add_prefix``, leads nowhere above it, and keeps its query.
- Parameters are those that ``urllib`` finds.
"""

from __future__ import annotations

import posixpath
import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from fuzz.findings import fail, hold, same
from vegurtx.balance.config import MatcherConfig, RewriteConfig
from vegurtx.balance.matching import Rewrite, Routes, normal_form
from vegurtx.balance.strategies.keys import parameters
from vegurtx.errors import RouteError
from vegurtx.message import Headers
from vegurtx.wire.grammar import match_target

_PREFIXES = ("/api", "/api/v1", "/a/b", "/static", "/admin")


def _matcher(key: str, value: str) -> MatcherConfig:
    return MatcherConfig.model_validate({key: value})


_ROUTES = Routes(
    [
        *(([_matcher("prefix", prefix)], prefix) for prefix in _PREFIXES),
        ([_matcher("path", "/api/v1/x")], "exact"),
        ([_matcher("regex", r"/re/[a-c]+/(\d|x)*")], "regex"),
        ([_matcher("prefix", "/")], "/"),
    ]
)
_regex = re.compile(r"/re/[a-c]+/(\d|x)*").fullmatch
_REWRITES = [
    Rewrite(RewriteConfig.model_validate(config), _PREFIXES)
    for config in (
        {"strip_prefix": True},
        {"strip_prefix": "/api", "add_prefix": "/v2"},
        {"add_prefix": "/t/u"},
        {"regex": "/api/([^/]*)", "replacement": r"/\1"},
        {"regex": "[.x]", "replacement": ".", "add_prefix": "/t/u"},
        {"regex": "%2[Ff]", "replacement": "/", "add_prefix": "/t/u"},
    )
]
_ADDED = ("", "/v2", "/t/u", "", "/t/u", "/t/u")
_unreserved = re.compile(r"%(?:2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])").search
_lower = re.compile(r"%(?:[a-f][0-9A-Fa-f]|[0-9A-F][a-f])").search


def check(data: bytes) -> None:
    """All claims, for one target."""
    visible = match_target(b"/" + data)
    assert visible is not None
    target = visible[0].decode("ascii")
    path, _, query = target.partition("?")
    normal = normal_form(path)
    if normal is not None:
        _normal(path, normal)
        _readings(path, normal)
    _routed(path, normal)
    for rewrite, added in zip(_REWRITES, _ADDED, strict=True):
        _rewritten(rewrite, target, added)
    _parameters(query)


def _normal(path: str, normal: str) -> None:
    same(normal_form(normal), normal, "a normal form that is not its own", path)
    hold(normal.startswith("/"), "a relative path", path, normal)
    hold("//" not in normal or "//" in path, "repeated slashes that did not come", path, normal)
    segments = normal.split("/")
    hold("." not in segments and ".." not in segments, "dot segments", path, normal)
    hold(_unreserved(normal) is None, "an escape that need not be", path, normal)
    hold(_lower(normal) is None, "an escape in small letters", path, normal)
    hold("%00" not in normal, "an escaped NUL", path)


def _readings(path: str, normal: str) -> None:
    """However a back-end reads the path, it leads where the normal form leads, read in the same way."""
    for read in (_decoded, _with_backslashes, _with_parameters):
        same(_place(read(path)), _place(read(normal)), "another reading leads elsewhere", path, normal, read)


def _decoded(path: str) -> bytes:
    """Escapes are decoded before anything else: those of slashes, too."""
    return unquote_to_bytes(path)


def _with_backslashes(path: str) -> bytes:
    """As on Windows."""
    return unquote_to_bytes(path).replace(b"\\", b"/")


def _with_parameters(path: str) -> bytes:
    """As in servlet containers: what stands behind a semicolon in a segment is a parameter."""
    return unquote_to_bytes(re.sub(";[^/]*", "", path))


def _place(path: bytes) -> bytes:
    return posixpath.normpath(b"/" + path.lstrip(b"/"))


def _routed(path: str, normal: str | None) -> None:
    request: Any = SimpleNamespace(path=path, host="h", method="GET", query="", headers=Headers())
    found = _ROUTES.match(request)
    if normal is None:
        same(found, None, "a path that can be read in different ways matches", path)
        return
    prefixes = [p for p in _PREFIXES if normal == p or normal.startswith(p + "/")]
    wanted = max(prefixes, key=len) if prefixes else "/"
    if normal == "/api/v1/x":
        wanted = "exact"
    elif _regex(normal):
        wanted = "regex"
    same(found, wanted, "another matcher", path, normal)


def _rewritten(rewrite: Rewrite, target: str, added: str) -> None:
    try:
        found = rewrite.apply(target)
    except RouteError as error:
        hold(error.reason == "bad_request" and error.code in (None, 414), "another refusal", error.reason)
        return
    raw = found.encode("latin-1")
    match = match_target(raw)
    if match is None or match.end() != len(raw) or not found.startswith("/") or found.startswith("//"):
        fail("no origin-form", target, found)
    path, mark, query = found.partition("?")
    same((mark, query), target.partition("?")[1:], "another query")
    normal = normal_form(path)
    if normal is None:
        fail("what is rewritten can be read in different ways", target, found)
    within = not added or normal == added or normal.startswith(added + "/")
    hold(within, "it leads out of add_prefix", target, found)


def _parameters(query: str) -> None:
    wanted: dict[bytes, list[bytes]] = {}
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1", max_num_fields=None)
    for name, value in pairs:
        wanted.setdefault(name.encode("latin-1"), []).append(value.encode("latin-1"))
    same(parameters(query), wanted, "other parameters", query)
