"""Rules 15, 16 and 6, 10: where a response's body ends, and how it gets home in each framing."""

from __future__ import annotations

from tests.behaviour.conversation import (
    CHUNKED_POST,
    GET,
    GOOD,
    HEAD,
    OK,
    OLD_GET,
    OLD_GET_KEEP_ALIVE,
    Conversation,
    post,
)
from vegurtx.testing import PeerSilent, answering, router_to
from vegurtx.testing.pattern import PATTERN

ENDS = b"Via: 1.1 vegur\r\nServer: vegur\r\nConnection: keep-alive\r\n\r\n"
"""What the proxy adds to a response behind which the client's connection stays."""
LAST = b"Via: 1.1 vegur\r\nServer: vegur\r\nConnection: close\r\n\r\n"
"""The same where it does not."""

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

BODILESS = [
    (HEAD, b"200 OK"),
    (HEAD, b"404 Not Found"),
    (HEAD, b"204 No Content"),
    (HEAD, b"304 Not Modified"),
    (GET, b"204 No Content"),
    (GET, b"304 Not Modified"),
    (post(0), b"204 No Content"),
]

LENGTH_FIELDS = [
    b"",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5000000000\r\n",
    b"Transfer-Encoding: chunked\r\n",
]


class NoBody(Conversation):
    """Rule 15: no body after HEAD, 1xx, 204 and 304."""

    async def test_headers_are_forwarded(self) -> None:
        """Rule 15: whatever the headers say there is no body, and they go on as they are; both connections stay."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        server.send(OK)
        await client.receive_response()
        self.assertEqual(await self.ending(proxy.router), GOOD)
        for request, status in BODILESS:
            for fields in LENGTH_FIELDS:
                with self.row(request, status, fields):
                    client.send(request)
                    await server.receive_request()
                    server.send(b"HTTP/1.1 %b\r\nA: 1\r\n%b\r\n" % (status, fields))
                    await client.expect(b"HTTP/1.1 %b\r\nA: 1\r\n%b%b" % (status, fields, ENDS))
                    self.assertEqual(await self.ending(proxy.router), GOOD)
        self.assertEqual(len(backend.connections), 1)

    async def test_stray_body(self) -> None:
        """Rule 15: a stray body is dropped, and the back-end connection closed; the client's stays."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        for request, status in BODILESS:
            for stray in (b"hello", b"5\r\nhello\r\n0\r\n\r\n", OK):
                with self.row(request, status, stray):
                    client.send(request)
                    server = await backend.accept()
                    await server.receive_request()
                    server.send(b"HTTP/1.1 %b\r\nContent-Length: 5\r\n\r\n%b" % (status, stray))
                    await client.expect(b"HTTP/1.1 %b\r\nContent-Length: 5\r\n%b" % (status, ENDS))
                    await server.closed()
                    self.assertEqual(await self.ending(proxy.router), GOOD)
                    self.assertEqual(len(proxy.factory.client.pool), 0)

    async def test_stray_body_later(self) -> None:
        """Rule 15: one that comes when the connection rests in the pool ends it there."""
        scene = await self.scene(HEAD, keepalive="default")
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        await scene.client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + ENDS)
        await self.until(lambda: len(scene.proxy.factory.client.pool) == 1)
        scene.server.send(b"hello")
        await scene.server.closed()
        self.assertEqual(len(scene.proxy.factory.client.pool), 0)
        scene.client.send(GET)
        server = await scene.backend.accept()
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_stray_body_to_follow(self) -> None:
        """Rule 15: with a connection for one request, the back-end's own idea of a body bothers nobody."""
        scene = await self.scene(HEAD)
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        response = await scene.client.receive_response(b"HEAD")
        self.assertEqual(response.header("Content-Length"), "5")
        await scene.server.closed()
        scene.client.send(GET)
        server = await scene.backend.accept()
        server.send(OK)
        await scene.client.receive_response()
        self.assertEqual(scene.client.unread, b"")

    async def test_interim_with_length(self) -> None:
        """Rule 15: a 1xx has no body either."""
        scene = await self.scene()
        scene.server.send(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + OK)
        await scene.client.expect(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n")
        await scene.client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + ENDS + b"hi")

    async def test_close_after_no_body(self) -> None:
        """Rules 15, 19: no length, and the back-end closes: the client's connection stays all the same."""
        for request, status in BODILESS:
            with self.row(request, status):
                scene = await self.scene(request)
                scene.server.send(b"HTTP/1.1 %b\r\nConnection: close\r\n\r\n" % status)
                scene.server.close()
                await scene.client.expect(b"HTTP/1.1 %b\r\n%b" % (status, ENDS))
                self.assertEqual(await self.ending(scene.router), GOOD)
                scene.client.send(GET)
                await scene.backend.accept()

    async def test_old_client(self) -> None:
        """Rules 10, 15: an HTTP/1.0 client that keeps its connection may do so behind a HEAD."""
        scene = await self.scene(b"HEAD / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
        scene.server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        response = await scene.client.receive_response(b"HEAD")
        self.assertEqual(response.header("Connection"), "keep-alive")
        scene.client.send(GET)
        await scene.backend.accept()


class UntilClose(Conversation):
    """Rule 16: no length and not chunked."""

    async def test_ends_by_close(self) -> None:
        """Rule 16: the body ends with the back-end's connection, and the client's is closed behind it."""
        for version in (b"1.0", b"1.1"):
            for request in (GET, OLD_GET, OLD_GET_KEEP_ALIVE, post(0)):
                with self.row(version, request):
                    scene = await self.scene(request, keepalive="default")
                    scene.server.send(b"HTTP/%b 200 OK\r\nA: 1\r\n\r\nhello, " % version)
                    await scene.client.expect(b"HTTP/1.1 200 OK\r\nA: 1\r\n" + LAST + b"hello, ")
                    scene.server.send(b"world")
                    await scene.client.expect(b"world")
                    self.assertEqual(scene.router.count("terminate"), 0)
                    scene.server.close()
                    self.assertEqual(await scene.client.closed(), "clean")
                    self.assertEqual(scene.client.unread, b"")
                    self.assertEqual(await self.ending(scene.router), GOOD)
                    self.assertEqual(len(scene.proxy.factory.client.pool), 0)

    async def test_all_at_once(self) -> None:
        """Rule 16: head, body and end in one segment; also with no body at all."""
        for body in (b"", b"hello", PATTERN[:300000]):
            with self.row(len(body)):
                scene = await self.scene()
                scene.server.send(b"HTTP/1.1 200 OK\r\n\r\n" + body)
                scene.server.close()
                await scene.client.expect(b"HTTP/1.1 200 OK\r\n" + LAST + body)
                self.assertEqual(await scene.client.closed(), "clean")
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_half_close(self) -> None:
        """Rule 16: a back-end that only half-closes has ended its body too."""
        scene = await self.scene()
        scene.server.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        scene.server.half_close()
        self.assertEqual((await scene.client.receive_response()).body, b"hello")
        await scene.server.closed()

    async def test_looks_like_more(self) -> None:
        """Rule 16: everything before the end is body, whatever it looks like."""
        scene = await self.scene()
        scene.server.send(b"HTTP/1.1 200 OK\r\n\r\n" + OK)
        scene.server.close()
        self.assertEqual((await scene.client.receive_response()).body, OK)

    async def test_pipelined_behind_it(self) -> None:
        """Rules 7, 16: a request behind one whose answer ends by close is not answered, nor sent on."""
        scene = await self.scene(GET + GET.replace(b"/ ", b"/second "))
        scene.server.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        scene.server.close()
        self.assertEqual((await scene.client.receive_response()).body, b"hello")
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.assertEqual((scene.router.count("init"), len(scene.backend.connections)), (1, 1))


class Surplus(Conversation):
    """Rule 16: bytes behind the end."""

    async def test_dropped(self) -> None:
        """Rule 16: they are dropped and the connection is never pooled; the client's stays."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        chunked = CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"
        for segments in [
            (OK + b"!",),
            (OK + OK,),
            (OK + b"\r\n",),
            (OK[:-2], b"hi!"),
            (OK[:-1], b"i" + OK),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nhi",),
            (chunked + b"!",),
            (chunked + OK,),
            (CHUNKED + b"2\r\nhi\r\n0\r\n", b"\r\n!"),
            (CHUNKED, b"2\r\nhi\r\n0\r\nA: 1\r\n\r\n" + OK),
        ]:
            with self.row(segments):
                client.send(GET)
                server = await backend.accept()
                await server.receive_request()
                for segment in segments:
                    server.send(segment)
                    await self.turns()
                self.assertIn((await client.receive_response()).body, (b"hi", b""))
                await server.closed()
                self.assertEqual(await self.ending(proxy.router), GOOD)
                self.assertEqual((len(proxy.factory.client.pool), client.unread), (0, b""))


class Lengths(Conversation):
    """Bodies with a length."""

    async def test_exact_bytes(self) -> None:
        """Rule 18: a response's own bytes go on as they came, ours behind them."""
        scene = await self.scene()
        scene.server.send(b"HTTP/1.1 200 Fine\r\nb: 2\r\nA:1\r\nb:  3 \r\ncontent-LENGTH: 5\r\n\r\nhello")
        await scene.client.expect(
            b"HTTP/1.1 200 Fine\r\nb: 2\r\nA:1\r\nb:  3 \r\ncontent-LENGTH: 5\r\n" + ENDS + b"hello"
        )

    async def test_any_segments(self) -> None:
        """Rule 14: a byte a segment is the same response."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        client = await proxy.connect()
        chunks = CHUNKED + b"2;x=1\r\nhi\r\n0\r\nT: 1\r\n\r\n"
        for response in (OK, b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", chunks):
            with self.row(response):
                client.send(GET)
                server = await backend.accept()
                await server.receive_request()
                for at in range(len(response)):
                    server.send(response[at : at + 1])
                    await self.turns(1)
                self.assertEqual((await client.receive_response()).body, b"hi")

    async def test_large(self) -> None:
        """Rules 14, 16: megabytes pass unchanged, in each framing, there and back."""
        body = PATTERN[: 1 << 21]
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        coded = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        for framed in (length + body, b"Transfer-Encoding: chunked\r\n\r\n" + coded):
            with self.row(framed[:40]):
                backend = await self.backend(
                    handler=answering(lambda got, f=framed: b"HTTP/1.1 200 OK\r\n" + f)
                )
                proxy = await self.proxy(router_to(backend))
                client = await proxy.connect()
                client.send(b"PUT / HTTP/1.1\r\nHost: x\r\n" + framed)
                self.assertTrue((await client.receive_response()).body == body, "the response's body differs")
                self.assertTrue(
                    body in _decoded(backend.connections[0].received), "the request's body differs"
                )
                self.assertEqual(await self.ending(proxy.router), GOOD)

    async def test_counted(self) -> None:
        """Settled: ``bytes_*`` count the back-end's side."""
        scene = await self.scene(post(5) + b"hello")
        scene.server.send(OK)
        await scene.client.receive_response()
        await self.ending(scene.router)
        request = scene.router.requests[0]
        self.assertEqual(request.bytes_sent, len(scene.server.received))
        self.assertEqual(request.bytes_received, len(OK))


class Chunks(Conversation):
    """Chunked responses."""

    async def test_written_afresh(self) -> None:
        """Rules 6, 14: the content goes on in chunks of our own, without extensions; the connections stay."""
        scene = await self.scene(keepalive="default")
        scene.server.send(
            CHUNKED + b'003;name=value;x\r\nabc\r\nE;a="q"\r\ndefghijklmnopq\r\n00;last\r\n\r\n'
        )
        response = await scene.client.receive_response()
        self.assertEqual(response.body, b"abcdefghijklmnopq")
        self.assertEqual(response.raw[: -len(b"11\r\nabcdefghijklmnopq\r\n0\r\n\r\n")], (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + ENDS
        ))  # fmt: skip
        self.assertEqual(scene.client.unread, b"")
        self.assertEqual(await self.ending(scene.router), GOOD)
        scene.client.send(GET)
        await scene.server.receive_request()
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_streamed(self) -> None:
        """Rule 14: each chunk goes on when it comes, and half of one too."""
        scene = await self.scene()
        scene.server.send(CHUNKED)
        await scene.client.receive_head()
        for said, heard in [
            (b"3\r\nabc\r\n", b"3\r\nabc\r\n"),
            (b"5\r\nde", b"2\r\nde\r\n"),
            (b"fgh", b"3\r\nfgh\r\n"),
            (b"\r\n1\r\n", b""),
            (b"i\r\n0\r\n", b"1\r\ni\r\n"),
            (b"\r\n", b"0\r\n\r\n"),
        ]:
            with self.row(said):
                self.assertEqual(scene.client.unread, b"")
                scene.server.send(said)
                await scene.client.expect(heard)
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_empty(self) -> None:
        """Rule 14: no content at all is a body of one last chunk."""
        scene = await self.scene()
        scene.server.send(CHUNKED + b"0\r\n\r\n")
        await scene.client.expect(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + ENDS + b"0\r\n\r\n")

    async def test_trailers(self) -> None:
        """Rule 6: trailers are kept, but for framing, routing and hop-by-hop fields."""
        scene = await self.scene(b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
        scene.server.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Digest, B\r\n\r\n2\r\nhi\r\n0\r\n"
            b"Digest: x=y\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nConnection: close\r\n"
            b"Keep-Alive: 1\r\nTrailer: X\r\nUpgrade: h2c\r\nTE: x\r\nProxy-Connection: close\r\nb:2\r\nB: 3\r\n\r\n"
        )
        response = await scene.client.receive_response()
        self.assertEqual(response.header("Trailer"), "Digest, B")
        self.assertEqual(response.trailers, [("Digest", "x=y"), ("b", "2"), ("B", "3")])
        self.assertTrue(response.raw.endswith(b"0\r\nDigest: x=y\r\nb:2\r\nB: 3\r\n\r\n"))

    async def test_trailers_before_close(self) -> None:
        """Rules 6, 19: a back-end that closes behind its trailers has said all."""
        scene = await self.scene()
        scene.server.send(CHUNKED[:-2] + b"Connection: close\r\n\r\n2\r\nhi\r\n0\r\nA: 1\r\n\r\n")
        scene.server.close()
        response = await scene.client.receive_response()
        self.assertEqual((response.trailers, response.header("Connection")), ([("A", "1")], "keep-alive"))

    async def test_short_of_the_last_line(self) -> None:
        """Rule 21: without the empty line behind the last chunk it is not the end, and the client gets none."""
        scene = await self.scene()
        scene.server.send(CHUNKED + b"2\r\nhi\r\n0\r\n")
        await scene.client.receive_until(b"2\r\nhi\r\n")
        scene.client.timeout = 0.02
        with self.assertRaises(PeerSilent):
            await scene.client.receive(1)
        scene.client.timeout = self.patience
        scene.server.close()
        self.assertEqual((await scene.client.closed(), scene.client.unread), ("reset", b""))
        await self.assert_ends(scene.router, "connected", ("downstream", "closed"), "error")

    async def test_to_an_old_client(self) -> None:
        """Rule 10: for a 1.0 client it is unchunked and ended by closing, even if it would keep its connection."""
        for request in (OLD_GET, OLD_GET_KEEP_ALIVE):
            with self.row(request):
                scene = await self.scene(request, keepalive="default")
                scene.server.send(
                    b"HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\nB: 2\r\n\r\n3;x\r\nabc\r\n"
                )
                await scene.client.expect(b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n" + LAST + b"abc")
                scene.server.send(b"1\r\nd\r\n")
                await scene.client.expect(b"d")
                scene.server.send(b"0\r\nT: 1\r\n\r\n")
                self.assertEqual((await scene.client.closed(), scene.client.unread), ("clean", b""))
                self.assertEqual(await self.ending(scene.router), GOOD)
                self.assertEqual(len(scene.proxy.factory.client.pool), 1)

    async def test_to_an_old_client_at_once(self) -> None:
        """Rule 10: the same in one segment, and with nothing in it."""
        for chunks, body in ((b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"), (b"0\r\n\r\n", b"")):
            with self.row(chunks):
                scene = await self.scene(OLD_GET)
                scene.server.send(CHUNKED + chunks)
                self.assertEqual((await scene.client.receive_all()), b"HTTP/1.1 200 OK\r\n" + LAST + body)

    async def test_there_and_back(self) -> None:
        """Rule 6: a chunked request and its chunked answer on the same connections."""
        scene = await self.scene(CHUNKED_POST + b"3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n")
        self.assertEqual(getattr(scene.request, "body", None), b"abcdefgh")
        scene.server.send(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n")
        self.assertEqual((await scene.client.receive_response()).body, b"abc")


def _decoded(request: bytes) -> bytes:
    """A chunked request's content, near enough: the sizes cut out of the bytes."""
    head, _, body = request.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return body
    content = []
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line, 16)
        content.append(body[:size])
        body = body[size + 2 :]
    return b"".join(content)
