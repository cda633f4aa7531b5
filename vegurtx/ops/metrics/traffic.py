"""`Traffic`: the observer that counts requests. On their way it does nothing but add to plain numbers.

Labels are bounded: methods out of a list, statuses by their class, reasons out of the reasons table. No path and no
host is ever one.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from zope.interface import implementer

from vegurtx.errors import REJECTIONS
from vegurtx.interfaces import IObserver
from vegurtx.ops.access_log.codes import CLIENT_GONE, ending
from vegurtx.ops.metrics.families import Family
from vegurtx.ops.metrics.histogram import BOUNDS, SHORTEST, Histogram
from vegurtx.proxy.observing import Durations, durations

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "other")
CLASSES = 10  # of codes, by their first digit; back-ends may send any but 0
#: where a method's counts begin; and those of the methods that are not in the list
METHOD_PLACES = {method.encode("ascii"): CLASSES * place for place, method in enumerate(METHODS[:-1])}
OTHER_METHODS = CLASSES * (len(METHODS) - 1)


class _Door:
    """What came in by one listener."""

    __slots__ = ("open", "opened", "requests")

    def __init__(self) -> None:
        self.opened = 0
        self.open = 0
        #: by method and class of code
        self.requests = [0] * (CLASSES * len(METHODS))


@implementer(IObserver)
class Traffic:
    """Counts what it is told. `families` says what it has come to."""

    def __init__(self) -> None:
        self._doors: dict[str, _Door] = {}
        self._errors: dict[tuple[str, str], int] = {}
        self._rejected: dict[str, int] = {}
        self.received = 0
        self.sent = 0
        self.tunnels = 0
        self.queue = Histogram()
        self.connect = Histogram()
        self.first_byte = Histogram()
        self.total = Histogram()

    # -- what happens -----------------------------------------------------------------------------------------------

    def ended(self, request: Any, status: str, reason: Any, domain_group: Any, service: Any) -> None:
        """See `IObserver`."""
        self.note(request, status, reason, durations(request.log.events))

    def note(self, request: Any, status: str, reason: Any, spans: Durations) -> None:
        """As `ended`, for a caller who knows the durations."""
        exchange = request.exchange
        connection = exchange.connection
        code = request.response_code or CLIENT_GONE
        requests = self.requests_by(connection.factory.label)
        requests[METHOD_PLACES.get(exchange.head.method, OTHER_METHODS) + code // 100] += 1
        self.received += request.received
        self.sent += request.sent
        queue, connect, first_byte, _, total = spans
        if queue is not None:
            histogram = self.queue
            histogram.sum += queue
            # most are in the first bucket
            histogram.counts[bisect_left(BOUNDS, queue) if queue > SHORTEST else 0] += 1
            if connect is not None:
                self.connect.observe(connect)
            if first_byte is not None:
                histogram = self.first_byte
                histogram.sum += first_byte
                histogram.counts[bisect_left(BOUNDS, first_byte)] += 1
        if code == 101:
            self.tunnels += 1
        else:
            histogram = self.total
            histogram.sum += total
            histogram.counts[bisect_left(BOUNDS, total)] += 1
        if status == "error":
            how = ending(request, reason)
            key = (how.label, how.code)
            self._errors[key] = self._errors.get(key, 0) + 1

    def requests_by(self, listener: str) -> list[int]:
        """The counts of the requests that came in by `listener` (its label): where a method's are says `METHOD_PLACES`,
        and the class of the code (its first digit) what is added to that. Whoever counts adds to them.
        """
        return self._door(listener).requests

    def _door(self, label: str) -> _Door:
        door = self._doors.get(label)
        if door is None:
            door = self._doors[label] = _Door()
        return door

    def rejected(self, error: Any, connection: Any) -> None:
        """See `IObserver`."""
        what = error.what if error.what in REJECTIONS else "other"
        self._rejected[what] = self._rejected.get(what, 0) + 1

    def opened(self, connection: Any) -> None:
        """See `IObserver`."""
        door = self._door(connection.factory.label)
        door.opened += 1
        door.open += 1

    def closed(self, connection: Any) -> None:
        """See `IObserver`."""
        self._door(connection.factory.label).open -= 1

    # -- what it has come to ------------------------------------------------------------------------------------------

    @property
    def requests(self) -> int:
        """All requests that have ended."""
        return sum(sum(door.requests) for door in self._doors.values())

    def families(self) -> list[Family]:
        """All numbers as they stand."""
        return [*self._requests(), *self._connections(), *self._bytes(), *self._histograms()]

    def _requests(self) -> list[Family]:
        requests = Family(
            "vegurtx_requests_total",
            "counter",
            "Requests that have ended, by the status that the client got (499: it was gone).",
            ("listener", "code_class", "method"),
        )
        for label, door in self._doors.items():
            for place, count in enumerate(door.requests):
                if count:
                    method, code_class = divmod(place, CLASSES)
                    requests.add(count, label, f"{code_class}xx", METHODS[method])
        errors = Family(
            "vegurtx_request_errors_total",
            "counter",
            "Requests that went wrong, by the reason and Heroku's code for it.",
            ("reason", "code"),
        )
        for (reason, code), count in self._errors.items():
            errors.add(count, reason, code)
        rejected = Family(
            "vegurtx_rejected_requests_total",
            "counter",
            "What was no request, and is in no other number: answered by the proxy, and its connection closed.",
            ("reason",),
        )
        for what in REJECTIONS:
            rejected.add(self._rejected.get(what, 0), what)
        return [requests, errors, rejected]

    def _connections(self) -> list[Family]:
        opened = Family(
            "vegurtx_client_connections_total", "counter", "Clients' connections so far.", ("listener",)
        )
        now = Family("vegurtx_client_connections", "gauge", "Clients' open connections.", ("listener",))
        for label, door in self._doors.items():
            opened.add(door.opened, label)
            now.add(door.open, label)
        tunnels = Family("vegurtx_tunnels_total", "counter", "Upgraded connections (101) that have ended.")
        tunnels.add(self.tunnels)
        return [opened, now, tunnels]

    def _bytes(self) -> list[Family]:
        sent = Family(
            "vegurtx_backend_sent_bytes_total", "counter", "Bytes sent to back-ends, heads included."
        )
        sent.add(self.sent)
        received = Family(
            "vegurtx_backend_received_bytes_total",
            "counter",
            "Bytes received from back-ends, heads included.",
        )
        received.add(self.received)
        return [sent, received]

    def _histograms(self) -> list[Family]:
        made = []
        for name, histogram, description in (
            ("queue", self.queue, "From a request's acceptance to its (last) connect: router and queue."),
            (
                "connect",
                self.connect,
                "New connections to back-ends; what came from the pool does not count.",
            ),
            ("first_byte", self.first_byte, "From the request's being sent to the response's first byte."),
            ("request", self.total, "From a request's acceptance to its end; tunnels do not count."),
        ):
            family = Family(f"vegurtx_{name}_duration_seconds", "histogram", description, bounds=BOUNDS)
            family.add(histogram.distribution())
            made.append(family)
        return made
