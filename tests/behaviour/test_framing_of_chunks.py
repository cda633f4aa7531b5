"""Rules 5 and 6: a chunked body keeps requests apart, or the request is refused.

The back-end records. What it gets is written afresh, and of a bad body it never gets an end.
"""

from __future__ import annotations

from tests.behaviour.recording import SMUGGLED, RecordingCase, added, timeless
from vegurtx.testing import parse_response_head

POST = b"POST / HTTP/1.1\r\nHost: example.com\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def lines(fields: bytes, body: bytes = b"", start: bytes = POST) -> bytes:
    """A request with these field lines, and what follows its head."""
    return start + fields + b"\r\n" + body


class Chunks(RecordingCase):
    """Rule 6, as far as it keeps requests apart."""

    async def test_written_afresh(self) -> None:
        """Rule 6: extensions and odd sizes are dropped; the back-end gets chunks of our own making."""
        await self.stage()
        await self.each(
            {
                "extensions": (b"2;a=b\r\nhi\r\n0;c\r\n\r\n", b"2\r\nhi\r\n0\r\n\r\n"),
                "a quoted extension": (b'2;a="b;\\"c"\r\nhi\r\n0\r\n\r\n', b"2\r\nhi\r\n0\r\n\r\n"),
                "a request in an extension": (
                    b"2;GET /smuggled HTTP/1.1\r\nhi\r\n0\r\n\r\n",
                    b"2\r\nhi\r\n0\r\n\r\n",
                ),
                "zeros": (b"0000000000000002\r\nhi\r\n000\r\n\r\n", b"2\r\nhi\r\n0\r\n\r\n"),
                "upper case": (b"A\r\n0123456789\r\n0\r\n\r\n", b"a\r\n0123456789\r\n0\r\n\r\n"),
                "two chunks": (b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", b"2\r\nhi\r\n0\r\n\r\n"),
                "CRLF in a chunk": (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"4\r\n\r\n\r\n\r\n0\r\n\r\n"),
                "an end in a chunk": (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
            },
            self._afresh,
        )

    async def _afresh(self, vector: tuple[bytes, bytes]) -> None:
        sent, expected = vector
        request, response, client = await self.ask(lines(CHUNKED, sent))
        # whole bodies that come in one segment leave as one chunk; the head went before them
        self.assertEqual(timeless(request.raw), POST + CHUNKED + added() + expected)
        self.assertEqual(response.status, 200)
        client.close()

    async def test_trailers(self) -> None:
        """Rule 6: trailers go on but for those of framing, routing and connections."""
        await self.stage()
        kept = b'X-Checksum: 1\r\nETag: "a"\r\nx-Other:2\r\n'
        dropped = (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: other.example\r\n"
            b"Connection: close\r\nTE: gzip\r\n"
            b"Trailer: X\r\nUpgrade: x\r\nKeep-Alive: 1\r\nProxy-Authorization: a\r\nAuthorization: a\r\n"
            b"X-Forwarded-For: 1.2.3.4\r\nX-Request-Id: 01234567890123456789\r\nCookie: a\r\n"
            b"Expect: 100-continue\r\n"
        )
        request, _, _ = await self.ask(
            lines(CHUNKED, b"2\r\nhi\r\n0\r\n" + dropped + kept + dropped.upper() + b"\r\n")
        )
        self.assertEqual(
            timeless(request.raw), POST + CHUNKED + added() + b"2\r\nhi\r\n0\r\n" + kept + b"\r\n"
        )

    async def test_trailers_that_look_like_framing(self) -> None:
        """Rules 5 and 6: a look-alike of a framing field does not go on as a trailer either."""
        await self.stage()
        fields = b"Content_Length: 5\r\ntransfer_encoding: chunked\r\n"
        request, _, _ = await self.ask(lines(CHUNKED, b"2\r\nhi\r\n0\r\n" + fields + b"\r\n"))
        self.assertEqual(request.trailers, [])

    async def test_bad(self) -> None:
        """Rule 6: a bad chunk is `("upstream", ("bad_chunk", …))`, 400; both sides are closed, nothing is
        completed.
        """
        await self.stage()
        await self.each(
            {
                "no size": (b"\r\nhi\r\n0\r\n\r\n", "size"),
                "a sign": (b"+2\r\nhi\r\n0\r\n\r\n", "size"),
                "a minus": (b"-2\r\nhi\r\n0\r\n\r\n", "size"),
                "0x": (b"0x2\r\nhi\r\n0\r\n\r\n", "size"),
                "an underscore": (b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n", "size"),
                "a letter": (b"g\r\nhi\r\n0\r\n\r\n", "size"),
                "white space before": (b" 2\r\nhi\r\n0\r\n\r\n", "size"),
                "white space behind": (b"2 \r\nhi\r\n0\r\n\r\n", "extension"),
                "too large": (b"ffffffffffffffff\r\nhi\r\n0\r\n\r\n", "size"),
                "too many digits": (b"10000000000000002\r\nhi\r\n0\r\n\r\n", "size"),
                "LF behind the size": (b"2\nhi\r\n0\r\n\r\n", "size"),
                "LF behind an extension": (b"2;a\nhi\r\n0\r\n\r\n", "extension"),
                "CR in an extension": (b"2;a\rb\r\nhi\r\n0\r\n\r\n", "extension"),
                "NUL in an extension": (b"2;\x00\r\nhi\r\n0\r\n\r\n", "extension"),
                "CR behind the size": (b"2\rhi\r\n0\r\n\r\n", "extension"),
                "LF behind the data": (b"2\r\nhi\n0\r\n\r\n", "delimiter"),
                "nothing behind the data": (b"2\r\nhi0\r\n\r\n", "delimiter"),
                "more data than said": (b"2\r\nhello\r\n0\r\n\r\n", "delimiter"),
                "less data than said": (b"5\r\nhi\r\n0\r\n\r\n", "size"),
                "a bad second chunk": (b"2\r\nhi\r\nxyz\r\n", "size"),
                "LF behind the last chunk": (b"2\r\nhi\r\n0\n\n", "size"),
                "LF at the end": (b"2\r\nhi\r\n0\r\n\n", "trailer"),
                "a trailer without a colon": (b"2\r\nhi\r\n0\r\nGET / HTTP/1.1\r\n\r\n", "trailer"),
                "a folded trailer": (b"2\r\nhi\r\n0\r\nX: 1\r\n 2\r\n\r\n", "trailer"),
                "a space before a trailer's colon": (b"2\r\nhi\r\n0\r\nX : 1\r\n\r\n", "trailer"),
                "NUL in a trailer": (b"2\r\nhi\r\n0\r\nX: \x00\r\n\r\n", "trailer"),
            },
            self._bad,
        )
        self.assertEqual(self.seen, [])

    async def _bad(self, vector: tuple[bytes, str]) -> None:
        body, what = vector
        calls, contacts = len(self.router.calls), len(self.back.connections)
        client = await self.front.connect()
        client.send(lines(CHUNKED, body) + SMUGGLED)
        response = parse_response_head(await client.receive_all())
        client.close()
        self.assertEqual((response.status, response.header("connection")), (400, "close"))
        reason = ("upstream", ("bad_chunk", what))
        self.assertEqual(await self.router.finished, "error")
        self.assertEqual(
            [(call.name, call.arguments) for call in self.router.calls[calls:]][-3:],
            [
                ("error_page", (reason, "example.com")),
                ("checkin_service", ("example.com", self.router.backends[0], "connected", reason)),
                ("terminate", ("error",)),
            ],
        )
        self.assertEqual(self.router.names[calls:].count("init"), 1)
        await self.until(
            lambda: all(each.arrival.value != "open" for each in self.back.connections[contacts:])
        )
        for connection in self.back.connections[contacts:]:
            self.assertNotIn(b"\r\n0\r\n", connection.received)
            self.assertNotIn(b"smuggled", connection.received)

    async def test_size_that_the_last_chunk_lacks(self) -> None:
        """Rule 6: `less data than said`, all of it body so far: the request is never completed, and ends
        with the client.
        """
        await self.stage()
        client = await self.front.connect()
        client.send(lines(CHUNKED, b"ff\r\n" + SMUGGLED))
        await self.until(lambda: self.back.connections)
        client.close()
        self.assertEqual(await self.router.finished, "error")
        await self.until(lambda: self.back.connections[0].arrival.value != "open")
        self.assertEqual(self.seen, [])
