"""Rule 7: pipelined requests are answered in order, and what follows a bad message is never read as a request."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import CHUNKED_POST, GET, GOOD, OK, Conversation, Ending, post
from vegurtx.errors import RouteError
from vegurtx.message import ErrorPage, Redirect
from vegurtx.testing import PeerClosed, Request, ScriptedConnection, answering, router_to

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.example\r\n\r\n"


def get(target: str) -> bytes:
    """A request for `target`."""
    return b"GET %b HTTP/1.1\r\nHost: example.org\r\n\r\n" % target.encode()


def echo(request: Request) -> bytes:
    """An answer that names its request."""
    body = f"{request.method} {request.target} {request.body!r}".encode()
    shown = b"" if request.method == "HEAD" else body
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), shown)


class InOrder(Conversation):
    """Rule 7: pipelined requests are answered in order, one at a time at the back-end."""

    async def test_one_at_a_time(self) -> None:
        """Rule 7: the second request reaches the back-end when the first is answered, and not before."""
        scene = await self.scene(get("/1") + get("/2") + get("/3"), keepalive="default")
        for number in (1, 2, 3):
            if number > 1:
                scene.request = await scene.server.receive_request()
            assert not isinstance(scene.request, bytes)
            self.assertEqual(scene.request.target, f"/{number}")
            await self.turns()
            self.assertEqual(scene.server.unread, b"")
            self.assertEqual(scene.router.count("init"), number)
            scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
            response = await scene.client.receive_response()
            self.assertEqual((response.body, response.header("connection")), (b"%d" % number, "keep-alive"))
            self.assertEqual(await self.ending(scene.router), GOOD)
        self.assertEqual(scene.client.unread, b"")
        self.assertEqual(len(scene.backend.connections), 1)

    async def test_a_slow_first_one_holds_the_others(self) -> None:
        """Rule 7: another back-end that could answer sooner is not even asked."""
        slow, quick = await self.backend(), await self.backend(handler=answering(echo))
        places = {"/slow": slow.as_backend(), "/quick": quick.as_backend()}
        proxy = await self.proxy(router_to(checkout_service=lambda _, request, state: places[request.path]))
        client = await proxy.connect()
        client.send(get("/slow") + get("/quick"))
        server = await slow.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nslo")
        await client.receive_until(b"slo")
        await self.turns()
        self.assertEqual(len(quick.connections), 0)
        self.assertEqual(client.unread, b"")
        server.send(b"wly")
        await client.expect(b"wly")
        self.assertEqual((await client.receive_response()).body, b"GET /quick b''")

    async def test_a_router_that_takes_its_time(self) -> None:
        """Rule 7: the router hears of the second request when the first has ended."""
        wanted: Deferred[Any] = Deferred()
        backend = await self.backend(handler=answering(echo))
        proxy = await self.proxy(router_to(backend, lookup_domain_name=wanted))
        client = await proxy.connect()
        client.send(get("/1") + get("/2"))
        await self.until(lambda: proxy.router.count("lookup_domain_name"))
        await self.turns()
        self.assertEqual(proxy.router.count("init"), 1)
        proxy.router.on(lookup_domain_name="group")
        wanted.callback("group")
        self.assertEqual((await client.receive_response()).body, b"GET /1 b''")
        self.assertEqual((await client.receive_response()).body, b"GET /2 b''")

    async def test_bodies_between(self) -> None:
        """Rule 7: a body ends where its framing says, and the next request begins there."""
        backend = await self.backend(handler=answering(echo))
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        client.send(
            post(5) + b"hello" + get("/a") + CHUNKED_POST + b"3\r\nabc\r\n0\r\n\r\n" + post(0) + get("/b")
        )
        for expected in (b"POST / b'hello'", b"GET /a b''", b"POST / b'abc'", b"POST / b''", b"GET /b b''"):
            self.assertEqual((await client.receive_response()).body, expected)

    async def test_head_among_them(self) -> None:
        """Rules 7 and 15: the answer to HEAD has no body, and the next answer begins right behind its head."""
        backend = await self.backend(handler=answering(echo))
        proxy = await self.proxy(router_to(backend))
        client = await proxy.connect()
        client.send(b"HEAD /1 HTTP/1.1\r\nHost: example.org\r\n\r\n" + get("/2"))
        self.assertEqual((await client.receive_response(b"HEAD")).header("content-length"), "11")
        self.assertEqual((await client.receive_response()).body, b"GET /2 b''")

    async def test_any_segmentation(self) -> None:
        """Rule 7: wherever the stream is cut, the same requests are read."""
        backend = await self.backend(handler=answering(echo))
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        stream = post(2) + b"hi" + b"\r\n" + get("/2")
        for cut in range(1, len(stream)):
            with self.row(cut):
                client.send(stream[:cut])
                await self.turns(1)
                client.send(stream[cut:])
                self.assertEqual((await client.receive_response()).body, b"POST / b'hi'")
                self.assertEqual((await client.receive_response()).body, b"GET /2 b''")
        self.assertEqual(client.unread, b"")

    async def test_half_a_request_waits(self) -> None:
        """Rule 7: the beginning of the next request, which came too soon, is kept until its rest comes."""
        scene = await self.scene(get("/1") + get("/2")[:20], keepalive="default")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        scene.client.send(get("/2")[20:])
        self.assertEqual((await scene.server.receive_request()).target, "/2")

    async def test_answers_of_the_proxy_s_own(self) -> None:
        """Rule 7: answers that come at once come in order too, however many are wanted in one segment."""
        router = router_to(lookup_domain_name=lambda domain, request, state: Redirect("new.example"))
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(b"".join(get(f"/{number}") for number in range(300)))
        for number in range(300):
            response = await client.receive_response()
            self.assertEqual(
                (response.status, response.header("location")), (301, f"http://new.example/{number}")
            )
        self.assertEqual(client.unread, b"")

    async def test_many(self) -> None:
        """Rule 7: thousands of requests that are sent before the first answer are all answered, in order."""
        backend = await self.backend(handler=answering(echo))
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        client.send(b"".join(get(f"/{number}") for number in range(3000)))
        for number in range(3000):
            self.assertEqual((await client.receive_response()).body, b"GET /%d b''" % number)
        self.assertEqual(len(backend.connections), 1)

    async def test_they_do_not_pile_up_in_the_proxy(self) -> None:
        """Rules 3 and 7: what waits for the first answer is bounded; beyond it the proxy does not read."""
        scene = await self.scene(GET)
        before = scene.client.sent
        scene.client.send(GET * 400_000)
        await self.turns(50)
        connection = next(iter(scene.proxy.factory.connections))
        self.assertLess(connection._held_size, 1 << 20)
        self.assertGreater(len(scene.client._queue), (scene.client.sent - before) // 4)
        self.assertEqual(scene.router.count("init"), 1)

    async def test_a_client_that_does_not_read(self) -> None:
        """Rule 7: a client that does not read its answers has no more requests served."""
        megabyte = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + bytes(1 << 20)
        backend = await self.backend(handler=answering(megabyte))
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect(receive_buffer=65536)
        client.pause()
        client.send(GET * 40)
        await self.until(lambda: proxy.router.count("init"))
        await self.turns(100)
        self.assertLess(proxy.router.count("init"), 20)
        client.resume()
        for _ in range(40):
            self.assertEqual(len((await client.receive_response()).body), 1 << 20)

    async def test_a_client_that_does_not_read_pages(self) -> None:
        """Rule 7: nor has it where the proxy answers by itself, at once."""
        page = ErrorPage(404, body=bytes(100_000))
        proxy = await self.proxy(router_to(lookup_domain_name=RouteError("not_found"), error_page=page))
        client = await proxy.connect(receive_buffer=65536)
        client.pause()
        client.send(GET * 300)
        await self.until(lambda: proxy.router.count("init"))
        await self.turns(100)
        self.assertLess(proxy.router.count("init"), 200)
        client.resume()
        for _ in range(300):
            self.assertEqual(len((await client.receive_response()).body), 100_000)

    async def test_an_error_page_between(self) -> None:
        """Settled: a router's error page keeps the connection, and the next request is served."""
        backend = await self.backend(handler=answering(echo))

        def lookup(domain: str, request: Any, state: Any) -> str:
            if request.path == "/2":
                raise RouteError("not_found")
            return domain

        proxy = await self.proxy(router_to(backend, lookup_domain_name=lookup))
        client = await proxy.connect()
        client.send(get("/1") + get("/2") + get("/3"))
        statuses = [await client.receive_response() for _ in range(3)]
        self.assertEqual([response.status for response in statuses], [200, 404, 200])
        self.assertEqual(await self.ending(proxy.router), GOOD)
        self.assertEqual(await self.ending(proxy.router), Ending("lookup", "not_found", "error"))
        self.assertEqual(await self.ending(proxy.router), GOOD)

    async def test_failed_back_end_between(self) -> None:
        """Rule 7: a back-end that fails one request does not stop the ones behind it."""
        scene = await self.scene(get("/1") + get("/2"))
        scene.server.close()
        self.assertEqual((await scene.client.receive_response()).status, 503)
        server = await scene.backend.accept()
        self.assertEqual((await server.receive_request()).target, "/2")
        server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")


class Ends(Conversation):
    """Rule 7: where the stream of requests ends, nothing behind the end is a request."""

    async def assert_only_one(self, client: ScriptedConnection, router: Any, backend: Any) -> None:
        """The connection has ended in order, and the router heard of one request at the most."""
        self.assertEqual(await client.closed(), "clean")
        self.assertEqual(client.unread, b"")
        await self.turns()
        self.assertLessEqual(router.count("init"), 1)
        self.assertFalse([call for call in router.calls if call.arguments[:1] == ("smuggled.example",)])

    async def test_behind_a_bad_message(self) -> None:
        """Rule 7: what follows a bad message is never read as a request, in its segment or in a later one."""
        host = b"Host: example.org\r\n"
        table = {
            b"GET  / HTTP/1.1\r\n" + host + b"\r\n": 400,
            b"GET / HTTP/1.1\r\n" + host + b"Bad Name: x\r\n\r\n": 400,
            b"GET / HTTP/1.1\r\n" + host + b"Fold: a\r\n b\r\n\r\n": 400,
            b"GET / HTTP/1.1\n" + host + b"\r\n": 400,
            b"GET / HTTP/2.0\r\n" + host + b"\r\n": 505,
            b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + host + b"\r\n": 414,
            b"GET / HTTP/1.1\r\n" + host + b"X: " + b"x" * 9000 + b"\r\n\r\n": 431,
            b"GET / HTTP/1.1\r\n\r\n": 400,
            b"GET / HTTP/1.1\r\n" + host + host + b"\r\n": 400,
            b"CONNECT example.org:443 HTTP/1.1\r\n" + host + b"\r\n": 405,
            b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 1, 1\r\n\r\n": 400,
            b"POST / HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n": 400,
            b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
            b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding: gzip\r\n\r\n": 400,
            b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding: unheard-of\r\n\r\n": 501,
            b"POST / HTTP/1.0\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n": 400,
            b"GET / HTTP/1.1\r\n" + host + b"Connection: upgrade\r\n\r\n": 400,
            b"GET / HTTP/1.1\r\n" + host + b"Connection: a b\r\n\r\n": 400,
            b"GET / HTTP/1.1\r\n" + host + b"Expect: whatever\r\n\r\n": 417,
            b"GET / HTTP/1.1\r\n" + host + b"Expect: 100 continue\r\n\r\n": 400,
        }
        for bad, status in table.items():
            for later in (False, True):
                with self.row(bad[:60], later):
                    backend = await self.backend()
                    proxy = await self.proxy(router_to(backend))
                    client = await proxy.connect()
                    client.send(bad if later else bad + SMUGGLED)
                    response = await client.receive_response()
                    self.assertEqual((response.status, response.header("connection")), (status, "close"))
                    client.send(SMUGGLED)
                    await self.assert_only_one(client, proxy.router, backend)
                    self.assertEqual(len(backend.connections), 0)

    async def test_good_ones_before_a_bad_one(self) -> None:
        """Rule 7: requests before the bad one are answered first; then comes the 400, and the end."""
        scene = await self.scene(get("/1") + b"GET  /2 HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED)
        await self.turns()
        self.assertEqual(scene.client.received, b"")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual((await scene.client.receive_response()).status, 400)
        await self.assert_only_one(scene.client, scene.router, scene.backend)

    async def test_behind_a_last_request(self) -> None:
        """Rule 7: a client that asked for the end has no request behind it."""
        for last in (
            b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive, Close\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        ):
            with self.row(last):
                scene = await self.scene(last + SMUGGLED)
                scene.server.send(OK)
                self.assertEqual((await scene.client.receive_response()).header("connection"), "close")
                await self.assert_only_one(scene.client, scene.router, scene.backend)
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_behind_a_response_that_ends_by_close(self) -> None:
        """Rules 7 and 16: after a response that only the end of the connection ends, nothing more is served."""
        scene = await self.scene(GET + SMUGGLED)
        scene.server.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        scene.server.close()
        response = await scene.client.receive_response()
        self.assertEqual((response.body, response.header("connection")), (b"all of it", "close"))
        await self.assert_only_one(scene.client, scene.router, scene.backend)

    async def test_behind_a_response_that_breaks_off(self) -> None:
        """Rules 7 and 21: after half a response nothing more is served."""
        scene = await self.scene(GET + SMUGGLED)
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await scene.client.receive_until(b"half")
        scene.server.close()
        self.assertEqual(await scene.client.closed(), "reset")
        self.assertEqual(scene.router.count("init"), 1)

    async def test_an_unread_body_is_no_request(self) -> None:
        """Rules 7 and 20: the rest of a body that an early answer left unread is not taken for a request."""
        scene = await self.scene(post(1000) + SMUGGLED, whole=False)
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).header("connection"), "close")
        scene.client.send(SMUGGLED)
        await self.assert_only_one(scene.client, scene.router, scene.backend)

    async def test_a_body_that_a_page_left_unread(self) -> None:
        """Rule 7: nor is the rest of a body which the router did not want."""
        proxy = await self.proxy(router_to(lookup_domain_name=RouteError("not_found")))
        client = await proxy.connect()
        client.send(post(1000) + SMUGGLED)
        response = await client.receive_response()
        self.assertEqual((response.status, response.header("connection")), (404, "close"))
        client.send(SMUGGLED)
        await self.assert_only_one(client, proxy.router, None)

    async def test_client_that_half_closes_behind_them(self) -> None:
        """Rule 7, settled: a client that has sent its last byte gets the answers to all its whole requests."""
        backend = await self.backend(handler=answering(echo))
        for keepalive in (None, "default"):
            proxy = await self.proxy(router_to(backend, keepalive=keepalive))
            client = await proxy.connect()
            client.send(get("/1") + get("/2") + post(2) + b"hi")
            client.half_close()
            for expected in (b"GET /1 b''", b"GET /2 b''", b"POST / b'hi'"):
                self.assertEqual((await client.receive_response()).body, expected)
            self.assertEqual(await client.closed(), "clean")
            self.assertEqual([await self.ending(proxy.router) for _ in range(3)], [GOOD] * 3)

    async def test_half_closes_while_pages_are_sent(self) -> None:
        """Rule 7, settled: the same where the proxy answers by itself."""
        wanted: Deferred[Any] = Deferred()
        proxy = await self.proxy(
            router_to(
                init=lambda at, request: wanted if request.path == "/1" else None,
                lookup_domain_name=RouteError("not_found"),
            )
        )
        client = await proxy.connect()
        client.send(get("/1") + get("/2") + get("/3"))
        client.half_close()
        await self.until(lambda: proxy.router.count("init"))
        await self.until(lambda: next(iter(proxy.factory.connections)).eof, "the client's end")
        wanted.callback(None)
        options = [(await client.receive_response()).header("connection") for _ in range(3)]
        self.assertEqual(options[-1], "close")
        self.assertEqual(await client.closed(), "clean")

    async def test_half_closes_inside_the_second(self) -> None:
        """Rule 7: a request that will never be whole is not answered; the one before it is."""
        for rest in (get("/2")[:-2], get("/2")[:5], b"\r"):
            with self.row(rest):
                scene = await self.scene(get("/1") + rest)
                scene.client.half_close()
                await self.turns()
                scene.server.send(OK)
                self.assertEqual((await scene.client.receive_response()).body, b"hi")
                await self.assert_only_one(scene.client, scene.router, scene.backend)

    async def test_client_that_leaves(self) -> None:
        """Rules 7 and 21: when the client is gone, the requests that it pipelined are not served."""
        scene = await self.scene(get("/1") + get("/2"))
        scene.client.abort()
        await scene.server.closed()
        reason = ("upstream", "closed")
        self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))
        await self.turns()
        self.assertEqual(scene.router.count("init"), 1)
        self.assertEqual(len(scene.backend.connections), 1)

    async def test_back_end_that_pipelines_answers(self) -> None:
        """Rules 7 and 16: an answer that the back-end sends unasked is nobody's: not the next request's."""
        scene = await self.scene(get("/1") + get("/2"), keepalive="default")
        scene.server.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        server = await scene.backend.accept()
        self.assertEqual((await server.receive_request()).target, "/2")
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
        self.assertEqual((await scene.client.receive_response()).body, b"right")
        with self.assertRaises(PeerClosed):
            await scene.server.receive(1)
