"""Rule 14: what a back-end says that is no response becomes a 502 with its reason, however it was cut into segments.

One client keeps its connection through each table, since its own request was in order every time.
"""

from __future__ import annotations

from typing import Any

from tests.behaviour.conversation import GET, OK, Conversation
from vegurtx.testing import Response, ScriptedServer, router_to

HEAD_OK = b"HTTP/1.1 200 OK\r\n"

STATUS_LINES = [
    b"HTTP/1.1 20 OK",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 abc OK",
    b"HTTP/1.1 2x0 OK",
    b"HTTP/1.1 099 Too low",
    b"HTTP/1.1 -20 OK",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1\t200 OK",
    b"HTTP/1.1 200OK",
    b"HTTP/1.1200 OK",
    b"HTTP/1.1 OK",
    b"HTTP/1.1",
    b"HTTP/2.0 200 OK",
    b"HTTP/2 200",
    b"HTTP/1.2 200 OK",
    b"HTTP/0.9 200 OK",
    b"HTTP/11 200 OK",
    b"http/1.1 200 OK",
    b" HTTP/1.1 200 OK",
    b"\r\nHTTP/1.1 200 OK",
    b"\nHTTP/1.1 200 OK",
    b"ICY 200 OK",
    b"SSH-2.0-OpenSSH_9.9",
    b"HTTP/1.1 200 O\0K",
    b"HTTP/1.1 200 O\rK",
    b"HTTP/1.1 200 O\x7fK",
    b"HTTP/1.1 200 OK\n",
    b"HTTP/1.1 200\n",
]

FIELD_LINES = [
    b"no colon",
    b": no name",
    b"Space : before the colon",
    b" Fold: at the start",
    b"A: 1\r\n folded: 2",
    b"A: 1\r\n\tfolded",
    b"Br(cket: 1",
    b"Nul: a\0b",
    b"Bare: a\rb",
    b"Bare: a\nb",
    b"Control: a\x01b",
    b"Delete: a\x7fb",
    b"\x80: not a token",
]

LENGTHS = [
    b"Content-Length: ",
    b"Content-Length: x",
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 5 5",
    b"Content-Length: 5, 5",
    b"Content-Length: 5,6",
    b"Content-Length: 5.0",
    b"Content-Length: 0x5",
    b"Content-Length: 1_0",
    b"Content-Length: \xb2",
    b"Content-Length: 9223372036854775808",
    b"Content-Length: 99999999999999999999999",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5\r\nContent-Length: 05",
]

CODINGS = [
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: ",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
]

CHUNKS = [
    (b"x\r\n", "size"),
    (b"\r\n", "size"),
    (b"-1\r\n", "size"),
    (b"0x3\r\nabc\r\n", "size"),
    (b" 3\r\nabc\r\n", "size"),
    (b"3\nabc\r\n", "size"),
    (b"11111111111111111\r\n", "size"),
    (b"ffffffffffffffff\r\n", "size"),
    (b"3;a\0\r\nabc\r\n", "extension"),
    (b"3;a\rb\r\nabc\r\n", "extension"),
    (b"3;" + b"a" * 4096 + b"\r\nabc\r\n", "length"),
    (b"3;" + b"a" * 5000, "length"),
    (b"3\r\nabcd\r\n", "delimiter"),
    (b"3\r\nabc\n", "delimiter"),
    (b"3\r\nabc\r\n0\r\nno colon\r\n\r\n", "trailer"),
    (b"3\r\nabc\r\n0\r\n folded: 1\r\n\r\n", "trailer"),
    (b"3\r\nabc\r\n0\r\n5\r\ndefgh\r\n0\r\n\r\n", "trailer"),
]


class BadResponses(Conversation):
    """Rule 14, a table a reason."""

    async def start(self, keepalive: Any = None, **settings: Any) -> ScriptedServer:
        """A client before a proxy before the back-end that is returned."""
        backend = await self.backend()
        self.router = router_to(backend, keepalive=keepalive)
        self.running_proxy = await self.proxy(self.router, **settings)
        self.client = await self.running_proxy.connect()
        return backend

    async def answered(self, backend: ScriptedServer, *segments: bytes) -> Response:
        """The client asks, the back-end says `segments`, each on its own; return what the client gets."""
        self.client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        for segment in segments:
            server.send(segment)
            if len(segments) > 1:
                await self.turns(1)
        self.server = server
        return await self.client.receive_response()

    async def assert_refused(self, backend: ScriptedServer, what: Any, *segments: bytes) -> None:
        """Said so, it is a 502 with the reason `what`; the back-end is left, the client may stay."""
        response = await self.answered(backend, *segments)
        self.assertEqual((response.status, response.body), (502, b""))
        self.assertEqual(response.header("Connection"), "keep-alive")
        self.assertEqual(response.header("Content-Length"), "0")
        self.assertEqual(response.header("Server"), "vegur")
        self.assertIsNotNone(response.header("Date"))
        await self.server.closed()
        reason = ("downstream", what)
        await self.assert_ends(self.router, "connected", reason, "error")
        self.assertEqual(self.router.of("error_page")[-1].arguments, (reason, "example.org"))
        self.assertEqual(self.client.unread, b"")

    async def table(self, rows: list[tuple[bytes, Any]], **settings: Any) -> None:
        """Each row whole, with bytes behind it, and a byte a segment."""
        backend = await self.start(**settings)
        for bad, what in rows:
            with self.row(bad[:80]):
                await self.assert_refused(backend, what, bad)
                await self.assert_refused(backend, what, bad + b"\r\nHTTP/1.1 200 OK\r\n\r\nsurplus")
                if len(bad) < 100:
                    await self.assert_refused(backend, what, *(bad[at : at + 1] for at in range(len(bad))))

    async def test_invalid_status(self) -> None:
        """Rule 14: a status line that is none is ``invalid_status``."""
        await self.table([(line + b"\r\n\r\n", "invalid_status") for line in STATUS_LINES])

    async def test_good_statuses(self) -> None:
        """Rule 14: an empty or a missing reason phrase is fine, and so is any other one."""
        backend = await self.start()
        for line, reason in [
            (b"HTTP/1.1 200 OK", "OK"),
            (b"HTTP/1.1 200 ", ""),
            (b"HTTP/1.1 200", ""),
            (b"HTTP/1.0 200 Fine so far", "Fine so far"),
            (b"HTTP/1.1 200 \xe9t\xe9\t!", "\xe9t\xe9\t!"),
            (b"HTTP/1.1 299 X", "X"),
            (b"HTTP/1.1 999 High", "High"),
        ]:
            with self.row(line):
                response = await self.answered(backend, line + b"\r\nContent-Length: 2\r\n\r\nhi")
                self.assertEqual((response.status, response.reason), (int(line[9:12]), reason))
                self.assertEqual((response.version, response.body), ((1, 1), b"hi"))

    async def test_status_length(self) -> None:
        """Rule 14: a status line of 8192 bytes passes, one more byte is ``status_length``."""
        backend = await self.start()
        longest = b"HTTP/1.1 200 ".ljust(8192, b"r")
        response = await self.answered(backend, longest + b"\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(len(response.reason), 8192 - 13)
        await self.ending(self.router)
        await self.assert_refused(backend, "status_length", longest + b"r\r\nContent-Length: 0\r\n\r\n")

    async def test_status_without_end(self) -> None:
        """Rule 14: the limit holds while the status line is still arriving."""
        backend = await self.start()
        await self.assert_refused(backend, "status_length", b"HTTP/1.1 200 ".ljust(8193, b"r"))
        await self.assert_refused(backend, "status_length", b"HTTP/1.1 200 ", b"r" * 5000, b"r" * 5000)

    async def test_status_length_setting(self) -> None:
        """Rule 14: ``max_client_status_length`` is that limit."""
        backend = await self.start(max_client_status_length=15)
        self.assertEqual((await self.answered(backend, OK)).status, 200)
        await self.ending(self.router)
        await self.assert_refused(backend, "status_length", b"HTTP/1.1 200 Nay\r\n\r\n")

    async def test_malformed_fields(self) -> None:
        """Rule 14, settled: a malformed response header is ``header_length``."""
        await self.table([(HEAD_OK + line + b"\r\n\r\n", "header_length") for line in FIELD_LINES])

    async def test_field_length(self) -> None:
        """Rule 14: a header line of 512 kB passes, one more byte is ``header_length``."""
        backend = await self.start()
        longest = b"Big: ".ljust(524288, b"b")
        rest = b"\r\nContent-Length: 0\r\n\r\n"
        response = await self.answered(backend, HEAD_OK + longest + rest)
        self.assertEqual(len(response.header("Big") or ""), 524288 - 5)
        await self.ending(self.router)
        await self.assert_refused(backend, "header_length", HEAD_OK + longest + b"b" + rest)

    async def test_field_without_end(self) -> None:
        """Rule 14: the limit holds while the header line is still arriving."""
        backend = await self.start(max_client_header_length=100)
        await self.assert_refused(backend, "header_length", HEAD_OK + b"Big: ".ljust(101, b"b"))
        await self.assert_refused(backend, "header_length", HEAD_OK, b"Big: ", b"b" * 60, b"b" * 60)
        response = await self.answered(
            backend, HEAD_OK + b"Big: ".ljust(100, b"b") + b"\r\nContent-Length: 0\r\n\r\n"
        )
        self.assertEqual(response.status, 200)

    async def test_field_count(self) -> None:
        """Rule 14, settled: 1000 response headers pass, one more is ``header_length``."""
        backend = await self.start()
        lines = b"Content-Length: 0\r\n" + b"A: 1\r\n" * 999
        response = await self.answered(backend, HEAD_OK + lines + b"\r\n")
        self.assertEqual(len(response.all("A")), 999)
        await self.ending(self.router)
        await self.assert_refused(backend, "header_length", HEAD_OK + lines + b"A: 1\r\n\r\n")
        await self.assert_refused(backend, "header_length", HEAD_OK + lines + b"A: 1\r\n")

    async def test_cookie_length(self) -> None:
        """Rule 14: a ``Set-Cookie`` of 8192 bytes passes, one more byte is ``cookie_length``; other fields may."""
        backend = await self.start()
        rest = b"\r\nContent-Length: 0\r\n\r\n"
        cookie = b"c" * 8192
        response = await self.answered(backend, HEAD_OK + b"Set-Cookie: a\r\nset-cookie: " + cookie + rest)
        self.assertEqual(response.all("Set-Cookie"), ["a", cookie.decode()])
        await self.ending(self.router)
        response = await self.answered(backend, HEAD_OK + b"X-Cookie: c" + cookie + rest)
        self.assertEqual(response.status, 200)
        await self.ending(self.router)
        await self.assert_refused(backend, "cookie_length", HEAD_OK + b"Set-Cookie: c" + cookie + rest)
        await self.assert_refused(
            backend, "cookie_length", HEAD_OK + b"sEt-cOOkie: a\r\nset-cookie: c" + cookie + rest
        )
        await self.assert_refused(backend, "cookie_length", HEAD_OK + b"Set-Cookie: " + cookie * 2)

    async def test_content_length(self) -> None:
        """Rule 14: a length that is malformed, too big or contradictory is ``content_length``."""
        await self.table([(HEAD_OK + line + b"\r\n\r\nhello", "content_length") for line in LENGTHS])

    async def test_equal_lengths(self) -> None:
        """Rule 14: several equal lengths are one, and go on as one."""
        backend = await self.start()
        response = await self.answered(
            backend, HEAD_OK + b"Content-Length: 5\r\nA: 1\r\ncontent-length:  5 \r\n\r\nhello"
        )
        self.assertEqual((response.header("Content-Length"), response.body), ("5", b"hello"))

    async def test_invalid_transfer_encoding(self) -> None:
        """Rule 14: any coding but one ``chunked``, or a length beside it, is ``invalid_transfer_encoding``."""
        rows = [HEAD_OK + line for line in CODINGS]
        rows.append(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked")
        await self.table(
            [(row + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "invalid_transfer_encoding") for row in rows]
        )

    async def test_chunked_in_any_case(self) -> None:
        """Rule 14: ``Chunked`` is the same coding."""
        backend = await self.start()
        response = await self.answered(
            backend, HEAD_OK + b"TRANSFER-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        )
        self.assertEqual(response.body, b"hello")

    async def test_bad_chunk(self) -> None:
        """Rule 14: a bad chunk that comes with the head, of which nothing has gone on yet, is ``bad_chunk``."""
        backend = await self.start()
        head = HEAD_OK + b"Transfer-Encoding: chunked\r\n\r\n"
        for chunks, what in CHUNKS:
            with self.row(chunks[:40]):
                await self.assert_refused(backend, ("bad_chunk", what), head + chunks)

    async def test_never_pooled(self) -> None:
        """Rule 14: a connection that spoke nonsense is not used again, keep-alive or not."""
        backend = await self.start(keepalive="default")
        for said in (b"nonsense\r\n\r\n", HEAD_OK + b"Content-Length: x\r\n\r\n"):
            with self.row(said):
                self.assertEqual((await self.answered(backend, said)).status, 502)
                await self.server.closed()
                self.assertEqual(len(self.running_proxy.factory.client.pool), 0)

    async def test_router_page(self) -> None:
        """Rule 14: what the client sees is the router's own page."""
        from vegurtx import ErrorPage

        backend = await self.start()
        self.router.on(error_page=ErrorPage(504, [("X-Reason", "bad")], b"so sorry"))
        response = await self.answered(backend, b"nonsense")
        self.assertEqual(
            (response.status, response.header("X-Reason"), response.body), (504, "bad", b"so sorry")
        )
        self.assertEqual(self.router.requests[0].response_code, 504)
