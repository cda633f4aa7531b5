"""What observers are told of requests and connections, and how long a request took.

An observer stands beside the data's way: `vegurtx.ops` has two, the access log and the metrics. The factory and its
exchanges tell the one that they have (`IObserver`); where none is, one look at an attribute is the whole price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from vegurtx.interfaces import IObserver

_log = Logger()

#: the event in the middle of a plain request's, and how many items all its events are (see `durations`)
FIRST_BYTE = "client_first_packet_recv"
PLAIN_EVENTS = 36

#: seconds: in the queue, for the connect, to the first byte, of the conversation, in all; `None`: not that far
Durations = tuple[float | None, float | None, float | None, float | None, float]


def tell(told: Callable[..., object], *arguments: Any) -> None:
    """Tell an observer; what it raises is logged, and goes no further."""
    try:
        told(*arguments)
    except Exception:
        _log.failure("an observer raised")


@implementer(IObserver)
class Observers:
    """Several observers as one, each told in its turn.

    :param observers: they provide `IObserver`; what one raises does not keep the others from being told.
    """

    def __init__(self, observers: Iterable[Any]) -> None:
        self.observers = tuple(observers)
        self._ended = tuple(observer.ended for observer in self.observers)

    def ended(self, request: Any, status: str, reason: Any, domain_group: Any, service: Any) -> None:
        """See `IObserver`."""
        for ended in self._ended:
            try:
                ended(request, status, reason, domain_group, service)
            except Exception:
                _log.failure("an observer's ended() raised")

    def rejected(self, error: Any, connection: Any) -> None:
        """See `IObserver`."""
        for observer in self.observers:
            tell(observer.rejected, error, connection)

    def opened(self, connection: Any) -> None:
        """See `IObserver`."""
        for observer in self.observers:
            tell(observer.opened, connection)

    def closed(self, connection: Any) -> None:
        """See `IObserver`."""
        for observer in self.observers:
            tell(observer.closed, connection)


def durations(events: Sequence[Any]) -> Durations:
    """How long the request took whose log has `events` (see `vegurtx.proxy.log.RequestLog`).

    :returns: seconds: from its acceptance to its (last) connect; of that connect, `None` where the connection came from
        the pool; from the request's being sent to the response's first byte; to the end of that conversation; in all.
    """
    # A plain request's events stand where they always do: each has its time, its name and its details. There are twelve
    # of them, eight before the first byte. This is on the way of each request, hence the numbers.
    if len(events) == PLAIN_EVENTS and events[25] == FIRST_BYTE:
        accepted, chosen, connected, sent = events[0], events[3], events[9], events[21]
        return (
            chosen - accepted,
            None if chosen is connected else connected - events[6],
            events[24] - sent,
            events[30] - sent,
            events[33] - accepted,
        )
    return _durations(events)


def _durations(events: Sequence[Any]) -> Durations:
    """As `durations`, for what took another way: a retry, an error, a router's own events."""
    chosen = begin = connected = sent = first = over = None
    for place in range(0, len(events), 3):
        at, name, details = events[place : place + 3]
        if name == "pre_connect":
            chosen, connected = at, None
        elif name == "connect_time":
            if details == "pre":
                begin, connected = at, None
            else:
                connected = at
        elif name == "service_time":
            if details == "pre":
                sent, over = at, None
            else:
                over = at
        elif name == FIRST_BYTE:
            first = at
    accepted = events[0]
    pooled = chosen is connected and begin is connected
    return (
        None if chosen is None else chosen - accepted,
        None if pooled or begin is None or connected is None else connected - begin,
        None if sent is None or first is None or first < sent else first - sent,
        None if sent is None or over is None else over - sent,
        events[-3] - accepted,
    )
