"""The format ``router``: the line that Heroku's router writes, in logfmt (``key=value``, blanks between).

    at=info method=GET path="/" host=x request_id=… fwd="1.2.3.4" dyno=web connect=1ms service=18ms status=200 …

Keys and order are Heroku's. ``dyno`` is the service's name. ``time``, which Heroku's log system puts in front of the
line, stands at the end.
"""

from __future__ import annotations

from typing import Any

from vegurtx.errors import REJECTIONS
from vegurtx.ops.access_log.codes import DESCRIPTIONS, Ending
from vegurtx.ops.access_log.contract import Stamp, forwarded_for, host_of, peer_of
from vegurtx.ops.access_log.quoting import bare, bare_text, quoted, quoted_text
from vegurtx.proxy.observing import Durations, durations

_OTHER = (
    b"%b method=%b path=%b host=%b request_id=%b fwd=%b dyno=%b connect=%b service=%b status=%d bytes=%b"
    b" protocol=%b time=%b\n"
)
# as numbers: a search for bytes tries these first, and makes an error of it
_QUOTE, _BACKSLASH = b'"\\'


_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
# Pieces of a plain line with all values that are usual in them: to look one up is cheaper than to make it.
_BEGIN = {method: b'at=info method=%b path="' % method for method in _METHODS}
_CONNECT = {milliseconds: b" connect=%dms service=" % milliseconds for milliseconds in range(256)}
_SERVICE = {milliseconds: b"%dms status=" % milliseconds for milliseconds in range(1024)}
_SIZE = tuple(b"%d" % size for size in range(1000))
_STATUS = {status: b"%d bytes=" % status for status in range(200, 600)}


class RouterFormat:
    """See the module's text; `vegurtx.ops.access_log.contract.Format` says what the methods are."""

    def __init__(self) -> None:
        self._stamp = Stamp()

    def constant(self, exchange: Any) -> tuple[bytes, ...]:
        """Host, ``fwd`` and protocol; and these with what is around them in a plain line."""
        protocol = b"https" if exchange.intake.secure else b"http"
        host, forwarded = bare(host_of(exchange)), quoted(forwarded_for(exchange))
        return (
            *(host, forwarded, protocol),
            *(
                b'" host=%b request_id=' % host,
                b" fwd=%b dyno=" % forwarded,
                b" protocol=%b time=" % protocol,
            ),
        )

    def name(self, name: str) -> bytes:
        """Without quotes where that is possible."""
        return bare_text(name)

    def plain(self, exchange: Any, constant: Any, name: bytes, size: int, at: float, service: float) -> bytes:
        """See `Format`."""
        head = exchange.head
        target = head.target
        if _QUOTE in target or _BACKSLASH in target:  # nothing else that is in a target needs an escape
            return self.other(exchange, constant, name, size, at, durations(exchange.log.events), None)
        request = exchange.request
        stamp = self._stamp
        try:
            return b"".join(
                (
                    _BEGIN[head.method],
                    target,
                    constant[3],
                    request.id.encode(),
                    constant[4],
                    name,
                    _CONNECT[exchange.connect_time],
                    _SERVICE[int(service * 1000)],
                    _STATUS[request.response_code],
                    _SIZE[size] if size < 1000 else b"%d" % size,
                    constant[5],
                    stamp.line_end if stamp.begin <= at < stamp.end else stamp.at(at).line_end,
                )
            )
        except KeyError:  # a value that is not usual
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
        host, forwarded, protocol = constant[:3]
        request = exchange.request
        service = spans[3]
        return _OTHER % (
            b"at=info" if ending is None else _outcome(ending),
            exchange.head.method,
            quoted(exchange.head.target),
            host,
            request.id.encode("ascii"),
            forwarded,
            name,
            b"%dms" % exchange.connect_time if exchange.phase == "connected" else b"",
            b"" if service is None else b"%dms" % int(service * 1000),
            request.response_code if ending is None else ending.status,
            b"%d" % size if size else b"",
            protocol,
            self._stamp.at(at).text,
        )

    def rejected(self, error: Any, connection: Any, at: float) -> bytes:
        """See `Format`: what of the head could be read is nowhere."""
        code = REJECTIONS[error.what].code
        outcome = b"at=error code=%b desc=%b" % (code.encode("ascii"), quoted_text(DESCRIPTIONS[code]))
        protocol = b"https" if getattr(connection, "tls", None) else b"http"
        asked = (b"", b'""', b"", b"", quoted(peer_of(connection)))
        return _OTHER % (
            *(outcome, *asked, b"", b"", b"", error.status, b"", protocol),
            self._stamp.at(at).text,
        )


def _outcome(ending: Ending) -> bytes:
    description = quoted_text(ending.description)
    if not ending.code:  # a router's own word: it went as the router wanted
        return b"at=info desc=%b" % description
    code = ending.code.encode("ascii")
    sock = b" sock=%b" % ending.sock.encode("ascii") if ending.sock else b""
    return b"at=error code=%b desc=%b%b" % (code, description, sock)
