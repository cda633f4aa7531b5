"""Which events are written: a least level, and others for single namespaces.

A namespace is a module's dotted name, and stands for all below it: ``vegurtx.balance`` for ``vegurtx.balance.names``,
too. The longest that fits decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from twisted.logger import InvalidLogLevelError, LogLevel, LogLevelFilterPredicate

LEVELS = ("debug", "info", "warn", "error", "critical")
DEFAULT_LEVEL = "info"

_NAMESPACE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*").fullmatch


class LevelError(ValueError):
    """A text does not say levels; the message says why."""


@dataclass(frozen=True)
class Levels:
    """The least level of all events, and of those of some namespaces; all out of `LEVELS`."""

    least: str = DEFAULT_LEVEL
    of_namespaces: Mapping[str, str] = field(default_factory=dict)

    def predicate(self) -> LogLevelFilterPredicate:
        """The same for a `twisted.logger.FilteringLogObserver`."""
        made = LogLevelFilterPredicate()
        self.apply(made)
        return made

    def apply(self, predicate: LogLevelFilterPredicate) -> None:
        """Set them in a `predicate` that is in use already; what it says of other namespaces stays."""
        predicate.setLogLevelForNamespace("", _constant(self.least))
        for namespace, level in self.of_namespaces.items():
            predicate.setLogLevelForNamespace(namespace, _constant(level))


def _constant(name: str) -> LogLevel:
    try:
        found: LogLevel = LogLevel.levelWithName(name)
        return found
    except InvalidLogLevelError:
        raise LevelError(
            f"{name!r} is no level; it must be {', '.join(LEVELS[:-1])} or {LEVELS[-1]}"
        ) from None


def parse_levels(text: str) -> Levels:
    """Read ``info,vegurtx.balance=debug,vegurtx.net=error``: levels of namespaces, and one without a namespace for
    all others, in any order.

    :raises LevelError: a level is unknown, a namespace is none, or something is said twice.
    """
    least: str | None = None
    of_namespaces: dict[str, str] = {}
    for part in text.split(","):
        namespace, given, level = part.strip().rpartition("=")
        namespace, level = namespace.strip(), level.strip().lower()
        _constant(level)
        if not given:
            if least is not None:
                raise LevelError(f"two levels for all: {least} and {level}")
            least = level
        elif _NAMESPACE(namespace) is None:
            raise LevelError(f"{namespace!r} is no namespace; it must be a module's name, as vegurtx.balance")
        elif namespace in of_namespaces:
            raise LevelError(f"two levels for {namespace}: {of_namespaces[namespace]} and {level}")
        else:
            of_namespaces[namespace] = level
    return Levels(least or DEFAULT_LEVEL, of_namespaces)
