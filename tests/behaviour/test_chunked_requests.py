"""Rule 6: chunked request bodies are parsed strictly and written out afresh."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import CHUNKED_POST, GET, GOOD, OK, Conversation, Ending, Scene
from tests.behaviour.recording import NOW, REQUEST_ID, added, timeless
from vegurtx.errors import RouteError
from vegurtx.testing import RunningProxy, router_to

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.example\r\n\r\n"

#: bodies that mean ``hello`` and nothing else
GOOD_BODIES = {
    "plain": b"5\r\nhello\r\n0\r\n\r\n",
    "two chunks": b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "leading zeros": b"0000000000000005\r\nhello\r\n0000\r\n\r\n",
    "an extension": b"5;name=value\r\nhello\r\n0\r\n\r\n",
    "an extension without value": b"5;name\r\nhello\r\n0\r\n\r\n",
    "several extensions": b'5;a=1;b;c="x;y"\r\nhello\r\n0\r\n\r\n',
    "an extension on the last chunk": b"5\r\nhello\r\n0;last\r\n\r\n",
    "a quoted extension that looks like a chunk": b'5;a="0\\""\r\nhello\r\n0\r\n\r\n',
    "the longest extension": b"5;" + b"x" * 4094 + b"\r\nhello\r\n0\r\n\r\n",
}

#: bodies that break the grammar or a limit, and what the reason says of them
BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "no hex digit": (b"x\r\nhello\r\n0\r\n\r\n", "size"),
    "an empty size": (b"\r\nhello\r\n0\r\n\r\n", "size"),
    "a negative size": (b"-5\r\nhello\r\n0\r\n\r\n", "size"),
    "a plus sign": (b"+5\r\nhello\r\n0\r\n\r\n", "size"),
    "a prefix": (b"0x5\r\nhello\r\n0\r\n\r\n", "size"),
    "an underscore": (b"0_5\r\nhello\r\n0\r\n\r\n", "size"),
    "a space before the size": (b" 5\r\nhello\r\n0\r\n\r\n", "size"),
    "a comma": (b"5,5\r\nhello\r\n0\r\n\r\n", "size"),
    "digits of another script": ("\uff15\r\nhello\r\n0\r\n\r\n".encode(), "size"),
    "seventeen digits": (b"00000000000000005\r\nhello\r\n0\r\n\r\n", "size"),
    "more than 63 bits": (b"8000000000000000\r\nhello\r\n0\r\n\r\n", "size"),
    "a size that wraps to 5": (b"10000000000000005\r\nhello\r\n0\r\n\r\n", "size"),
    "a space behind the size": (b"5 \r\nhello\r\n0\r\n\r\n", "extension"),
    "a space before an extension": (b"5 ;name\r\nhello\r\n0\r\n\r\n", "extension"),
    "a size ended by LF": (b"5\nhello\r\n0\r\n\r\n", "size"),
    "a size ended by CR": (b"5\rhello\r\n0\r\n\r\n", "extension"),
    "a doubled CR": (b"5\r\r\nhello\r\n0\r\n\r\n", "extension"),
    "an extension ended by LF": (b"5;a\nhello\r\n0\r\n\r\n", "extension"),
    "an extension with a CR": (b"5;a\rb\r\nhello\r\n0\r\n\r\n", "extension"),
    "an extension with a NUL": (b"5;a\0b\r\nhello\r\n0\r\n\r\n", "extension"),
    "an extension that is too long": (b"5;" + b"x" * 4095 + b"\r\nhello\r\n0\r\n\r\n", "length"),
    "an extension without end": (b"5;" + b"x" * 8000, "length"),
    "no CRLF behind the data": (b"5\r\nhello0\r\n\r\n", "delimiter"),
    "LF behind the data": (b"5\r\nhello\n0\r\n\r\n", "delimiter"),
    "CR behind the data": (b"5\r\nhello\r0\r\n\r\n", "delimiter"),
    "more data than the size says": (b"5\r\nhello, world\r\n0\r\n\r\n", "delimiter"),
    "less data than the size says": (b"7\r\nhello\r\n0\r\n\r\n", "delimiter"),
    "a last chunk ended by LF": (b"5\r\nhello\r\n0\n\r\n", "size"),
    "a chunk behind the last one": (b"5\r\nhello\r\n0\r\n5\r\nhello\r\n\r\n", "trailer"),
    "a trailer without colon": (b"5\r\nhello\r\n0\r\ntrailer is invalid\r\n\r\n", "trailer"),
    "a trailer without name": (b"5\r\nhello\r\n0\r\n: value\r\n\r\n", "trailer"),
    "a space before the colon": (b"5\r\nhello\r\n0\r\nname : value\r\n\r\n", "trailer"),
    "a folded trailer": (b"5\r\nhello\r\n0\r\nname: value\r\n folded\r\n\r\n", "trailer"),
    "a trailer ended by LF": (b"5\r\nhello\r\n0\r\nname: value\n\r\n", "trailer"),
    "a trailer with a CR": (b"5\r\nhello\r\n0\r\nname: va\rlue\r\n\r\n", "trailer"),
    "a trailer with a NUL": (b"5\r\nhello\r\n0\r\nname: va\0lue\r\n\r\n", "trailer"),
    "the trailers ended by LF": (b"5\r\nhello\r\n0\r\nname: value\r\n\n", "trailer"),
    "a request where the end is missing": (b"5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n", "trailer"),
    "a trailer's name that is too long": (b"5\r\nhello\r\n0\r\n" + b"n" * 1001 + b": v\r\n\r\n", "trailer"),
    "a trailer's value that is too long": (b"5\r\nhello\r\n0\r\nn: " + b"v" * 8193 + b"\r\n\r\n", "trailer"),
    "too many trailers": (b"5\r\nhello\r\n0\r\n" + b"n: v\r\n" * 1001 + b"\r\n", "trailer"),
}

#: trailers that frame, route, or belong to one connection
DROPPED_TRAILERS = (
    b"Content-Length: 7",
    b"Transfer-Encoding: chunked",
    b"Trailer: X-Sum",
    b"Host: other.example",
    b"Connection: close",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: close",
    b"TE: trailers",
    b"tE: trailers",
    b"Upgrade: websocket",
    b"Via: 1.1 somewhere",
    b"Forwarded: for=192.0.2.1",
    b"X-Forwarded-For: 192.0.2.1",
    b"X-Forwarded-Proto: https",
    b"X-FORWARDED-HOST: other.example",
    b"Proxy-Authorization: Basic eDp5",
    b"Authorization: Basic eDp5",
    b"Expect: 100-continue",
    b"X-Request-Id: 01234567-89ab-4cde-8f01-23456789abcd",
)


class Chunks(Conversation):
    """What a proxy does with a chunked upload."""

    async def fixed(self, router: Any, **settings: Any) -> RunningProxy:
        """A proxy whose request ids and wall clock stand still."""
        proxy = await self.proxy(router, **settings)
        proxy.factory.wall = lambda: NOW
        proxy.factory.new_id = lambda: REQUEST_ID
        return proxy

    async def begun(self, head: bytes = CHUNKED_POST, **options: Any) -> Scene:
        """A chunked request of which the head has reached the back-end."""
        return await self.scene(head, whole=False, **options)


class WrittenAfresh(Chunks):
    """Rule 6: what was read strictly goes on in chunks of our own."""

    async def test_exact_bytes(self) -> None:
        """Rule 6: the back-end gets the head, the data in a chunk of ours, and a last chunk."""
        backend = await self.backend()
        proxy = await self.fixed(router_to(backend))
        body = b'00005;ext="x"\r\nhello\r\n0;last\r\n\r\n'
        scene = await self.scene(CHUNKED_POST + body, proxy=proxy, backend=backend)
        assert not isinstance(scene.request, bytes)
        self.assertEqual(
            timeless(scene.request.raw),
            CHUNKED_POST[:-2] + added(connection="close") + b"5\r\nhello\r\n0\r\n\r\n",
        )
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_good_bodies(self) -> None:
        """Rule 6: sizes in any case, leading zeros and extensions are read; none of them goes on.

        Settled: a size line with its extension has at most 4096 bytes.
        """
        for name, body in GOOD_BODIES.items():
            with self.row(name):
                scene = await self.scene(CHUNKED_POST + body)
                assert not isinstance(scene.request, bytes)
                self.assertEqual(scene.request.body, b"hello")
                self.assertNotIn(b";", scene.request.raw.partition(b"\r\n\r\n")[2])
                scene.server.send(OK)
                self.assertEqual((await scene.client.receive_response()).header("connection"), "keep-alive")
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_hex_digits_of_both_cases(self) -> None:
        """Rule 6: a size is hexadecimal, in either case."""
        for size in (b"1b", b"1B"):
            scene = await self.scene(CHUNKED_POST + size + b"\r\n<h1>first chunk loaded</h1>\r\n0\r\n\r\n")
            assert not isinstance(scene.request, bytes)
            self.assertEqual(scene.request.body, b"<h1>first chunk loaded</h1>")
            self.assertIn(b"\r\n1b\r\n", scene.request.raw)

    async def test_empty_body(self) -> None:
        """Rule 6: a body without a byte is a last chunk alone."""
        scene = await self.scene(CHUNKED_POST + b"0\r\n\r\n")
        assert not isinstance(scene.request, bytes)
        self.assertEqual((scene.request.body, scene.request.chunks), (b"", []))
        self.assertTrue(scene.request.raw.endswith(b"\r\n\r\n0\r\n\r\n"))

    async def test_any_byte_is_data(self) -> None:
        """Rule 6: inside a chunk CR, LF, NUL and what looks like a chunk are data."""
        data = b"\r\n0\r\n\r\n" + bytes(range(256)) + b"\r"
        scene = await self.scene(CHUNKED_POST + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        assert not isinstance(scene.request, bytes)
        self.assertEqual(scene.request.body, data)

    async def test_every_cut(self) -> None:
        """Rule 6: wherever a body is cut into two segments, it means the same."""
        body = b"3;x\r\na\rb\r\n2\r\n\r\n\r\n1\r\n\r\r\n0\r\nX-Sum: 6\r\n\r\n"
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        server: Any = None
        for cut in range(len(body) + 1):
            with self.row(cut):
                client.send(CHUNKED_POST + body[:cut])
                server = server or await backend.accept()
                await self.turns(1)
                client.send(body[cut:])
                request = await server.receive_request()
                self.assertEqual((request.body, request.trailers), (b"a\rb\r\n\r", [("X-Sum", "6")]))
                server.send(OK)
                await client.receive_response()
        self.assertEqual(len(backend.connections), 1)

    async def test_byte_by_byte(self) -> None:
        """Rule 6: a body may come a byte at a time."""
        scene = await self.begun()
        for byte in b'5;name="value"\r\nhello\r\n0;last\r\nX-Sum: 5\r\n\r\n':
            scene.client.send(bytes([byte]))
            await self.turns(1)
        chunks = await scene.server.receive_until(b"\r\n\r\n")
        self.assertTrue(chunks.endswith(b"\r\n0\r\nX-Sum: 5\r\n\r\n"), chunks)
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).status, 200)
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_goes_on_as_it_comes(self) -> None:
        """Rule 6: a chunk does not wait for the next one, nor data for the end of its chunk."""
        scene = await self.begun()
        scene.client.send(b"5\r\nhel")
        await scene.server.expect(b"3\r\nhel\r\n")
        scene.client.send(b"lo\r\n")
        await scene.server.expect(b"2\r\nlo\r\n")
        scene.client.send(b"0\r\n")
        await self.turns()
        self.assertEqual(scene.server.unread, b"")
        scene.client.send(b"\r\n")
        await scene.server.expect(b"0\r\n\r\n")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_a_megabyte_in_one_chunk(self) -> None:
        """Rule 6: a chunk may be larger than anything that is held in memory."""
        data = bytes(range(256)) * 4096
        scene = await self.scene(CHUNKED_POST + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        assert not isinstance(scene.request, bytes)
        self.assertEqual(scene.request.body, data)

    async def test_the_next_request_behind_it(self) -> None:
        """Rules 6 and 7: what follows the last chunk is the next request, and no byte of it is lost."""
        scene = await self.scene(CHUNKED_POST + b"5\r\nhello\r\n0\r\n\r\n" + GET, keepalive="default")
        scene.server.send(OK)
        second = await scene.server.receive_request()
        self.assertEqual((second.method, second.body), ("GET", b""))
        scene.server.send(OK)
        for _ in range(2):
            self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual(scene.client.unread, b"")

    async def test_held_while_the_router_thinks(self) -> None:
        """Rule 6: a body that is here before its back-end is waits, and goes on whole."""
        wanted: Deferred[Any] = Deferred()
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, checkout_service=wanted))
        client = await proxy.connect()
        client.send(CHUNKED_POST + b"5\r\nhello\r\n")
        await self.until(lambda: proxy.router.count("checkout_service"))
        client.send(b"0\r\n\r\n")
        await self.turns()
        self.assertEqual(len(backend.connections), 0)
        wanted.callback(backend.as_backend())
        server = await backend.accept()
        self.assertEqual((await server.receive_request()).body, b"hello")


class Trailers(Chunks):
    """Rule 6: trailers are kept, but for framing, routing and hop-by-hop fields."""

    async def trailers_of(self, head: bytes, lines: bytes) -> bytes:
        """The trailer lines that reach the back-end behind a body with the trailers `lines`."""
        scene = await self.scene(head + b"5\r\nhello\r\n0\r\n" + lines + b"\r\n")
        assert not isinstance(scene.request, bytes)
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).status, 200)
        return scene.request.raw.partition(b"\r\n0\r\n")[2].removesuffix(b"\r\n")

    async def test_kept(self) -> None:
        """Rule 6: trailers keep their order, case and bytes, announced or not."""
        lines = b'head1:val1\r\nHEAD2: val2 \r\nhead1:\tagain\r\nEmpty:\r\nX-Sum: "a;b"\r\n'
        for field in (b"Trailer: head1, head2\r\n", b""):
            with self.row(field):
                head = CHUNKED_POST[:-2] + field + b"\r\n"
                self.assertEqual(await self.trailers_of(head, lines), lines)

    async def test_announcement_goes_on(self) -> None:
        """Rule 6: a `Trailer` field in the head reaches the back-end as it was sent."""
        scene = await self.scene(CHUNKED_POST[:-2] + b"Trailer: head1,head2\r\n\r\n0\r\nhead1: x\r\n\r\n")
        assert not isinstance(scene.request, bytes)
        self.assertEqual(scene.request.header("Trailer"), "head1,head2")
        self.assertEqual(scene.request.trailers, [("head1", "x")])

    async def test_dropped(self) -> None:
        """Rule 6: fields that frame, route, or belong to a connection do not hide in trailers."""
        for line in DROPPED_TRAILERS:
            with self.row(line):
                lines = b"A: 1\r\n" + line + b"\r\nB: 2\r\n"
                self.assertEqual(await self.trailers_of(CHUNKED_POST, lines), b"A: 1\r\nB: 2\r\n")

    async def test_nominated(self) -> None:
        """Rules 6 and 11: what the head's `Connection` names is hop-by-hop, in the trailers too."""
        head = CHUNKED_POST[:-2] + b"Connection: x-hop\r\n\r\n"
        self.assertEqual(await self.trailers_of(head, b"X-Hop: 1\r\nX-End: 2\r\n"), b"X-End: 2\r\n")

    async def test_limits(self) -> None:
        """Settled: trailers are under the header limits, which are met by as much as they allow."""
        for name, lines in {
            "name": b"n" * 1000 + b": v\r\n",
            "value": b"n: " + b"v" * 8192 + b"\r\n",
            "count": b"n: v\r\n" * 1000,
        }.items():
            with self.row(name):
                self.assertEqual(await self.trailers_of(CHUNKED_POST, lines), lines)


class BadChunks(Chunks):
    """Rule 6: a client's bad chunk is answered 400, and both sides are closed."""

    async def assert_refused(self, scene: Scene, what: str) -> None:
        """The exchange ends as a bad chunk does."""
        reason = ("upstream", ("bad_chunk", what))
        response = await scene.client.receive_response()
        self.assertEqual((response.status, response.header("connection")), (400, "close"))
        self.assertEqual(await scene.client.closed(), "clean")
        self.assertEqual(scene.client.unread, b"")
        await scene.server.closed()
        self.assertNotIn(b"\r\n0\r\n", scene.server.received)
        self.assertEqual([call.arguments[0] for call in scene.router.of("error_page")], [reason])
        self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))
        self.assertEqual(scene.router.count("init"), 1)
        self.assertEqual(len(scene.backend.connections), 1)

    async def test_bad_bodies(self) -> None:
        """Rule 6: each breach of the grammar has its word, and what follows is never read as a request."""
        for name, (body, what) in BAD_BODIES.items():
            with self.row(name):
                scene = await self.begun()
                scene.client.send(body + SMUGGLED)
                await self.assert_refused(scene, what)

    async def test_in_the_head_s_segment(self) -> None:
        """Rule 6: nothing of a request reaches a back-end whose bad body is here with its head."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        for name, (body, what) in BAD_BODIES.items():
            with self.row(name):
                client = await proxy.connect()
                client.send(CHUNKED_POST + body + SMUGGLED)
                self.assertEqual((await client.receive_response()).status, 400)
                self.assertEqual(await client.closed(), "clean")
                server = await backend.accept()
                await server.closed()
                self.assertNotIn(b"\r\n0\r\n", server.received)
                reason = ("upstream", ("bad_chunk", what))
                self.assertEqual(await self.ending(proxy.router), Ending("connected", reason, "error"))
        self.assertEqual(proxy.router.count("init"), len(BAD_BODIES))

    async def test_behind_good_chunks(self) -> None:
        """Rule 6: chunks that went on before the bad one do not save it; the back-end sees no end."""
        scene = await self.begun()
        scene.client.send(b"5\r\nthis \r\n7\r\nstring \r\n")
        await scene.server.receive_until(b"string \r\n")
        scene.client.send(b"01\n\r\n00")
        await self.assert_refused(scene, "size")

    async def test_line_without_end(self) -> None:
        """Rule 6: the bound of a size line holds while it is still arriving."""
        scene = await self.begun()
        scene.client.send(b"5;")
        for _ in range(4):
            scene.client.send(b"x" * 1024)
        await self.assert_refused(scene, "length")

    async def test_trailers_without_end(self) -> None:
        """Settled: the trailers' bounds hold while they are still arriving."""
        scene = await self.begun()
        scene.client.send(b"0\r\n" + b"n" * 1001)
        await self.assert_refused(scene, "trailer")

    async def test_many_large_trailers(self) -> None:
        """Rule 6: the trailer section as a whole is bounded."""
        scene = await self.begun()
        scene.client.send(b"0\r\n" + (b"n: " + b"v" * 8000 + b"\r\n") * 9)
        await self.assert_refused(scene, "length")

    async def test_setting(self) -> None:
        """Settled: `max_chunk_line_length` is what bounds a size line."""
        scene = await self.begun(max_chunk_line_length=8)
        scene.client.send(b"5;345678\r\nhello\r\n")
        await scene.server.receive_until(b"5\r\nhello\r\n")
        scene.client.send(b"5;3456789\r\nhello\r\n")
        await self.assert_refused(scene, "length")

    async def test_pooled_connection_is_not_pooled_again(self) -> None:
        """Rule 6: the back-end's connection is closed, also where it came from the pool."""
        scene = await self.scene(keepalive="default")
        scene.server.send(OK)
        await scene.client.receive_response()
        self.assertEqual(await self.ending(scene.router), GOOD)
        scene.client.send(CHUNKED_POST)
        await scene.server.receive_head()
        scene.client.send(b"x\r\n")
        self.assertEqual((await scene.client.receive_response()).status, 400)
        self.assertEqual(await scene.client.closed(), "clean")
        await scene.server.closed()
        await self.assert_still_good(scene.proxy, scene.backend)

    async def test_while_the_response_is_on_its_way(self) -> None:
        """Rules 6 and 21: a response that has begun breaks off: there is no clean end, and no second head."""
        scene = await self.begun()
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await scene.client.receive_until(b"hello")
        scene.client.send(b"x\r\n")
        self.assertEqual(await scene.client.closed(), "reset")
        self.assertEqual(scene.client.unread, b"")
        await scene.server.closed()
        reason = ("upstream", ("bad_chunk", "size"))
        self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))
        self.assertEqual(scene.router.count("error_page"), 0)

    async def test_where_nobody_wants_the_body(self) -> None:
        """Rule 6: a request that fails for another reason has that reason; its bad body only costs the connection."""
        proxy = await self.proxy(router_to(lookup_domain_name=RouteError("not_found")))
        client = await proxy.connect()
        client.send(CHUNKED_POST + b"x\r\n" + SMUGGLED)
        response = await client.receive_response()
        self.assertEqual((response.status, response.header("connection")), (404, "close"))
        self.assertEqual(await client.closed(), "clean")
        self.assertEqual(await self.ending(proxy.router), Ending("lookup", "not_found", "error"))
        self.assertEqual(proxy.router.count("init"), 1)

    async def test_good_body_that_nobody_wants(self) -> None:
        """Rule 6: where the unwanted body is good and all here, it is read over, and the connection goes on."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, checkout_service=RouteError("no_route_id")))
        client = await proxy.connect()
        client.send(CHUNKED_POST + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n")
        response = await client.receive_response()
        self.assertEqual((response.status, response.header("connection")), (502, "keep-alive"))
        proxy.router.on(checkout_service=backend.as_backend())
        client.send(GET)
        server = await backend.accept()
        self.assertEqual((await server.receive_request()).method, "GET")
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")

    async def test_client_that_ends_inside(self) -> None:
        """Rules 6 and 21: a body that ends before its last chunk is no whole body: the back-end's side breaks off."""
        for sent in (
            b"",
            b"5",
            b"5\r\n",
            b"5\r\nhel",
            b"5\r\nhello\r\n",
            b"5\r\nhello\r\n0\r\n",
            b"0\r\nX: y\r\n",
        ):
            with self.row(sent):
                scene = await self.begun()
                scene.client.send(sent)
                scene.client.half_close()
                await scene.server.closed()
                self.assertNotIn(b"\r\n0\r\n\r\n", scene.server.received)
                await scene.client.closed()
                self.assertEqual(
                    await self.ending(scene.router), Ending("connected", ("upstream", "closed"), "error")
                )
