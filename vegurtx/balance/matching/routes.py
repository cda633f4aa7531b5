"""All matchers of a file, compiled: from a request to where it goes.

The most specific matcher wins. Matchers are compared by these, in this order:

1. ``priority``: the higher one.
2. The host: an exact one, then ``*.example.com`` (the longer one), then none.
3. The path: an exact one, then a ``regex``, then a ``prefix`` (the longer one), then none. The prefix ``/`` is none.
4. More conditions on method, headers, query (and on the path, beside the strongest).
5. The file's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv6Address
from typing import Any

from vegurtx.balance.matching.normal_form import normal_form
from vegurtx.balance.matching.paths import Matcher, PathTable

#: characters; no name is longer (RFC 1035 section 2.3.4), so a longer host is nobody's
_LONGEST_HOST = 255


class Routes:
    """The compiled table.

    Its cost does not grow with the number of hosts, exact paths and prefixes, only with that of expressions which
    could hold, and of matchers that differ in nothing but other conditions.

    :param entries: ``(matchers, target)`` in the order of the file; the matchers are
        `vegurtx.balance.config.MatcherConfig` objects, any of which may hold, the target is anything but ``None``.
    :raises ValueError: a regular expression is none, or a path can be read in different ways.
    """

    __slots__ = ("_levels", "_reads_path", "match")

    def __init__(self, entries: Iterable[tuple[Sequence[Any], Any]]) -> None:
        matchers = [Matcher(config, target) for configs, target in entries for config in configs]
        levels: dict[int, list[Matcher]] = {}
        for matcher in matchers:
            levels.setdefault(matcher.priority, []).append(matcher)
        self._levels = tuple(_Level(levels[priority]) for priority in sorted(levels, reverse=True))
        #: where no matcher is about the path, every path is as good
        self._reads_path = any(matcher.reads_path for matcher in matchers)
        #: ``request → target``, or ``None`` where nothing matches
        self.match: Callable[[Any], Any] = self._by_path
        if any(matcher.hosts for matcher in matchers) or len(self._levels) != 1:
            self.match = self._by_host

    def _by_path(self, request: Any) -> Any:
        """Where there are no hosts and no priorities."""
        path = normal_form(request.path) if self._reads_path else ""
        return None if path is None else self._levels[0].anywhere.match(path, request)

    def _by_host(self, request: Any) -> Any:
        path = normal_form(request.path) if self._reads_path else ""
        if path is None:
            return None
        host = _canonical(request.host)
        for level in self._levels:
            target = level.match(host, path, request)
            if target is not None:
                return target
        return None


class _Level:
    """The matchers of one priority."""

    __slots__ = ("_below", "_hosts", "anywhere")

    def __init__(self, matchers: list[Matcher]) -> None:
        exact: dict[str, list[Matcher]] = {}
        below: dict[str, list[Matcher]] = {}
        for matcher in matchers:
            for host in dict.fromkeys(host.lower() for host in matcher.hosts):
                if host.startswith("*."):
                    below.setdefault(_canonical(host[2:]), []).append(matcher)
                else:
                    exact.setdefault(_canonical(host), []).append(matcher)
        self._hosts = {host: PathTable(several) for host, several in exact.items()}
        #: by what stands behind ``*.``
        self._below = {host: PathTable(several) for host, several in below.items()}
        self.anywhere = PathTable(matcher for matcher in matchers if not matcher.hosts)

    def match(self, host: str, path: str, request: Any) -> Any:
        table = self._hosts.get(host)
        if table is not None:
            target = table.match(path, request)
            if target is not None:
                return target
        if self._below and len(host) <= _LONGEST_HOST:
            at = host.find(".", 1)
            while at >= 0:
                table = self._below.get(host[at + 1 :])
                if table is not None:
                    target = table.match(path, request)
                    if target is not None:
                        return target
                at = host.find(".", at + 1)
        return self.anywhere.match(path, request)


def _canonical(host: str) -> str:
    """A name without the root's dot; an IPv6 address in its short form."""
    if host.endswith("."):
        return host[:-1]
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return host
    return host
