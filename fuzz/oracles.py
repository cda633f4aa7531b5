"""What two other parsers read in the same bytes: h11 (strict, in Python) and llhttp (Node's, by way of httptools).

Both read a stream of messages, as the next hop would. ``tests/wire`` asks about single messages; here the question is
also where one message ends and the next one begins.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import h11
import httptools

_MOST = 1 << 24

Fields = list[tuple[bytes, bytes]]


class Message(NamedTuple):
    """A message that a parser read to its end."""

    first: tuple[bytes, ...]
    """Method, target and version; or code and version."""
    fields: Fields
    """Names in lower case, values without white space around them."""
    body: bytes
    trailers: bytes = b""
    """As they came; the oracles do not tell."""


class Stream(NamedTuple):
    """What a parser made of a stream."""

    messages: list[Message]
    rest: str
    """What stands behind the last whole message: ``nothing``, ``unfinished``, ``refused``, or ``other`` (a protocol
    that is no HTTP)."""
    why: str = ""


def h11_requests(raw: bytes) -> Stream:
    """Let h11 read requests. It is not shown the empty line before a request that rule 4 skips."""
    messages: list[Message] = []
    while True:
        raw = raw.removeprefix(b"\r\n")
        if not raw:
            return Stream(messages, "nothing")
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST)
        try:
            connection.receive_data(raw)
            message = _message(connection)
        except h11.RemoteProtocolError as error:
            return Stream(messages, "refused", str(error))
        if message is None:
            return Stream(messages, "unfinished")
        messages.append(message)
        raw = connection.trailing_data[0]


def h11_response(raw: bytes, method: bytes = b"GET", ended: bool = False) -> tuple[Stream, bytes]:
    """Let h11 read one final response and the interim ones before it; also returns what follows it.

    :param method: of the request that it answers.
    :param ended: whether the connection ends in order behind `raw`.
    """
    messages: list[Message] = []
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST)
    upgrading = [("Connection", "upgrade"), ("Upgrade", "x")]
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "h"), *upgrading]))
    connection.send(h11.EndOfMessage())
    try:
        connection.receive_data(raw)
        if ended:
            connection.receive_data(b"")
        while True:
            message = _message(connection)
            if message is None:
                return Stream(messages, "unfinished"), b""
            messages.append(message)
            if message.first[0] == b"101":
                return Stream(messages, "other"), connection.trailing_data[0]
            if message.first[0][:1] != b"1":
                return Stream(messages, "nothing"), connection.trailing_data[0]
    except h11.RemoteProtocolError as error:
        return Stream(messages, "refused", str(error)), b""


def _message(connection: h11.Connection) -> Message | None:
    """The next whole message; an interim response is one."""
    head: Any = None
    body: list[bytes] = []
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            break
        elif isinstance(event, h11.Request | h11.Response | h11.InformationalResponse):
            head = event
            if isinstance(event, h11.InformationalResponse):
                break
        else:  # NEED_DATA, or ConnectionClosed: in either case there is no more
            return None
    if isinstance(head, h11.Request):
        first: tuple[bytes, ...] = (bytes(head.method), bytes(head.target), bytes(head.http_version))
    else:
        first = (b"%d" % head.status_code, bytes(head.http_version))
    return Message(first, [(bytes(name), bytes(value)) for name, value in head.headers], b"".join(body))


class _Recorder:
    """Collects llhttp's callbacks."""

    def __init__(self, responses: bool) -> None:
        self.messages: list[Message] = []
        self.begun = False
        self._responses = responses
        self.parser: Any = None
        self._clear()

    def _clear(self) -> None:
        self._target = b""
        self._first: tuple[bytes, ...] = ()
        self._body: list[bytes] = []
        self._fields: Fields = []
        self._headed = False

    def on_message_begin(self) -> None:
        self._clear()
        self.begun = True

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes | None) -> None:
        if not self._headed:  # trailers come as headers, too
            self._fields.append((name.lower(), (value or b"").strip(b" \t")))

    def on_headers_complete(self) -> None:
        self._headed = True
        version = self.parser.get_http_version().encode()
        if self._responses:
            self._first = (b"%d" % self.parser.get_status_code(), version)
        else:
            self._first = (self.parser.get_method(), self._target, version)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.messages.append(Message(self._first, self._fields, b"".join(self._body)))
        self.begun = False


def llhttp_requests(raw: bytes) -> Stream:
    """Let llhttp read requests."""
    recorder = _Recorder(False)
    recorder.parser = httptools.HttpRequestParser(recorder)
    return _llhttp(recorder, raw)


def llhttp_responses(raw: bytes) -> Stream:
    """Let llhttp read responses to GET. It is not told of the end of the connection."""
    recorder = _Recorder(True)
    recorder.parser = httptools.HttpResponseParser(recorder)
    return _llhttp(recorder, raw)


def _llhttp(recorder: _Recorder, raw: bytes) -> Stream:
    try:
        if raw:
            recorder.parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return Stream(recorder.messages, "other")
    except httptools.HttpParserError as error:
        return Stream(recorder.messages, "refused", str(error))
    return Stream(recorder.messages, "unfinished" if recorder.begun else "nothing")


def normal(message: Message) -> Message:
    """Undo what h11 does to a head: it merges equal lengths, and lower-cases names and codings."""
    kept: Fields = []
    for name, value in message.fields:
        name = name.lower()
        if name == b"transfer-encoding":
            value = value.lower()
        elif name == b"content-length":
            members = {member.strip(b" \t") for member in value.split(b",")}
            value = members.pop() if len(members) == 1 else value
            if (name, value) in kept:
                continue
        kept.append((name, value))
    return message._replace(fields=kept, trailers=b"")
