"""Access log and metrics as one observer: what both want to know of a request is worked out once."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from vegurtx.interfaces import IObserver
from vegurtx.ops.access_log.log import AccessLog
from vegurtx.ops.metrics.traffic import Traffic
from vegurtx.proxy.observing import durations


@implementer(IObserver)
class Recorder:
    """Tells an `AccessLog` and a `Traffic`."""

    def __init__(self, log: AccessLog, traffic: Traffic) -> None:
        self._log = log
        self._traffic = traffic
        self._note_line = log.note
        self._note_numbers = traffic.note

    def ended(self, request: Any, status: str, reason: Any, domain_group: Any, service: Any) -> None:
        """See `IObserver`."""
        spans = durations(request.log.events)
        self._note_numbers(request, status, reason, spans)
        self._note_line(request, status, reason, service, spans)

    def rejected(self, error: Any, connection: Any) -> None:
        """See `IObserver`."""
        self._traffic.rejected(error, connection)
        self._log.rejected(error, connection)

    def opened(self, connection: Any) -> None:
        """See `IObserver`."""
        self._traffic.opened(connection)

    def closed(self, connection: Any) -> None:
        """See `IObserver`."""
        self._traffic.closed(connection)
        self._log.closed(connection)
