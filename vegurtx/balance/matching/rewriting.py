"""What of a path a replica gets: ``rewrite``.

A rewritten path must not lead where its rules do not: what a client puts into it never climbs out of ``add_prefix``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from vegurtx.balance.matching.conditions import LONGEST, compiled
from vegurtx.balance.matching.normal_form import normal_form
from vegurtx.errors import RouteError

#: characters of a path that a replacement may make
_LONGEST_RESULT = 8192

_has_dots = re.compile(r"/(?:\.|%2[Ee]){1,2}(?:/|\Z)").search
#: what a path must not have: all but visible ASCII without ``#`` and ``?`` (RFC 9112 section 3.2)
_unfit = re.compile(r"[^!\"$->@-~]").sub
_leading_slashes = re.compile(r"//+").match


class Rewrite:
    """Compiled rules: first ``strip_prefix``, then ``regex`` and ``replacement``, then ``add_prefix``.

    The path is taken as it came; where it has dot segments, or its prefix shows only in the normal form
    (`vegurtx.balance.matching.normal_form`), that form is taken. The query stays as it is. The result is always an
    origin-form: it begins with one slash, and what no target may have is percent-encoded.

    :param config: a `vegurtx.balance.config.RewriteConfig`.
    :param prefixes: those of the matchers; with ``strip_prefix: true``, the longest that fits goes.
    :raises ValueError: the expression is none, or its replacement does not fit.
    """

    __slots__ = ("_add", "_pattern", "_prefixes", "_replacement")

    def __init__(self, config: Any, prefixes: Iterable[str] = ()) -> None:
        strip = config.strip_prefix
        stripped = prefixes if strip is True else [strip] if strip else []
        forms = {(normal_form(prefix) or prefix).rstrip("/") for prefix in stripped}
        self._prefixes = sorted((prefix for prefix in forms if prefix), key=len, reverse=True)
        self._add = (config.add_prefix or "").rstrip("/")
        self._pattern = None
        self._replacement = config.replacement or ""
        if config.regex is not None:
            self._pattern = compiled(config.regex)
            try:
                self._pattern.sub(self._replacement, "")
            except (re.error, IndexError) as error:
                raise ValueError(
                    f"{self._replacement[:60]!a} does not fit {config.regex[:60]!a}: {error}"
                ) from None

    def apply(self, target: str) -> str:
        """The target that the replica gets.

        :param target: in origin-form; anything else (``*``) stays as it is.
        :raises RouteError: ``bad_request``: the path can be read in different ways, some of them beyond the rules
            (400); or it is too long for its expression (414).
        """
        if not target.startswith("/"):
            return target
        path, mark, query = target.partition("?")
        path = _plain(path)
        if self._prefixes:
            path = self._stripped(path)
        if self._pattern is not None:
            path = self._replaced(path)
        path = self._add + path if path.startswith("/") else f"{self._add}/{path}"
        slashes = _leading_slashes(path)
        if slashes is not None:  # a host, to those who take the target for a reference (RFC 3986 section 4.2)
            path = path[slashes.end() - 1 :]
        return path + mark + query

    def _replaced(self, path: str) -> str:
        assert self._pattern is not None
        if len(path) > LONGEST:
            raise RouteError("bad_request", 414)
        # in the form that matchers see, or an escape would get a path past the rule
        path = normal_form(path if path.startswith("/") else "/" + path) or "/"
        changed = self._pattern.sub(self._replacement, path)
        if len(changed) > _LONGEST_RESULT:
            raise RouteError("bad_request", 414)
        # What was put together may read as what none of its parts was.
        changed = _unfit(_escaped, changed)
        return _plain(changed if changed.startswith("/") else "/" + changed)

    def _stripped(self, path: str) -> str:
        rest = _without(path, self._prefixes)
        if rest is None:
            normal = normal_form(path)
            rest = None if normal is None else _without(normal, self._prefixes)
        return path if rest is None else rest


def _without(path: str, prefixes: Sequence[str]) -> str | None:
    for prefix in prefixes:
        if path.startswith(prefix):
            rest = path[len(prefix) :]
            if not rest or rest.startswith("/"):
                return rest
    return None


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in match[0].encode("utf-8", "replace"))


def _plain(path: str) -> str:
    """`path` without dot segments."""
    normal = normal_form(path)
    if normal is None:
        raise RouteError("bad_request")
    return normal if _has_dots(path) is not None else path


def rewrite_target(target: str, config: Any, prefixes: Sequence[str] = ()) -> str:
    """`Rewrite` for one target. The compiled rules are remembered.

    :param target: in origin-form.
    :param config: a `vegurtx.balance.config.RewriteConfig`.
    :param prefixes: those of the matchers, for ``strip_prefix: true``.
    :raises RouteError: as `Rewrite.apply` does.
    """
    return _remembered(config, tuple(prefixes)).apply(target)


_remembered = lru_cache(maxsize=256)(Rewrite)
