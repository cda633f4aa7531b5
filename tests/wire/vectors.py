"""Tables of heads, good and bad; every one is fed whole, byte by byte, and with bytes behind it.

The shapes of RFC 9112 section 11 (response splitting, request smuggling) are all here or, for what is about a
body's length, in ``test_wire_framing`` and ``test_wire_chunked``.
"""

from __future__ import annotations

from typing import NamedTuple


class GoodRequest(NamedTuple):
    """A request head and what is to be read out of it."""

    label: str
    raw: bytes
    method: bytes
    target: bytes
    minor: int
    fields: list[tuple[bytes, bytes]]


class Bad(NamedTuple):
    """A head that is to be refused, with the word and (for a request) the status."""

    label: str
    raw: bytes
    what: str
    status: int


class GoodResponse(NamedTuple):
    """A response head and what is to be read out of it."""

    label: str
    raw: bytes
    minor: int
    status: int
    reason: bytes
    fields: list[tuple[bytes, bytes]]


H = (b"Host", b"h")

GOOD_REQUESTS = [
    GoodRequest("plain", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"GET", b"/", 1, [H]),
    GoodRequest("1.0 without a field", b"GET / HTTP/1.0\r\n\r\n", b"GET", b"/", 0, []),
    GoodRequest("empty line before", b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", b"GET", b"/", 1, [H]),
    GoodRequest("made-up method", b"x-Pur|ge! /a HTTP/1.1\r\nHost: h\r\n\r\n", b"x-Pur|ge!", b"/a", 1, [H]),
    GoodRequest(
        "odd target", b'GET /a?b="<x>"|{}^`\\%zz HTTP/1.1\r\n\r\n', b"GET", b'/a?b="<x>"|{}^`\\%zz', 1, []
    ),
    GoodRequest("absolute", b"GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n", b"GET", b"http://h/a", 1, [H]),
    GoodRequest("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", b"OPTIONS", b"*", 1, [H]),
    GoodRequest("authority", b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", b"CONNECT", b"h:443", 1, [H]),
    GoodRequest(
        "white space around values",
        b"GET / HTTP/1.1\r\nHost:h\r\nA: \t x y\t \r\nB:\r\nC: \t \r\n\r\n",
        b"GET",
        b"/",
        1,
        [H, (b"A", b"x y"), (b"B", b""), (b"C", b"")],
    ),
    GoodRequest(
        "order, case and duplicates",
        b"GET / HTTP/1.1\r\nzZ: 1\r\nhOST: h\r\nZz: 2\r\nConnection: a\r\nconnection: b\r\n\r\n",
        b"GET",
        b"/",
        1,
        [(b"zZ", b"1"), (b"hOST", b"h"), (b"Zz", b"2"), (b"Connection", b"a"), (b"connection", b"b")],
    ),
    GoodRequest(
        "bytes above ASCII in a value",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: caf\xc3\xa9 \xff\r\n\r\n",
        b"GET",
        b"/",
        1,
        [H, (b"A", b"caf\xc3\xa9 \xff")],
    ),
    GoodRequest(
        "look-alikes of known names",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent_Length: 5\r\nContent-Length2: 6\r\nXHost: y\r\nTes: z\r\n\r\n",
        b"GET",
        b"/",
        1,
        [H, (b"Content_Length", b"5"), (b"Content-Length2", b"6"), (b"XHost", b"y"), (b"Tes", b"z")],
    ),
    GoodRequest(
        "colons and known names in values",
        b"GET / HTTP/1.1\r\nHost: [::1]:80\r\nA: Host: x\r\nB: :Connection: y\r\n\r\n",
        b"GET",
        b"/",
        1,
        [(b"Host", b"[::1]:80"), (b"A", b"Host: x"), (b"B", b":Connection: y")],
    ),
]

_LINE = b"GET / HTTP/1.1\r\n"

BAD_REQUESTS = [
    Bad("TLS hello", b"\x16\x03\x01\x02\x00\x01", "bad_byte", 400),
    Bad("HTTP/0.9", b"GET /\r\n", "bad_request_line", 400),
    Bad("HTTP/0.9 by number", b"GET / HTTP/0.9\r\n\r\n", "version", 400),
    Bad("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "version", 505),
    Bad("HTTP/1.2", b"GET / HTTP/1.2\r\n\r\n", "version", 505),
    Bad("HTTP/3.1", b"GET / HTTP/3.1\r\n\r\n", "version", 505),
    Bad("HTTP/1.11", b"GET / HTTP/1.11\r\n\r\n", "bad_request_line", 400),
    Bad("HTTP/11.1", b"GET / HTTP/11.1\r\n\r\n", "bad_request_line", 400),
    Bad("lower-case version", b"GET / http/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("no digits", b"GET / HTTP/x.y\r\n\r\n", "bad_request_line", 400),
    Bad("two empty lines before", b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("bare LF before", b"\nGET / HTTP/1.1\r\n\r\n", "bad_byte", 400),
    Bad("bare CR before", b"\rGET / HTTP/1.1\r\n\r\n", "bad_byte", 400),
    Bad("space before the method", b" GET / HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("method that is no token", b"G(T / HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("two spaces", b"GET  / HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("two spaces before the version", b"GET /  HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("tab for a space", b"GET\t/ HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("space in the target", b"GET /a b HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("space at the line's end", b"GET / HTTP/1.1 \r\n\r\n", "bad_request_line", 400),
    Bad("no target", b"GET HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("fragment", b"GET /a#b HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("byte above ASCII in the target", b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("NUL in the target", b"GET /\0 HTTP/1.1\r\n\r\n", "bad_byte", 400),
    Bad("DEL in the target", b"GET /\x7f HTTP/1.1\r\n\r\n", "bad_byte", 400),
    Bad("NUL in the method", b"GE\0T / HTTP/1.1\r\n\r\n", "bad_byte", 400),
    Bad("bare LF after the line", b"GET / HTTP/1.1\nHost: h\r\n\r\n", "bad_byte", 400),
    Bad("bare CR after the line", b"GET / HTTP/1.1\rHost: h\r\n\r\n", "bad_byte", 400),
    Bad("CR CR LF", b"GET / HTTP/1.1\r\r\n\r\n", "bad_byte", 400),
    Bad("bare CR in the target", b"GET /\rx HTTP/1.1\r\n\r\n", "bad_request_line", 400),
    Bad("space before the colon", _LINE + b"Host : h\r\n\r\n", "bad_header", 400),
    Bad("tab before the colon", _LINE + b"Content-Length\t: 5\r\n\r\n", "bad_header", 400),
    Bad("no colon", _LINE + b"Host\r\n\r\n", "bad_header", 400),
    Bad("no colon, bare LF", _LINE + b"Host\n\r\n", "bad_byte", 400),
    Bad("no name", _LINE + b": h\r\n\r\n", "bad_header", 400),
    Bad("space before the first field", _LINE + b" Host: h\r\n\r\n", "bad_header", 400),
    Bad("fold", _LINE + b"A: b\r\n c\r\nHost: h\r\n\r\n", "bad_header", 400),
    Bad("fold with a tab", _LINE + b"A: b\r\n\tc\r\n\r\n", "bad_header", 400),
    Bad("fold into an empty line", _LINE + b"A: b\r\n \r\n\r\n", "bad_header", 400),
    Bad("folded coding", _LINE + b"Transfer-Encoding:\r\n chunked\r\n\r\n", "bad_header", 400),
    Bad("name that is no token", _LINE + b"Ho(st: h\r\n\r\n", "bad_header", 400),
    Bad("byte above ASCII in a name", _LINE + b"H\xf6st: h\r\n\r\n", "bad_header", 400),
    Bad("NUL in a name", _LINE + b"Ho\0st: h\r\n\r\n", "bad_byte", 400),
    Bad("NUL in a value", _LINE + b"A: b\0c\r\n\r\n", "bad_byte", 400),
    Bad("DEL in a value", _LINE + b"A: b\x7fc\r\n\r\n", "bad_byte", 400),
    Bad("vertical tab in a coding", _LINE + b"Transfer-Encoding: \x0bchunked\r\n\r\n", "bad_byte", 400),
    Bad("bare CR in a value", _LINE + b"A: b\rc: d\r\n\r\n", "bad_byte", 400),
    Bad("bare CR at a value's end", _LINE + b"A: b\r\r\n\r\n", "bad_byte", 400),
    Bad("bare LF in a value", _LINE + b"A: b\nTransfer-Encoding: chunked\r\n\r\n", "bad_byte", 400),
    Bad("bare LF for the empty line", _LINE + b"A: b\r\n\nGET / HTTP/1.1\r\n\r\n", "bad_byte", 400),
    Bad("bare LFs all over", b"GET / HTTP/1.1\nHost: h\n\n", "bad_byte", 400),
    Bad("CR without LF for the empty line", _LINE + b"A: b\r\n\rX", "bad_byte", 400),
]
"""Those that are too long are made in the tests of the limits."""

GOOD_RESPONSES = [
    GoodResponse("plain", b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 1, 200, b"OK", [(b"A", b"b")]),
    GoodResponse("1.0", b"HTTP/1.0 404 Not Found\r\n\r\n", 0, 404, b"Not Found", []),
    GoodResponse("empty reason", b"HTTP/1.1 200 \r\n\r\n", 1, 200, b"", []),
    GoodResponse("no reason and no space", b"HTTP/1.1 200\r\nA: b\r\n\r\n", 1, 200, b"", [(b"A", b"b")]),
    GoodResponse(
        "reason above ASCII", b"HTTP/1.1 500 D\xe9sol\xe9\t!\r\n\r\n", 1, 500, b"D\xe9sol\xe9\t!", []
    ),
    GoodResponse("continue", b"HTTP/1.1 100 Continue\r\n\r\n", 1, 100, b"Continue", []),
    GoodResponse("made-up code", b"HTTP/1.1 999 X\r\n\r\n", 1, 999, b"X", []),
    GoodResponse(
        "cookies",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nServer: x\r\nB:\xe9\r\n\r\n",
        1,
        200,
        b"OK",
        [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"Server", b"x"), (b"B", b"\xe9")],
    ),
]

_STATUS = b"HTTP/1.1 200 OK\r\n"

BAD_RESPONSES = [
    Bad("two digits", b"HTTP/1.1 20 OK\r\n\r\n", "invalid_status", 502),
    Bad("four digits", b"HTTP/1.1 2000 OK\r\n\r\n", "invalid_status", 502),
    Bad("below 100", b"HTTP/1.1 099 OK\r\n\r\n", "invalid_status", 502),
    Bad("letters", b"HTTP/1.1 abc OK\r\n\r\n", "invalid_status", 502),
    Bad("sign", b"HTTP/1.1 +20 OK\r\n\r\n", "invalid_status", 502),
    Bad("no code", b"HTTP/1.1\r\n\r\n", "invalid_status", 502),
    Bad("two spaces", b"HTTP/1.1  200 OK\r\n\r\n", "invalid_status", 502),
    Bad("tab behind the code", b"HTTP/1.1 200\tOK\r\n\r\n", "invalid_status", 502),
    Bad("HTTP/1.2", b"HTTP/1.2 200 OK\r\n\r\n", "invalid_status", 502),
    Bad("HTTP/2.0", b"HTTP/2.0 200 OK\r\n\r\n", "invalid_status", 502),
    Bad("lower-case version", b"http/1.1 200 OK\r\n\r\n", "invalid_status", 502),
    Bad("another protocol", b"ICY 200 OK\r\n\r\n", "invalid_status", 502),
    Bad("no status line at all", b"<html>hello</html>", "invalid_status", 502),
    Bad("empty line before", b"\r\nHTTP/1.1 200 OK\r\n\r\n", "invalid_status", 502),
    Bad("bare LF", b"HTTP/1.1 200 OK\nA: b\r\n\r\n", "invalid_status", 502),
    Bad("bare CR", b"HTTP/1.1 200 OK\rA: b\r\n\r\n", "invalid_status", 502),
    Bad("NUL in the reason", b"HTTP/1.1 200 O\0K\r\n\r\n", "invalid_status", 502),
    Bad("space before the colon", _STATUS + b"A : b\r\n\r\n", "header_length", 502),
    Bad("fold", _STATUS + b"A: b\r\n c\r\n\r\n", "header_length", 502),
    Bad("no name", _STATUS + b": b\r\n\r\n", "header_length", 502),
    Bad("no colon", _STATUS + b"A\r\n\r\n", "header_length", 502),
    Bad("bare LF in a value", _STATUS + b"A: b\nC: d\r\n\r\n", "header_length", 502),
    Bad("bare CR in a value", _STATUS + b"A: b\rC: d\r\n\r\n", "header_length", 502),
    Bad("NUL in a value", _STATUS + b"A: b\0c\r\n\r\n", "header_length", 502),
    Bad("bare LF for the empty line", _STATUS + b"A: b\r\n\n", "header_length", 502),
]

TRAILING = [b"", b"x", b"\r\n\r\n", b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n", b"\0\xff" * 40]
"""What may come behind a head in the same segment; none of it is any of the head's business."""
