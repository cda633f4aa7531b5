"""The request log: what happened to a request, and when (vegur's ``vegur_req_log``).

Events are stamped with the reactor's time; whoever reads gets seconds since the epoch, and durations in whole
milliseconds. An event with a duration is stamped twice, with the details ``"pre"`` and ``"post"``. What the proxy
stamps, and when, is in ``docs/request-log.md``; routers and middlewares may `stamp` events of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Report = list[tuple[str, int]]

#: milliseconds; the sum of two floats may fall short of a whole one by so much
COARSE = 1e-3


class RequestLog:
    """The events of one request, in their order.

    :param accepted_at: seconds since the epoch at which the request was accepted.
    :param now: the reactor's time of that moment, in seconds.
    :param seconds: the reactor's clock, for `stamp`.
    """

    __slots__ = ("_epoch", "_seconds", "events")

    def __init__(self, accepted_at: float, now: float, seconds: Callable[[], float]) -> None:
        self._epoch = accepted_at - now
        self._seconds = seconds
        #: reactor time, name, details, and again: flat, since that is the cheapest to write; the proxy adds to it
        self.events: list[Any] = [now, "accepted", None]

    def stamp(self, name: str, details: object = None) -> None:
        """The event `name` happens now."""
        self.events += (self._seconds(), name, details)

    def __iter__(self) -> Iterator[tuple[float, str, object]]:
        """The events as they were stamped: seconds since the epoch, name, details."""
        events, epoch = self.events, self._epoch
        for place in range(0, len(events), 3):
            yield events[place] + epoch, events[place + 1], events[place + 2]

    def _backwards(self) -> Iterator[tuple[float, str, object]]:
        """The events, the last one first."""
        events = self.events
        return zip(events[-3::-3], events[-2::-3], events[::-3], strict=True)

    def event(self, name: str) -> float | None:
        """When `name` happened last, in seconds since the epoch; `None` if it has not."""
        at = self._at(name)
        return None if at is None else at + self._epoch

    def _at(self, name: str) -> float | None:
        for at, event, _ in self._backwards():
            if event == name:
                return at
        return None

    def event_duration(self, name: str) -> int | None:
        """How long `name` took the last time, in milliseconds; `None` if it has not ended."""
        end: float | None = None
        for at, event, details in self._backwards():
            if event == name:
                if details == "post" and end is None:
                    end = at
                elif details == "pre":
                    return None if end is None else milliseconds(end - at)
        return None

    def between(self, first: str, last: str) -> int | None:
        """Milliseconds from the event `first` to the event `last` (of each, the last one); `None` if one is missing."""
        begin, end = self._at(first), self._at(last)  # not since the epoch: such floats are too coarse
        return None if begin is None or end is None else milliseconds(end - begin)

    def linear_report(self, wanted: Callable[[str], bool] | None = None) -> Report:
        """The way from event to event: ``[("init", 0), ("accepted_to_pre_connect", 1), …, ("total", 7)]``.

        :param wanted: takes an event's name; events for which it is false are left out.
        :returns: each step's name and its milliseconds, rounded. From the begin to the first event it is ``init``;
            between two events ``A_to_B``, of one name just that name; from the last event until now ``A_until_end``;
            at the end ``total`` (vegur's ``linear_report``).
        """
        all_events = reversed(list(self._backwards()))
        events = [(at, name) for at, name, _ in all_events if wanted is None or wanted(name)]
        events.sort(key=lambda event: event[0])
        begin, now = self.events[0], self._seconds()
        report: Report = []
        before, at_before = "", begin
        for at, name in events:
            step = "init" if not before else name if name == before else f"{before}_to_{name}"
            report.append((step, _rounded(at - at_before)))
            before, at_before = name, at
        report.append((f"{before}_until_end" if before else "init", _rounded(now - at_before)))
        report.append(("total", _rounded(now - begin)))
        return report

    @staticmethod
    def flatten_report(report: Iterable[tuple[str, int]]) -> Report:
        """`report` with the steps of one name added up, in the order of their first appearance."""
        sums: dict[str, int] = {}
        for name, duration in report:
            sums[name] = sums.get(name, 0) + duration
        return list(sums.items())


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, never negative."""
    return max(0, int(seconds * 1000 + COARSE))


def _rounded(seconds: float) -> int:
    return max(0, int(seconds * 1000 + 0.5 + COARSE))  # a half goes up, as in Erlang
