"""What two other parsers make of the same bytes: h11 (in Python) and llhttp (Node's, by way of httptools).

Each oracle answers with what it read, ``None`` while it wants more, or raises ``Rejected``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import h11
import httptools


class Rejected(Exception):
    """The oracle refuses the bytes."""


class Message(NamedTuple):
    """What a parser read."""

    first: tuple[bytes, ...]
    """Method, target and version, or code and version."""
    fields: list[tuple[bytes, bytes]]
    """Names in lower case."""
    body: bytes


def h11_request(raw: bytes) -> Message | None:
    """Let h11 read one whole request."""
    # RFC 9112 section 2.2 has one empty line before a request line skipped; h11 does not.
    return _h11(h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20), raw.removeprefix(b"\r\n"))


def h11_response(raw: bytes, method: bytes = b"GET") -> Message | None:
    """Let h11 read one whole response; the end of `raw` is the end of the connection."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    return _h11(connection, raw, ended=True)


def _h11(connection: h11.Connection, raw: bytes, ended: bool = False) -> Message | None:
    head: Any = None
    body = b""
    try:
        connection.receive_data(raw)
        if ended:
            connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.Request | h11.Response | h11.InformationalResponse):
                head = event
                if isinstance(event, h11.InformationalResponse):
                    break
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return None
    except h11.RemoteProtocolError as error:
        raise Rejected(str(error)) from error
    if isinstance(head, h11.Request):
        first: tuple[bytes, ...] = (head.method, head.target, head.http_version)
    else:
        first = (b"%d" % head.status_code, head.http_version)
    return Message(first, [(bytes(name), bytes(value)) for name, value in head.headers], body)


class _Recorder:
    """Collects llhttp's callbacks up to the first message's end."""

    def __init__(self) -> None:
        self.target = self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.headed = self.whole = False

    def on_url(self, url: bytes) -> None:
        if not self.whole:
            self.target += url

    def on_header(self, name: bytes, value: bytes | None) -> None:
        # Trailers come as headers too, behind the body.
        if not self.headed:
            self.fields.append((name.lower(), (value or b"").strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.headed = True

    def on_body(self, body: bytes) -> None:
        if not self.whole:
            self.body += body

    def on_message_complete(self) -> None:
        self.whole = True


def llhttp_request(raw: bytes) -> Message | None:
    """Let llhttp read one whole request."""
    recorder = _Recorder()
    parser = httptools.HttpRequestParser(recorder)
    if not _llhttp(parser, recorder, raw):
        return None
    version = parser.get_http_version().encode()
    return Message((parser.get_method(), recorder.target, version), recorder.fields, recorder.body)


def llhttp_response(raw: bytes) -> Message | None:
    """Let llhttp read one whole response; a body until the end of the connection is never whole for it."""
    recorder = _Recorder()
    parser = httptools.HttpResponseParser(recorder)
    if not _llhttp(parser, recorder, raw):
        return None
    first = (b"%d" % parser.get_status_code(), parser.get_http_version().encode())
    return Message(first, recorder.fields, recorder.body)


def _llhttp(parser: Any, recorder: _Recorder, raw: bytes) -> bool:
    """Feed byte by byte, so that nothing behind the message can spoil it."""
    for at in range(len(raw)):
        try:
            parser.feed_data(raw[at : at + 1])
        except httptools.HttpParserUpgrade:
            return recorder.whole
        except httptools.HttpParserError as error:
            if recorder.whole:
                return True
            raise Rejected(str(error)) from error
        if recorder.whole:
            return True
    return False
