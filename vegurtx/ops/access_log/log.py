"""`AccessLog`: the observer that makes a line of each request, and gives it to the writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from vegurtx.interfaces import IObserver
from vegurtx.ops.access_log.codes import ending
from vegurtx.ops.access_log.combined_format import CombinedFormat
from vegurtx.ops.access_log.contract import Format
from vegurtx.ops.access_log.json_format import JsonFormat
from vegurtx.ops.access_log.quoting import name_of
from vegurtx.ops.access_log.router_format import RouterFormat
from vegurtx.ops.access_log.writer import BATCH
from vegurtx.proxy.observing import Durations, durations

FORMATS: dict[str, Callable[[], Format]] = {
    "router": RouterFormat,
    "json": JsonFormat,
    "combined": CombinedFormat,
}

#: names of services that are remembered; a router may make up new ones for ever
_NAMES = 1024
#: characters of a name that are written
LONGEST_NAME = 200


@implementer(IObserver)
class AccessLog:
    """Writes a line for each request that has ended, and for what was none.

    :param format: one of `FORMATS`, by its name.
    :param writer: takes the lines: a `LineWriter`.
    :param wall: the time of day, in seconds since the epoch.
    :raises KeyError: there is no such format.
    """

    def __init__(self, format: str, writer: Any, wall: Callable[[], float]) -> None:
        made = FORMATS[format]()
        self.writer = writer
        self._write = writer.write
        #: the batch that is being filled; the writer empties it
        self._lines: list[bytes] = writer.batch
        self._wall = wall
        self.format = made
        self._plain = made.plain
        #: ``connection → (the last request's intake, what of its line stays the same)``
        self._constants: dict[Any, tuple[Any, Any]] = {}
        #: ``name of a service → the same, encoded``; and the last one's
        self._names: dict[str, bytes] = {}
        self._service: Any = None
        self._name = made.name("")

    def ended(self, request: Any, status: str, reason: Any, domain_group: Any, service: Any) -> None:
        """See `IObserver`."""
        self.note(request, status, reason, service, durations(request.log.events))

    def note(self, request: Any, status: str, reason: Any, service: Any, spans: Durations) -> None:
        """As `ended`, for a caller who knows the durations."""
        exchange = request.exchange
        connection = exchange.connection
        intake = exchange.intake
        constant = self._constants.get(connection)
        if constant is None or constant[0] is not intake:
            constant = self._remember(connection, exchange)
        if service is not self._service:
            self._service = service
            self._name = self.named(service)
        size = request.received
        at = exchange.accepted_at + spans[4]
        if size and status == "normal" and spans[3] is not None:
            line = self._plain(exchange, constant[1], self._name, size, at, spans[3])
        else:
            how = ending(request, reason) if status == "error" else None
            size = getattr(exchange, "page_size", size)
            line = self.format.other(exchange, constant[1], self._name, size, at, spans, how)
        lines = self._lines
        lines.append(line)
        count = len(lines)
        if count == 1 or count >= BATCH:
            self.writer.look()

    def _remember(self, connection: Any, exchange: Any) -> tuple[Any, Any]:
        constant = (exchange.intake, self.format.constant(exchange))
        if connection in exchange.proxy.connections:  # else it is gone, and `closed` has been told
            self._constants[connection] = constant
        return constant

    def named(self, service: Any) -> bytes:
        """The name of `service`, as the format wants it."""
        name = name_of(service)
        encoded = self._names.get(name)
        if encoded is None:
            encoded = self.format.name(name[:LONGEST_NAME])
            if len(name) <= LONGEST_NAME:
                if len(self._names) >= _NAMES:
                    self._names.clear()
                self._names[name] = encoded
        return encoded

    def rejected(self, error: Any, connection: Any) -> None:
        """See `IObserver`."""
        self._write(self.format.rejected(error, connection, self._wall()))

    def opened(self, connection: Any) -> None:
        """Its requests will be told."""

    def closed(self, connection: Any) -> None:
        """Nothing is remembered of it."""
        self._constants.pop(connection, None)
