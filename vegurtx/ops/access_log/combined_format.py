"""The format ``combined``: Apache's, which every log analyser reads.

    1.2.3.4 - - [21/Nov/2026:08:32:00 +0000] "GET / HTTP/1.1" 200 13 "https://referer.example/" "Mozilla/5.0 …"

Source: Apache's ``mod_log_config``; what a peer has sent is escaped as there, ``\\"``, ``\\\\`` and ``\\x0a``.
"""

from __future__ import annotations

import time
from typing import Any

from vegurtx.ops.access_log.codes import Ending
from vegurtx.ops.access_log.contract import peer_of
from vegurtx.ops.access_log.quoting import apache
from vegurtx.proxy.observing import Durations, durations

_LINE = b'%b - - [%b] "%b %b HTTP/1.%d" %d %b %b\n'
_REJECTED = b'%b - - [%b] "-" %d - "-" "-"\n'
#: in English, whatever the process's language is
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class CombinedFormat:
    """See the module's text; `vegurtx.ops.access_log.contract.Format` says what the methods are."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def constant(self, exchange: Any) -> tuple[bytes, bytes]:
        """The address; referrer and user agent, in their quotes."""
        headers = exchange.request.headers
        referrer = apache(headers.get(b"referer") or b"-")
        agent = apache(headers.get(b"user-agent") or b"-")
        return apache(peer_of(exchange.connection)) or b"-", b'"%b" "%b"' % (referrer, agent)

    def name(self, name: str) -> bytes:
        """Not in this format."""
        return b""

    def plain(self, exchange: Any, constant: Any, name: bytes, size: int, at: float, service: float) -> bytes:
        """See `Format`."""
        return self.other(exchange, constant, name, size, at, durations(exchange.log.events), None)

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
        """See `Format`."""
        peer, fields = constant
        head = exchange.head
        return _LINE % (
            peer,
            self._stamp(int(at)),
            head.method,
            apache(head.target),
            head.minor,
            exchange.request.response_code if ending is None else ending.status,
            b"%d" % size if size else b"-",
            fields,
        )

    def rejected(self, error: Any, connection: Any, at: float) -> bytes:
        """See `Format`."""
        return _REJECTED % (apache(peer_of(connection)) or b"-", self._stamp(int(at)), error.status)

    def _stamp(self, second: int) -> bytes:
        if second != self._second:
            self._second = second
            moment = time.gmtime(second)
            text = time.strftime(f"%d/{_MONTHS[moment.tm_mon - 1]}/%Y:%H:%M:%S +0000", moment)
            self._text = text.encode("ascii")
        return self._text
