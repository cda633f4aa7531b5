"""What a format of the access log is: it makes the line of a request, and the log does the rest."""

from __future__ import annotations

import time
from typing import Any, Protocol

from vegurtx.ops.access_log.codes import Ending
from vegurtx.proxy.observing import Durations


class Format(Protocol):
    """One of the log's formats. What it returns is one line, with its line feed; values of peers are escaped."""

    def constant(self, exchange: Any) -> Any:
        """What is the same for all requests of one connection whose header fields are the same: all that can be."""

    def name(self, name: str) -> bytes:
        """The name of a service, as the lines want it. It is remembered."""

    def plain(self, exchange: Any, constant: Any, name: bytes, size: int, at: float, service: float) -> bytes:
        """The line of a request that went well, with a back-end's response. On the way of each such request.

        :param exchange: the `vegurtx.proxy.exchange.Exchange`.
        :param constant: what the method of this name has returned.
        :param name: of the service, as `name` has encoded it.
        :param size: bytes of the response.
        :param at: when it ended; seconds since the epoch.
        :param service: seconds of the conversation with the back-end.
        """

    def other(
        self,
        exchange: Any,
        constant: Any,
        name: bytes,
        size: int,
        at: float,
        spans: Durations,
        ending: Ending | None,
    ) -> bytes:
        """The line of any one.

        :param spans: how long it took; see `vegurtx.proxy.observing.durations`.
        :param ending: how it went wrong; `None`: it did not.
        """

    def rejected(self, error: Any, connection: Any, at: float) -> bytes:
        """The line of what was no request (see `vegurtx.interfaces.IObserver`)."""


class Stamp:
    """The time of day in UTC as text, with its milliseconds, worked out when another one begins.

    It is there for who has a time between `begin` and `end` (this one not included), both in seconds since the epoch.
    """

    __slots__ = ("_second", "_seconds", "begin", "end", "line_end", "text")

    def __init__(self) -> None:
        self._second = -1
        self._seconds = b""
        self.begin = self.end = 0.0
        self.text = b""
        #: the same with a line feed
        self.line_end = b""

    def at(self, at: float) -> Stamp:
        """This object, for the time `at`, in seconds since the epoch."""
        tick = int(at * 1000)
        second, millisecond = divmod(tick, 1000)
        if second != self._second:
            self._seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode("ascii")
            self._second = second
        self.text = b"%b.%03dZ" % (self._seconds, millisecond)
        self.line_end = self.text + b"\n"
        self.begin, self.end = tick / 1000, (tick + 1) / 1000
        return self


def peer_of(connection: Any) -> bytes:
    """The client's address without its port; empty where it has none, as behind a UNIX socket."""
    host = getattr(getattr(connection, "peer", None), "host", None)
    return host.encode("ascii", "backslashreplace") if isinstance(host, str) else b""


def forwarded_for(exchange: Any) -> bytes:
    """What goes on in ``X-Forwarded-For``: the client, behind whom it says that it speaks for."""
    intake = exchange.intake
    given = intake.known.get(b"x-forwarded-for") if intake.trusted else None
    return b"%b, %b" % (given, intake.peer) if given else intake.peer


def host_of(exchange: Any) -> bytes:
    """The domain that is asked for; where the ``Host`` is none, what it holds."""
    intake = exchange.intake
    if intake.domain:
        return intake.domain.encode("ascii")  # type: ignore[no-any-return]
    return intake.known.get(b"host", b"")  # type: ignore[no-any-return]
