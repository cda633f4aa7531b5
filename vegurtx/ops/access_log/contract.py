"""What a format of the access log is: it makes the line of a request, and the log does the rest."""

from __future__ import annotations

import time
from typing import Any, Protocol

from vegurtx.ops.access_log.codes import Ending
from vegurtx.proxy.observing import Durations


class Format(Protocol):
    """One of the log's formats. What it returns is one line, with its line feed; values of peers are escaped."""

    def constant(self, exchange: Any) -> Any:
        """What is the same for all requests of one connection whose header fields are the same."""

    def line(
        self,
        exchange: Any,
        constant: Any,
        ending: Ending | None,
        name: bytes,
        size: int,
        at: float,
        spans: Durations,
    ) -> bytes:
        """The line of a request that has ended.

        :param exchange: the `vegurtx.proxy.exchange.Exchange`.
        :param constant: what the method of this name has returned.
        :param ending: how it went wrong; `None`: it did not.
        :param name: of the service, as `name` has encoded it.
        :param size: bytes of the response.
        :param at: when it ended; seconds since the epoch.
        :param spans: how long it took; see `vegurtx.proxy.observing.durations`.
        """

    def name(self, name: str) -> bytes:
        """The name of a service, as `line` wants it. It is remembered."""

    def rejected(self, error: Any, connection: Any, at: float) -> bytes:
        """The line of what was no request (see `vegurtx.interfaces.IObserver`)."""


class Stamp:
    """The time of day as text, worked out once a second.

    :param pattern: as for `time.strftime`, in UTC.
    """

    __slots__ = ("_pattern", "second", "text")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        #: of the last call
        self.second = -1
        self.text = b""

    def __call__(self, second: int) -> bytes:
        """The text of `second`, whole seconds since the epoch."""
        if second != self.second:
            self.text = time.strftime(self._pattern, time.gmtime(second)).encode("ascii")
            self.second = second
        return self.text


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
