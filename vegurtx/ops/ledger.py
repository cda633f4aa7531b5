"""`Ledger`: access log and metrics as one observer, with a short way for plain requests.

    a request has ended → plain?  → `Ledger.ended` counts it, and makes its line, in one go
                        → else    → `Ledger.otherwise`: `Traffic.note` and `AccessLog.note`, one after the other

Both ways come to the same. The short one is there for its price, which each request pays: what `Traffic` and
`AccessLog` do in several calls is done in one here, with what stays the same of a connection at hand.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from zope.interface import implementer

from vegurtx.interfaces import IObserver
from vegurtx.ops.access_log.log import AccessLog
from vegurtx.ops.access_log.writer import BATCH
from vegurtx.ops.metrics.histogram import BOUNDS, SHORTEST
from vegurtx.ops.metrics.traffic import METHOD_PLACES, OTHER_METHODS, Traffic
from vegurtx.proxy.observing import FIRST_BYTE, PLAIN_EVENTS, durations


class _Client:
    """What is the same for the requests of one connection, as long as their header fields are."""

    __slots__ = ("constant", "intake", "requests")

    def __init__(self, intake: Any, requests: list[int], constant: Any) -> None:
        self.intake = intake
        #: of `Traffic`: the counts of the listener that it came in by
        self.requests = requests
        #: of the log's format
        self.constant = constant


@implementer(IObserver)
class Ledger:
    """Tells an `AccessLog` and a `Traffic`.

    :param log: the access log; `None`: there is none.
    :param traffic: the metrics' numbers.
    """

    def __init__(self, log: AccessLog | None, traffic: Traffic) -> None:
        self._log = log
        self._traffic = traffic
        self._queue, self._first_byte, self._total = traffic.queue, traffic.first_byte, traffic.total
        self._lines: Any = None
        if log is not None:
            self._lines = log.writer.batch
            self._line = log.format.plain
        #: the service of the last request, and its name as the log's format wants it
        self._service: Any = None
        self._name = b"" if log is None else log.named(None)
        self._clients: dict[Any, _Client] = {}

    def ended(self, request: Any, status: str, reason: Any, domain_group: Any, service: Any) -> None:
        """See `IObserver`."""
        exchange = request.exchange
        events = request.log.events
        code = request.response_code
        # As in `durations`: a plain request's events stand where they always do.
        if status != "normal" or len(events) != PLAIN_EVENTS or events[25] != FIRST_BYTE or code == 101:
            self.otherwise(request, status, reason, domain_group, service)
            return
        client = self._clients.get(exchange.connection)
        if client is None or client.intake is not exchange.intake:
            client = self._remember(exchange)
        accepted, chosen, connected, sent = events[0], events[3], events[9], events[21]
        queue = chosen - accepted
        first_byte = events[24] - sent
        total = events[33] - accepted
        size = request.received

        # What `Traffic.note` does.
        client.requests[METHOD_PLACES.get(exchange.head.method, OTHER_METHODS) + code // 100] += 1
        traffic = self._traffic
        traffic.received += size
        traffic.sent += request.sent
        histogram = self._queue
        histogram.sum += queue
        histogram.counts[bisect_left(BOUNDS, queue) if queue > SHORTEST else 0] += 1
        histogram = self._first_byte
        histogram.sum += first_byte
        histogram.counts[bisect_left(BOUNDS, first_byte) if first_byte > SHORTEST else 0] += 1
        histogram = self._total
        histogram.sum += total
        histogram.counts[bisect_left(BOUNDS, total) if total > SHORTEST else 0] += 1
        if chosen is not connected:  # else it came from the pool
            traffic.connect.observe(connected - events[6])

        # What `AccessLog.note` does.
        lines = self._lines
        if lines is None:
            return
        if service is not self._service:
            self._service = service
            self._name = self._log.named(service)  # type: ignore[union-attr]
        lines.append(
            self._line(
                exchange,
                client.constant,
                self._name,
                size,
                exchange.accepted_at + total,
                events[30] - sent,
            )
        )
        count = len(lines)
        if count == 1 or count >= BATCH:
            self._log.writer.look()  # type: ignore[union-attr]

    def _remember(self, exchange: Any) -> _Client:
        connection, log = exchange.connection, self._log
        requests = self._traffic.requests_by(connection.factory.label)
        client = _Client(exchange.intake, requests, None if log is None else log.format.constant(exchange))
        if connection in exchange.proxy.connections:  # else it is gone, and `closed` has been told
            self._clients[connection] = client
        return client

    def otherwise(self, request: Any, status: str, reason: Any, domain_group: Any, service: Any) -> None:
        """A request has ended that took another way than most. Arguments as of `IObserver.ended`."""
        spans = durations(request.log.events)
        self._traffic.note(request, status, reason, spans)
        if self._log is not None:
            self._log.note(request, status, reason, service, spans)

    def rejected(self, error: Any, connection: Any) -> None:
        """See `IObserver`."""
        self._traffic.rejected(error, connection)
        if self._log is not None:
            self._log.rejected(error, connection)

    def opened(self, connection: Any) -> None:
        """See `IObserver`."""
        self._traffic.opened(connection)

    def closed(self, connection: Any) -> None:
        """See `IObserver`."""
        self._clients.pop(connection, None)
        self._traffic.closed(connection)
        if self._log is not None:
            self._log.closed(connection)
