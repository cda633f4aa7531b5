"""What may come of a request: outcomes that are planned for, and those that are findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

#: what the client sees in place of a status when its connection breaks off inside the response, or before it
BROKEN = 0


class Outcome(NamedTuple):
    """One way in which a request may end."""

    status: int
    """What the client sees; `BROKEN`: no whole response."""
    codes: frozenset[str]
    """What the access log may call it; ``""``: no error."""


def ends(status: int, *codes: str) -> Outcome:
    """Return the outcome `status`, with one of these codes in the access log (none: no error)."""
    return Outcome(status, frozenset(codes or ("",)))


class Entry(NamedTuple):
    """What the access log must say of a request."""

    id: str
    conversation: int
    kind: str
    codes: frozenset[str]
    """One of these."""
    statuses: frozenset[int]
    """One of these; none: any."""
    lines: tuple[int, int]
    """At least and at most so many lines."""
    at: float
    """When that was known (`time.monotonic`)."""

    def as_json(self) -> list[Any]:
        """Plain values; `of` makes an entry of them."""
        return [
            self.id,
            self.conversation,
            self.kind,
            sorted(self.codes),
            sorted(self.statuses),
            self.lines,
            self.at,
        ]

    @classmethod
    def of(cls, values: Iterable[Any]) -> Entry:
        """See `as_json`."""
        id, conversation, kind, codes, statuses, lines, at = values
        return cls(id, conversation, kind, frozenset(codes), frozenset(statuses), tuple(lines), at)


class Finding(Exception):
    """Something that must not be. Its text says what."""
