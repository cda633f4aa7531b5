"""Rule 10: clients that speak HTTP/1.0, and back-ends that do."""

from __future__ import annotations

from tests.behaviour.recording import OK, OK_TO_CLIENT, REQUEST_ID, RecordingCase, added, timeless
from vegurtx import ErrorPage, RouteError
from vegurtx.testing import router_to

OLD = b"GET / HTTP/1.0\r\nHost: example.com\r\n"
SEEN = b"GET / HTTP/1.1\r\nHost: example.com\r\n"
KEEP = b"Connection: keep-alive\r\n"


class Connections(RecordingCase):
    """How long a 1.0 client's connection lives."""

    async def test_closed(self) -> None:
        """Rule 10: the connection is closed after the response, which says so, in HTTP/1.1."""
        await self.stage()
        client = await self.front.connect()
        client.send(OLD + b"\r\n")
        self.assertEqual(await client.receive_all(), OK_TO_CLIENT % b"close")
        self.assertEqual(timeless(self.seen[0].raw), SEEN + added())

    async def test_kept(self) -> None:
        """Rule 10: a client that asks for keep-alive gets it, for as many requests as it asks."""
        await self.stage()
        client = await self.front.connect()
        for field in (KEEP, b"connection: Keep-Alive\r\n", b"Connection: x-a, KEEP-ALIVE\r\n"):
            client.send(OLD + field + b"\r\n")
            await client.expect(OK_TO_CLIENT % b"keep-alive")
            self.assertEqual(timeless(self.seen[-1].raw), SEEN + added())
        client.send(OLD + b"\r\n")
        self.assertEqual(await client.receive_all(), OK_TO_CLIENT % b"close")
        self.assertEqual(len(self.seen), 4)

    async def test_not_asked_for(self) -> None:
        """Rule 10: what does not ask for keep-alive, or asks for `close` too, is closed."""
        await self.stage()
        await self.each(
            {
                "close": b"Connection: close\r\n",
                "both": b"Connection: keep-alive, close\r\n",
                "both, in two fields": KEEP + b"Connection: close\r\n",
                "Proxy-Connection": b"Proxy-Connection: keep-alive\r\n",
                "Keep-Alive": b"Keep-Alive: timeout=5\r\n",
                "an empty field": b"Connection:\r\n",
            },
            self._closed,
        )

    async def _closed(self, fields: bytes) -> None:
        client = await self.front.connect()
        client.send(OLD + fields + b"\r\n" + OLD + b"\r\n")
        self.assertEqual(await client.receive_all(), OK_TO_CLIENT % b"close")
        client.close()
        self.assertEqual(timeless(self.seen[-1].raw), SEEN + added())

    async def test_what_is_pipelined_behind(self) -> None:
        """Rules 7 and 10: a kept 1.0 connection answers pipelined requests; one that is not kept answers
        one.
        """
        await self.stage()
        client = await self.front.connect()
        client.send((OLD + KEEP + b"\r\n") * 2 + (OLD + b"\r\n") * 2)
        self.assertEqual(
            await client.receive_all(), (OK_TO_CLIENT % b"keep-alive") * 2 + OK_TO_CLIENT % b"close"
        )
        self.assertEqual(len(self.seen), 3)

    async def test_1_0_and_1_1_on_one_connection(self) -> None:
        """Rule 10: each request's own version counts."""
        await self.stage()
        client = await self.front.connect()
        client.send(OLD + KEEP + b"\r\n" + SEEN + b"\r\n" + OLD + b"\r\n")
        self.assertEqual(
            await client.receive_all(), (OK_TO_CLIENT % b"keep-alive") * 2 + OK_TO_CLIENT % b"close"
        )

    async def test_backend_is_pooled_all_the_same(self) -> None:
        """Rules 10 and 23: the back-end is spoken to in 1.1, on one connection, whatever the clients do."""
        await self.stage()
        for _ in range(3):
            client = await self.front.connect()
            client.send(OLD + b"\r\n")
            await client.receive_all()
        self.assertEqual(len(self.back.connections), 1)

    async def test_upload(self) -> None:
        """Rule 10: a 1.0 client's body is framed by its length."""
        await self.stage()
        head = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n"
        client = await self.front.connect()
        client.send(head.replace(b"1.1", b"1.0") + b"\r\nhello")
        self.assertEqual(await client.receive_all(), OK_TO_CLIENT % b"close")
        self.assertEqual(timeless(self.seen[0].raw), head + added() + b"hello")

    async def test_pages(self) -> None:
        """Rules 10 and 18: the router's pages close a 1.0 connection, and keep one that asked for it."""
        await self.stage(answers={"lookup_domain_name": RouteError("not_found")})
        page = b"HTTP/1.1 404 Not Found\r\nDate: #\r\nServer: vegur\r\nContent-Length: 0\r\n"
        page += b"Connection: %b\r\n\r\n"
        client = await self.front.connect()
        client.send(OLD + KEEP + b"\r\n" + OLD + b"\r\n")
        self.assertEqual(timeless(await client.receive_all()), page % b"keep-alive" + page % b"close")


class Responses(RecordingCase):
    """How 1.1 responses become 1.0's."""

    async def _answered(self, answer: bytes, *, fields: bytes = b"", method: bytes = b"GET") -> bytes:
        """Everything that a 1.0 client gets to see of the back-end's `answer`, up to the connection's end."""
        await self.stage(answer)
        client = await self.front.connect()
        client.send(method + OLD[3:] + fields + b"\r\n")
        return await client.receive_all()

    async def test_chunked(self) -> None:
        """Rule 10: a chunked response is unchunked, without Transfer-Encoding, and ended by closing."""
        raw = await self._answered(
            b"HTTP/1.1 200 OK\r\nServer: back-end\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n"
            b"3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\n\r\n"
        )
        self.assertEqual(
            raw,
            b"HTTP/1.1 200 OK\r\nServer: back-end\r\nX-A: 1\r\nVia: 1.1 vegur\r\nConnection: close\r\n\r\n"
            b"abcdefgh",
        )
        self.assertEqual(await self.router.finished, "normal")

    async def test_chunked_and_kept(self) -> None:
        """Rule 10: a chunked response ends the connection of a client that asked for keep-alive too."""
        raw = await self._answered(
            b"HTTP/1.1 200 OK\r\nServer: back-end\r\nTRANSFER-ENCODING: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            fields=KEEP,
        )
        self.assertEqual(
            raw, b"HTTP/1.1 200 OK\r\nServer: back-end\r\nVia: 1.1 vegur\r\nConnection: close\r\n\r\nabc"
        )

    async def test_trailers(self) -> None:
        """Rules 6 and 10: trailers, and the field that announces them, are not for 1.0."""
        raw = await self._answered(
            b"HTTP/1.1 200 OK\r\nServer: back-end\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
        )
        self.assertEqual(
            raw, b"HTTP/1.1 200 OK\r\nServer: back-end\r\nVia: 1.1 vegur\r\nConnection: close\r\n\r\nabc"
        )

    async def test_chunks_as_they_come(self) -> None:
        """Rule 10: the chunks' data goes on as it comes, not when all of it is here."""
        back = await self.backend()
        front = await self.proxy(router_to(back))
        client = await front.connect()
        client.send(OLD + b"\r\n")
        server = await back.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 200 OK\r\nServer: back-end\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab")
        await client.expect(
            b"HTTP/1.1 200 OK\r\nServer: back-end\r\nVia: 1.1 vegur\r\nConnection: close\r\n\r\nab"
        )
        server.send(b"c\r\n2\r\nde\r")
        await client.expect(b"cde")
        server.send(b"\n0\r\n\r\n")
        self.assertEqual(await client.receive_all(), b"")

    async def test_truncated(self) -> None:
        """Rules 10 and 21: an unchunked response that breaks off does not look like a whole one."""
        back = await self.backend()
        router = router_to(back)
        front = await self.proxy(router)
        client = await front.connect()
        client.send(OLD + b"\r\n")
        server = await back.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await client.receive_until(b"abc")
        server.close()
        self.assertEqual(await client.closed(), "reset")
        self.assertEqual(await router.finished, "error")
        (checkin,) = router.of("checkin_service")
        self.assertEqual(checkin.arguments[2:], ("connected", ("downstream", "closed")))

    async def test_head_and_304(self) -> None:
        """Rules 10 and 15: where no body follows, a 1.0 client is not told of chunks either, and can be
        kept.
        """
        for method, status in ((b"HEAD", b"200 OK"), (b"GET", b"304 Not Modified")):
            await self.stage(
                b"HTTP/1.1 %b\r\nServer: back-end\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n" % status
            )
            client = await self.front.connect()
            client.send(method + OLD[3:] + KEEP + b"\r\n")
            await client.expect(
                b"HTTP/1.1 %b\r\nServer: back-end\r\nX-A: 1\r\nVia: 1.1 vegur\r\nConnection: keep-alive\r\n"
                b"\r\n" % status
            )
            client.send(method + OLD[3:] + b"\r\n")
            self.assertTrue((await client.receive_all()).endswith(b"Connection: close\r\n\r\n"))

    async def test_until_close(self) -> None:
        """Rules 10 and 16: a response without length ends by closing, for a client that asked for keep-alive
        too.
        """
        back = await self.backend()
        front = await self.proxy(router_to(back))
        for version in (b"HTTP/1.0", b"HTTP/1.1"):
            client = await front.connect()
            client.send(OLD + KEEP + b"\r\n")
            server = await back.accept()
            await server.receive_request()
            server.send(version + b" 200 OK\r\nServer: back-end\r\n\r\nabc")
            server.close()
            self.assertEqual(
                await client.receive_all(),
                b"HTTP/1.1 200 OK\r\nServer: back-end\r\nVia: 1.1 vegur\r\nConnection: close\r\n\r\nabc",
            )

    async def test_interim(self) -> None:
        """Rules 10 and 17: 1xx responses are not sent to a 1.0 client."""
        raw = await self._answered(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK
        )
        self.assertEqual(raw, OK_TO_CLIENT % b"close")
        self.assertEqual(await self.router.finished, "normal")

    async def test_1_0_backend(self) -> None:
        """Rule 10: a back-end that answers in 1.0 is passed on as 1.1, to clients of both versions."""
        await self.stage(OK.replace(b"1.1", b"1.0"), keepalive=None)
        for request, ending in ((OLD, b"close"), (OLD + KEEP, b"keep-alive"), (SEEN, b"keep-alive")):
            client = await self.front.connect()
            client.send(request + b"\r\n")
            await client.expect(OK_TO_CLIENT % ending)
            client.close()


class Expectations(RecordingCase):
    """What only 1.1 clients can ask for."""

    async def test_expect(self) -> None:
        """Rules 8 and 10: a 1.0 client's `Expect: 100-continue` is ignored, whatever `deep_continue` is."""
        for deep in (False, True):
            await self.stage(answers={"feature": {"deep_continue"} if deep else False})
            client = await self.front.connect()
            client.send(
                b"POST / HTTP/1.0\r\nHost: example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
                b"hello"
            )
            self.assertEqual(await client.receive_all(), OK_TO_CLIENT % b"close")
            self.assertEqual(
                timeless(self.seen[0].raw),
                b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n" + added() + b"hello",
            )

    async def test_unknown_expectation(self) -> None:
        """Rules 8 and 10: an unknown expectation is 417 for a 1.0 client too."""
        await self.stage()
        client = await self.front.connect()
        client.send(OLD + b"Expect: tea\r\n\r\n")
        self.assertEqual((await client.receive_response()).status, 417)
        self.assertEqual(await client.receive_all(), b"")

    async def test_upgrade(self) -> None:
        """Rules 9 and 10: a 1.0 client's upgrade is ignored, and its fields end here."""
        await self.stage()
        client = await self.front.connect()
        client.send(OLD + b"Connection: upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n")
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual(timeless(self.seen[0].raw), SEEN + added())

    async def test_switching_unasked(self) -> None:
        """Rules 10 and 17: a 101 is never for a 1.0 client: 502."""
        await self.stage(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            answers={"error_page": lambda reason, group, request, state: ErrorPage(502)},
        )
        client = await self.front.connect()
        client.send(OLD + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual((await client.receive_response()).status, 502)
        (page,) = self.router.of("error_page")
        self.assertEqual(page.arguments[0], ("downstream", "invalid_status"))
        self.assertEqual(self.seen[0].header("x-request-id"), REQUEST_ID)
