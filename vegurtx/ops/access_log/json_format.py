"""The format ``json``: one object a line, for whatever collects logs.

Durations are whole milliseconds, ``null`` where the request never got that far. Text from a request is latin-1, so that
each of its characters is one byte as it came.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from typing import Any

from vegurtx.errors import REJECTIONS
from vegurtx.ops.access_log.codes import DESCRIPTIONS, Ending
from vegurtx.ops.access_log.contract import Stamp, forwarded_for, host_of, peer_of
from vegurtx.ops.access_log.quoting import address_of, quoted, quoted_text, unsafe
from vegurtx.proxy.observing import Durations, durations

_LINE = (
    b'{"time":"%b",%b,"method":"%b","path":%b,"request_id":"%b",%b,"service":%b,"backend":%b,"status":%d,"bytes":%d,'
    b'"bytes_sent":%d,"queue_ms":%b,"connect_ms":%b,"first_byte_ms":%b,"service_ms":%b,"total_ms":%d}\n'
)
_REJECTED = (
    b'{"time":"%b","level":"error","code":"%b","desc":%b,"reason":%b,"fwd":%b,"listener":%b,"status":%d}\n'
)
_NULL = b"null"
_INFO = b'"level":"info"'


class JsonFormat:
    """See the module's text; `vegurtx.ops.access_log.contract.Format` says what the methods are."""

    def __init__(self) -> None:
        self._stamp = Stamp()

    def constant(self, exchange: Any) -> bytes:
        """Everything about the client and its header fields."""
        connection = exchange.connection
        headers = exchange.request.headers
        tls = connection.tls
        members = (
            (b"host", quoted(host_of(exchange))),
            (b"fwd", quoted(forwarded_for(exchange))),
            (b"peer", quoted(peer_of(connection))),
            (b"listener", quoted_text(connection.factory.label)),
            (b"protocol", b'"https"' if exchange.intake.secure else b'"http"'),
            (b"version", b'"1.%d"' % exchange.head.minor),
            (b"tls", _NULL if tls is None else quoted_text(str(tls.protocol))),
            (b"user_agent", _field(headers.get(b"user-agent"))),
            (b"referer", _field(headers.get(b"referer"))),
        )
        return b",".join(b'"%b":%b' % member for member in members)

    def name(self, name: str) -> bytes:
        """A string; `null` for none."""
        return quoted_text(name) if name else _NULL

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
        head = exchange.head
        request = exchange.request
        target = head.target
        queue, connect, first, service, total = spans
        if connect is None and exchange.phase == "connected":
            connect = 0.0  # from the pool
        stamp = self._stamp
        return _LINE % (
            stamp.text if stamp.begin <= at < stamp.end else stamp.at(at).text,
            _INFO if ending is None else _outcome(ending),
            head.method,
            b'"%b"' % target if unsafe(target) is None else quoted(target),
            request.id.encode("ascii"),
            constant,
            name,
            _address(exchange.backend),
            request.response_code if ending is None else ending.status,
            size,
            request.sent,
            _NULL if queue is None else b"%d" % int(queue * 1000),
            _NULL if connect is None else b"%d" % int(connect * 1000),
            _NULL if first is None else b"%d" % int(first * 1000),
            _NULL if service is None else b"%d" % int(service * 1000),
            int(total * 1000),
        )

    def rejected(self, error: Any, connection: Any, at: float) -> bytes:
        """See `Format`."""
        code = REJECTIONS[error.what].code
        listener = getattr(getattr(connection, "factory", None), "label", "")
        return _REJECTED % (
            *(self._stamp.at(at).text, code.encode("ascii"), quoted_text(DESCRIPTIONS[code])),
            *(quoted_text(error.what), quoted(peer_of(connection)), quoted_text(listener), error.status),
        )


def _outcome(ending: Ending) -> bytes:
    level = b"error" if ending.code else b"info"
    members = [b'"level":"%b"' % level, b'"desc":%b' % quoted_text(ending.description)]
    if ending.code:
        members.append(b'"code":"%b"' % ending.code.encode("ascii"))
    if ending.sock:
        members.append(b'"sock":"%b"' % ending.sock.encode("ascii"))
    members.append(b'"reason":%b,"blame":"%b"' % (quoted_text(ending.label), ending.blame.encode("ascii")))
    return b",".join(members)


def _address(backend: Any) -> bytes:
    address = address_of(backend)
    return encode_basestring_ascii(address).encode("ascii") if address else _NULL


def _field(value: bytes | None) -> bytes:
    return _NULL if value is None else quoted(value)
