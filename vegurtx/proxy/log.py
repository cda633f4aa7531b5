"""The request log: what happened to a request, and when (vegur's ``vegur_req_log``).

Events are stamped with the reactor's time; whoever reads gets seconds since the epoch, and durations in whole
milliseconds. An event with a duration is stamped twice, with the details ``"pre"`` and ``"post"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

Report = list[tuple[str, int]]


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
        #: ``(reactor time, name, details)``; the proxy appends to it
        self.events: list[tuple[float, str, object]] = [(now, "accepted", None)]

    def stamp(self, name: str, details: object = None) -> None:
        """The event `name` happens now."""
        self.events.append((self._seconds(), name, details))

    def event(self, name: str) -> float | None:
        """When `name` happened last, in seconds since the epoch; `None` if it has not."""
        for at, event, _ in reversed(self.events):
            if event == name:
                return at + self._epoch
        return None

    def event_duration(self, name: str) -> int | None:
        """How long `name` took the last time, in milliseconds; `None` if it has not ended."""
        end: float | None = None
        for at, event, details in reversed(self.events):
            if event == name:
                if details == "post" and end is None:
                    end = at
                elif details == "pre":
                    return None if end is None else _milliseconds(end - at)
        return None

    def between(self, first: str, last: str) -> int | None:
        """Milliseconds from the event `first` to the event `last` (of each, the last one); `None` if one is missing."""
        begin, end = self.event(first), self.event(last)
        return None if begin is None or end is None else _milliseconds(end - begin)

    def linear_report(self, wanted: Callable[[str], bool] | None = None) -> Report:
        """The way from event to event, in milliseconds: ``[("accepted_to_pre_connect", 1), …, ("total", 7)]``.

        :param wanted: takes an event's name; events for which it is false are left out.
        """
        events = [event for event in self.events if wanted is None or wanted(event[1])]
        events.sort(key=lambda event: event[0])
        begin, now = self.events[0][0], self._seconds()
        report: Report = []
        before, at_before = "", begin
        for at, name, _ in events:
            step = "init" if not before else name if name == before else f"{before}_to_{name}"
            report.append((step, _milliseconds(at - at_before)))
            before, at_before = name, at
        if before:
            report.append((f"{before}_until_end", _milliseconds(now - at_before)))
        report.append(("total", _milliseconds(now - begin)))
        return report

    @staticmethod
    def flatten_report(report: Iterable[tuple[str, int]]) -> Report:
        """`report` with the steps of one name added up, in the order of their first appearance."""
        sums: dict[str, int] = {}
        for name, duration in report:
            sums[name] = sums.get(name, 0) + duration
        return list(sums.items())


def _milliseconds(seconds: float) -> int:
    return max(0, int(seconds * 1000 + 1e-6))  # whole ones; the sum of two floats may fall short of one
