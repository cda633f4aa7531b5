"""The format ``router``: the line that Heroku's router writes, in logfmt (``key=value``, blanks between).

    at=info method=GET path="/" host=x request_id=… fwd="1.2.3.4" dyno=web connect=1ms service=18ms status=200 bytes=13 …

Keys and order are Heroku's; ``dyno`` is the service's name, and ``time``, which Heroku's log system puts in front of the
line, stands at the end.
"""

from __future__ import annotations

from typing import Any

from vegurtx.errors import REJECTIONS
from vegurtx.ops.access_log.codes import DESCRIPTIONS, Ending
from vegurtx.ops.access_log.contract import Stamp, forwarded_for, host_of, peer_of
from vegurtx.ops.access_log.quoting import bare, bare_text, quoted, quoted_text
from vegurtx.proxy.observing import durations

_INFO = (
    b"at=info method=%b path=%b host=%b request_id=%b fwd=%b dyno=%b connect=%dms service=%dms status=%d bytes=%d"
    b" protocol=%b time=%b.%03dZ\n"
)
_OTHER = (
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
    ) -> bytes:
        """See `Format`."""
        host, forwarded, protocol = constant
        head = exchange.head
        request = exchange.request
        _, _, _, service, _ = durations(request.log.events)
        second = int(at)
        values = (head.method, quoted(head.target), host, request.id.encode("ascii"), forwarded, name)
        time = (protocol, self._stamp(second), int((at - second) * 1000))
        if ending is None and service is not None:
            return _INFO % (
                *values,
                exchange.connect_time,
                int(service * 1000),
                request.response_code,
                size,
                *time,
            )
        connect = b"%dms" % exchange.connect_time if exchange.phase == "connected" else b""
        return _OTHER % (
            b"at=info" if ending is None else _outcome(ending),
            *values,
            connect,
            b"" if service is None else b"%dms" % int(service * 1000),
            request.response_code if ending is None else ending.status,
            b"%d" % size if size else b"",
            *time,
        )

    def rejected(self, error: Any, connection: Any, at: float) -> bytes:
        """See `Format`: what of the head could be read is nowhere."""
        code = REJECTIONS[error.what].code
        second = int(at)
        return _OTHER % (
            *(b"at=error code=%b desc=%b" % (code.encode("ascii"), quoted_text(DESCRIPTIONS[code])), b"", b'""'),
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
