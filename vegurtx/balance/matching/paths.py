"""Matchers of one host, by path: exact, then expressions, then the longest prefix, then those that do not care."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from vegurtx.balance.matching.conditions import Condition, all_of, conditions, whole
from vegurtx.balance.matching.normal_form import normal_form

#: what remains to be looked at, and where it leads; the first that holds wins
Bucket = tuple[tuple[Condition | None, Any], ...]

#: prefixes that one expression looks for
_FEW = 24


class Matcher:
    """One matcher, taken apart.

    :param config: a `vegurtx.balance.config.MatcherConfig`.
    :param target: where it leads.
    :raises ValueError: a regular expression is none, or a path has no normal form.
    """

    __slots__ = ("hosts", "path", "prefix", "priority", "regex", "specificity", "target", "test")

    def __init__(self, config: Any, target: Any) -> None:
        self.target = target
        self.priority: int = config.priority or 0
        hosts = config.host or ()
        self.hosts: tuple[str, ...] = (hosts,) if isinstance(hosts, str) else tuple(hosts)
        path = _normal(config.path)
        prefix = _normal(config.prefix)
        prefix = None if prefix is None else prefix.rstrip("/") or None  # "/" is what every path begins with
        regex = None if config.regex is None else whole(config.regex)
        rest = conditions(config)
        # Of several conditions on the path the strongest says where to look, the others are looked at there.
        if path is not None and regex is not None:
            rest.insert(0, _regex_holds(regex))
            regex = None
        if prefix is not None and (path is not None or regex is not None):
            rest.insert(0, _prefix_holds(prefix))
            prefix = None
        self.path, self.regex, self.prefix = path, regex, prefix
        self.test = all_of(rest)
        #: how many conditions there are beside host and path; more of them go first
        self.specificity = len(rest)

    @property
    def reads_path(self) -> bool:
        """Whether the path matters to it."""
        return self.path is not None or self.regex is not None or self.prefix is not None


class PathTable:
    """Finds the most specific of some matchers.

    :param matchers: in the order of the file.
    """

    __slots__ = ("_depth", "_exact", "_expression", "_longest", "_patterns", "_prefixes", "_rest")

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        ordered = sorted(matchers, key=lambda matcher: -matcher.specificity)  # stable: then the file's order
        exact: dict[str, list[Matcher]] = {}
        prefixes: dict[str, list[Matcher]] = {}
        rest: list[Matcher] = []
        self._patterns: list[tuple[Callable[[str], bool], Condition | None, Any]] = []
        for matcher in ordered:
            if matcher.path is not None:
                exact.setdefault(matcher.path, []).append(matcher)
            elif matcher.regex is not None:
                self._patterns.append((matcher.regex, matcher.test, matcher.target))
            elif matcher.prefix is not None:
                prefixes.setdefault(matcher.prefix, []).append(matcher)
            else:
                rest.append(matcher)
        self._exact = {path: _bucket(several) for path, several in exact.items()}
        self._rest = _bucket(rest)
        #: what a longest prefix leads to: its own matchers, then those of the shorter ones, then those without
        self._prefixes = {
            prefix: _bucket([*chain.from_iterable(prefixes.get(part, ()) for part in _parts(prefix)), *rest])
            for prefix in prefixes
        }
        #: segments of the longest prefix
        self._depth = max((prefix.count("/") for prefix in prefixes), default=0)
        self._longest = self._by_segments
        if len(prefixes) <= _FEW:
            ordered_prefixes = sorted(prefixes, key=len, reverse=True)
            self._expression = re.compile(
                f"(?:{'|'.join(map(re.escape, ordered_prefixes))})(?=/|\\Z)" if prefixes else r"(?!)"
            ).match
            self._longest = self._by_expression

    def match(self, path: str, request: Any) -> Any:
        """The target of the most specific matcher that holds; ``None`` if none does.

        :param path: in its normal form.
        """
        if self._exact:
            bucket = self._exact.get(path)
            if bucket is not None:
                for test, target in bucket:
                    if test is None or test(request, path):
                        return target
        for matches, test, target in self._patterns:
            if matches(path) and (test is None or test(request, path)):
                return target
        for test, target in self._longest(path) if self._depth else self._rest:
            if test is None or test(request, path):
                return target
        return None

    def _by_expression(self, path: str) -> Bucket:
        """What the longest prefix leads to. With few of them this takes half the time."""
        found = self._expression(path)
        return self._rest if found is None else self._prefixes[found[0]]

    def _by_segments(self, path: str) -> Bucket:
        """What the longest prefix leads to, however many there are."""
        get = self._prefixes.get
        longest = self._rest
        at = 0
        for _ in range(self._depth):
            at = path.find("/", at + 1)
            bucket = get(path if at < 0 else path[:at])
            if bucket is not None:
                longest = bucket
            if at < 0:
                break
        return longest


def _parts(prefix: str) -> list[str]:
    """A prefix and those above it: ``/a/b``, ``/a``."""
    segments = prefix.split("/")
    return ["/".join(segments[:count]) for count in range(len(segments), 1, -1)]


def _bucket(matchers: list[Matcher]) -> Bucket:
    """What to try, up to the first one that always holds."""
    entries: list[tuple[Condition | None, Any]] = []
    for matcher in matchers:
        entries.append((matcher.test, matcher.target))
        if matcher.test is None:
            break
    return tuple(entries)


def _normal(path: str | None) -> str | None:
    if path is None:
        return None
    normal = normal_form(path)
    if normal is None:
        raise ValueError(
            f"{path[:60]!a} can be read in different ways; write it without dots and broken escapes"
        )
    return normal


def _regex_holds(matches: Callable[[str], bool]) -> Condition:
    return lambda request, path: matches(path)


def _prefix_holds(prefix: str) -> Condition:
    below = prefix + "/"
    return lambda request, path: path == prefix or path.startswith(below)
