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
from vegurtx.ops.access_log.quoting import bare, bare_text, quoted, quoted_text, unsafe
from vegurtx.proxy.observing import Durations

#: the plain line: nothing went wrong, and nothing in the path needs an escape
_PLAIN = (
    b'at=info method=%b path="%b" host=%b request_id=%b fwd=%b dyno=%b connect=%dms service=%dms status=%d bytes=%d'
    b" protocol=%b time=%b.%03dZ\n"
)
_LINE = (
    b"%b method=%b path=%b host=%b request_id=%b fwd=%b dyno=%b connect=%b service=%b status=%d bytes=%b"
    b" protocol=%b time=%b.%03dZ\n"
)


class RouterFormat:
    """See the module's text; `vegurtx.ops.access_log.contract.Format` says what the methods are."""

    def __init__(self) -> None:
        self._stamp = Stamp("%Y-%m-%dT%H:%M:%S")

    def constant(self, exchange: Any) -> tuple[bytes, bytes, bytes]:
        """Host, ``fwd`` and protocol."""
        protocol = b"https" if exchange.intake.secure else b"http"
        return bare(host_of(exchange)), quoted(forwarded_for(exchange)), protocol

    def name(self, name: str) -> bytes:
        """Without quotes where that is possible."""
        return bare_text(name)

    def line(
        self,
        exchange: Any,
        constant: tuple[bytes, bytes, bytes],
        ending: Ending | None,
        name: bytes,
        size: int,
        at: float,
        spans: Durations,
    ) -> bytes:
        """See `Format`."""
        host, forwarded, protocol = constant
        head = exchange.head
        request = exchange.request
        target = head.target
        service = spans[3]
        second = int(at)
        stamp = self._stamp
        time = stamp.text if second == stamp.second else stamp(second)
        if ending is None and service is not None and unsafe(target) is None:
            return _PLAIN % (
                head.method,
                target,
                host,
                request.id.encode("ascii"),
                forwarded,
                name,
                exchange.connect_time,
                service * 1000,  # %d cuts what is behind the point
                request.response_code,
                size,
                protocol,
                time,
                (at - second) * 1000,
            )
        return _LINE % (
            b"at=info" if ending is None else _outcome(ending),
            head.method,
            quoted(target),
            host,
            request.id.encode("ascii"),
            forwarded,
            name,
            b"%dms" % exchange.connect_time if exchange.phase == "connected" else b"",
            b"" if service is None else b"%dms" % (service * 1000),
            request.response_code if ending is None else ending.status,
            b"%d" % size if size else b"",
            protocol,
            time,
            (at - second) * 1000,
        )

    def rejected(self, error: Any, connection: Any, at: float) -> bytes:
        """See `Format`: what of the head could be read is nowhere."""
        code = REJECTIONS[error.what].code
        second = int(at)
        return _LINE % (
            *(
                b"at=error code=%b desc=%b" % (code.encode("ascii"), quoted_text(DESCRIPTIONS[code])),
                b"",
                b'""',
            ),
            *(b"", b"", quoted(peer_of(connection)), b"", b"", b"", error.status, b""),
            *(b"https" if getattr(connection, "tls", None) else b"http", self._stamp(second)),
            int((at - second) * 1000),
        )


def _outcome(ending: Ending) -> bytes:
    description = quoted_text(ending.description)
    if not ending.code:  # a router's own word: it went as the router wanted
        return b"at=info desc=%b" % description
    code = ending.code.encode("ascii")
    sock = b" sock=%b" % ending.sock.encode("ascii") if ending.sock else b""
    return b"at=error code=%b desc=%b%b" % (code, description, sock)
