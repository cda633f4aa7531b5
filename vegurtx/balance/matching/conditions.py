"""A matcher's conditions beside host and path, compiled: what of the method, a header or the query must be so."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

from vegurtx.balance.strategies.keys import parameters

#: whether a request, with the normal form of its path, meets a condition
Condition = Callable[[Any, str], bool]

#: characters of a path or a value that a regular expression is asked about; a longer one does not match. What some
#: expressions cost grows with the square of the length, or worse.
LONGEST = 4096


def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression of the file.

    :raises ValueError: it is none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a future version of Python may read differently
            return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern[:60]!a} is not a regular expression: {error}") from None


def whole(pattern: str) -> Callable[[str], bool]:
    """Whether a regular expression matches a path, from its begin to its end."""
    match = compiled(pattern).fullmatch

    def matches(path: str) -> bool:
        return len(path) <= LONGEST and match(path) is not None

    return matches


def conditions(matcher: Any) -> list[Condition]:
    """Those of a `vegurtx.balance.config.MatcherConfig` on method, headers and query. The cheapest is the first one.

    :raises ValueError: a regular expression is none.
    """
    found: list[Condition] = []
    if matcher.method:
        found.append(
            _method(frozenset([matcher.method] if isinstance(matcher.method, str) else matcher.method))
        )
    found += [_query(name, wanted) for name, wanted in (matcher.query or {}).items()]
    found += [_header(name, wanted) for name, wanted in (matcher.header or {}).items()]
    return found


def all_of(several: list[Condition]) -> Condition | None:
    """The condition that all of them hold; ``None``: there is none."""
    if len(several) < 2:
        return several[0] if several else None
    tests = tuple(several)

    def all_hold(request: Any, path: str) -> bool:
        for test in tests:  # noqa: SIM110 (a generator costs more than all the tests)
            if not test(request, path):
                return False
        return True

    return all_hold


def _method(methods: frozenset[str]) -> Condition:
    return lambda request, path: request.method in methods


def _header(name: str, wanted: Any) -> Condition:
    raw = name.encode("latin-1")
    if wanted is True:
        return lambda request, path: raw in request.headers
    fits = _value(wanted)
    return lambda request, path: fits(request.headers.getall(raw))


def _query(name: str, wanted: Any) -> Condition:
    raw = name.encode()
    if wanted is True:
        return lambda request, path: raw in parameters(request.query)
    fits = _value(wanted)
    return lambda request, path: fits(parameters(request.query).get(raw, ()))


def _value(wanted: Any) -> Callable[[Any], bool]:
    """Whether one of some values is as wanted: the same octets as the text in UTF-8, or found by the expression."""
    if isinstance(wanted, str):
        exact = wanted.encode()
        return lambda values: exact in values
    search = compiled(wanted.regex).search

    def found(values: Any) -> bool:
        return any(
            len(value) <= LONGEST and search(value.decode("utf-8", "replace")) is not None for value in values
        )

    return found
