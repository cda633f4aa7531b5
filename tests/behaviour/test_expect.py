"""Rule 8: `Expect: 100-continue`, answered by the proxy or carried to the back-end and home again."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import GET, GOOD, OK, Conversation, Ending, Scene
from tests.behaviour.recording import NOW, REQUEST_ID, added, timeless
from vegurtx.errors import RouteError
from vegurtx.message import Redirect
from vegurtx.testing import RunningProxy, router_to

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.example\r\n\r\n"
DEEP = {"feature": {"deep_continue"}}


def expecting(
    value: bytes = b"100-continue", *, framing: bytes = b"Content-Length: 5\r\n", version: bytes = b"1.1"
) -> bytes:
    """The head of a request with the field `Expect`."""
    return b"POST / HTTP/%b\r\nHost: example.org\r\nExpect: %b\r\n%b\r\n" % (version, value, framing)


class Expectations(Conversation):
    """What these tests share."""

    async def fixed(self, router: Any) -> RunningProxy:
        """A proxy whose request ids and wall clock stand still."""
        proxy = await self.proxy(router)
        proxy.factory.wall = lambda: NOW
        proxy.factory.new_id = lambda: REQUEST_ID
        return proxy

    async def deep(self, head: bytes = b"", **options: Any) -> Scene:
        """A request which expects a 100 is at the back-end, its body is not; `deep_continue` is on."""
        return await self.scene(head or expecting(), whole=False, answers=DEEP, **options)

    async def assert_answered(self, scene: Scene, connection: str = "keep-alive") -> None:
        """The back-end's answer comes home, and the request ends well."""
        scene.server.send(OK)
        response = await scene.client.receive_response()
        self.assertEqual((response.body, response.header("connection")), (b"hi", connection))
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.assertEqual(scene.client.unread, b"")


class Shallow(Expectations):
    """Rule 8, with the feature `deep_continue` off: the proxy answers, and removes the header."""

    async def test_exact_bytes(self) -> None:
        """Rule 8: `100 Continue` comes at once, the back-end's request has no `Expect`, and its body follows."""
        backend = await self.backend()
        proxy = await self.fixed(router_to(backend))
        scene = await self.scene(expecting(), proxy=proxy, backend=backend, whole=False)
        await scene.client.expect(CONTINUE)
        self.assertEqual(
            timeless(scene.server.received),
            b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n" + added(connection="close"),
        )
        scene.client.send(b"hello")
        self.assertEqual((await scene.server.receive(5)), b"hello")
        await self.assert_answered(scene)
        self.assertEqual(scene.router.of("feature")[0].arguments, ("deep_continue",))
        self.assertEqual(scene.router.names.index("feature"), 2)  # behind init and lookup_domain_name

    async def test_at_once(self) -> None:
        """Rule 8: the client need not wait until there is a back-end."""
        wanted: Deferred[Any] = Deferred()
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, checkout_service=wanted))
        client = await proxy.connect()
        client.send(expecting())
        await client.expect(CONTINUE)
        client.send(b"hello")
        wanted.callback(backend.as_backend())
        server = await backend.accept()
        self.assertEqual((await server.receive_request()).body, b"hello")
        server.send(OK)
        self.assertEqual((await client.receive_response()).header("connection"), "keep-alive")

    async def test_every_case(self) -> None:
        """Rule 8: the value is read without regard to case."""
        for value in (b"100-Continue", b"100-CONTINUE", b"  100-continue \t"):
            with self.row(value):
                scene = await self.scene(expecting(value), whole=False)
                await scene.client.expect(CONTINUE)
                self.assertNotIn(b"expect", scene.server.received.lower())

    async def test_the_next_request(self) -> None:
        """Rules 7 and 8: the connection goes on, and a pipelined request's 100 waits for its turn."""
        scene = await self.scene(GET + expecting(), keepalive="default")
        self.assertEqual(scene.client.received, b"")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).interim, [])
        await scene.client.expect(CONTINUE)
        scene.client.send(b"hello" + GET)
        self.assertEqual((await scene.server.receive_request()).body, b"hello")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual((await scene.server.receive_request()).method, "GET")

    async def test_body_that_did_not_wait(self) -> None:
        """Rule 8: a body that comes with its head goes on as any other."""
        scene = await self.scene(
            expecting(framing=b"Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\n0\r\n\r\n"
        )
        assert not isinstance(scene.request, bytes)
        self.assertEqual((scene.request.body, scene.request.header("expect")), (b"hello", None))
        await scene.client.expect(CONTINUE)
        await self.assert_answered(scene)

    async def test_without_body(self) -> None:
        """Rule 8: a request without body may expect a 100 too."""
        scene = await self.scene(b"GET / HTTP/1.1\r\nHost: example.org\r\nExpect: 100-continue\r\n\r\n")
        await scene.client.expect(CONTINUE)
        await self.assert_answered(scene)

    async def test_the_back_end_s_own(self) -> None:
        """Rules 8 and 17: a back-end may send a 100 that nobody asked for: it goes on, and is no second one."""
        scene = await self.scene(expecting(), whole=False)
        await scene.client.expect(CONTINUE)
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        await self.assert_answered(scene)

    async def test_early_answer(self) -> None:
        """Rules 8 and 20: the back-end answers before the body that the proxy has invited: it ends after that."""
        scene = await self.scene(expecting(), whole=False)
        await scene.client.expect(CONTINUE)
        await self.assert_answered(scene, "close")
        self.assertEqual(await scene.client.closed(), "clean")

    async def test_refused_before_it(self) -> None:
        """Rule 8: a request that goes nowhere has no 100, but its final answer, and the end."""
        for answer, status in ((RouteError("not_found"), 404), (lambda *_: Redirect("new.example"), 301)):
            with self.row(status):
                proxy = await self.proxy(router_to(lookup_domain_name=answer))
                client = await proxy.connect()
                client.send(expecting())
                response = await client.receive_response()
                self.assertEqual((response.status, response.interim), (status, []))
                self.assertEqual(response.header("connection"), "close")
                self.assertEqual(await client.closed(), "clean")
                self.assertEqual(proxy.router.count("feature"), 0)

    async def test_feature_in_its_own_time(self) -> None:
        """Rule 8: a router that is not sure yet has the client wait for the 100."""
        wanted: Deferred[bool] = Deferred()
        backend = await self.backend()
        answer = lambda name, request, state: wanted if name == "deep_continue" else False  # noqa: E731
        proxy = await self.proxy(router_to(backend, feature=answer))
        client = await proxy.connect()
        client.send(expecting())
        await self.until(lambda: proxy.router.count("feature"))
        await self.turns()
        self.assertEqual(client.received, b"")
        wanted.callback(False)
        await client.expect(CONTINUE)
        self.assertNotIn(b"Expect", await (await backend.accept()).receive_head())

    async def test_feature_that_is_no_answer(self) -> None:
        """Rule 8: a feature is a bool; anything else has crashed."""
        proxy = await self.proxy(router_to(feature="yes"))
        client = await proxy.connect()
        client.send(expecting())
        self.assertEqual((await client.receive_response()).status, 503)
        self.assertEqual(await self.ending(proxy.router), Ending("checkout", "crashed", "error"))
        self.flushLoggedErrors(TypeError)

    async def test_nobody_asks_without_expect(self) -> None:
        """Rule 8: the feature is asked for where a 100 is expected, and only there."""
        scene = await self.scene()
        await self.assert_answered(scene)
        self.assertNotIn(("deep_continue",), [call.arguments for call in scene.router.of("feature")])


class Deep(Expectations):
    """Rule 8, with the feature `deep_continue` on: the back-end answers."""

    async def test_exact_bytes(self) -> None:
        """Rule 8: the header goes to the back-end, its 100 to the client, then the body, then the answer."""
        backend = await self.backend()
        proxy = await self.fixed(router_to(backend, **DEEP))
        scene = await self.scene(expecting(), proxy=proxy, backend=backend, whole=False)
        self.assertEqual(
            timeless(scene.server.received),
            b"POST / HTTP/1.1\r\nHost: example.org\r\nExpect: 100-continue\r\nContent-Length: 5\r\n"
            + added(connection="close"),
        )
        await self.turns()
        self.assertEqual(scene.client.received, b"")
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        await self.assert_answered(scene)
        await scene.server.closed()
        scene.client.send(GET)
        await (await backend.accept()).receive_request()

    async def test_pooled(self) -> None:
        """Rules 8 and 23: the back-end's connection serves the next request after a 100 as after none."""
        scene = await self.deep(keepalive="default")
        for _ in range(3):
            scene.server.send(CONTINUE)
            await scene.client.expect(CONTINUE)
            scene.client.send(b"hello")
            await scene.server.expect(b"hello")
            await self.assert_answered(scene)
            scene.client.send(expecting())
            await scene.server.receive_head()
        self.assertEqual(len(scene.backend.connections), 1)

    async def test_chunked(self) -> None:
        """Rules 6 and 8: a chunked body waits for its 100 as any other."""
        scene = await self.deep(expecting(framing=b"Transfer-Encoding: chunked\r\n"))
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        scene.client.send(b"5;x\r\nhello\r\n0\r\n\r\n")
        await scene.server.expect(b"5\r\nhello\r\n0\r\n\r\n")
        await self.assert_answered(scene)

    async def test_nominated(self) -> None:
        """Rules 8 and 11: naming `Expect` in `Connection` does not take it away while a client waits for it."""
        scene = await self.deep(expecting(framing=b"Content-Length: 5\r\nConnection: expect\r\n"))
        self.assertIn(b"\r\nExpect: 100-continue\r\n", scene.server.received)

    async def test_what_the_100_carries(self) -> None:
        """Rules 8 and 17: the fields of a 100 go on, but for the hop-by-hop ones."""
        scene = await self.deep()
        scene.server.send(
            b"HTTP/1.1 100 Go Ahead\r\nX-Info: 1\r\nConnection: x-hop\r\nx-hop: 2\r\nKeep-Alive: 5\r\n\r\n"
        )
        await scene.client.expect(b"HTTP/1.1 100 Go Ahead\r\nX-Info: 1\r\n\r\n")

    async def test_a_100_a_byte_at_a_time(self) -> None:
        """Rule 8: a 100 goes on when it is whole."""
        scene = await self.deep()
        for byte in CONTINUE:
            self.assertEqual(scene.client.received, b"")
            scene.server.send(bytes([byte]))
            await self.turns(2)
        await scene.client.expect(CONTINUE)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        await self.assert_answered(scene)

    async def test_body_before_the_100(self) -> None:
        """Rule 8: a client that is tired of waiting sends its body; it goes on, and no 100 is needed."""
        scene = await self.deep()
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        await self.assert_answered(scene)
        self.assertEqual(scene.client.received.count(b"HTTP/1.1 "), 1)

    async def test_the_100_behind_the_body(self) -> None:
        """Rule 8: the 100 that crossed the body goes on too."""
        scene = await self.deep()
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        await self.assert_answered(scene)

    async def test_the_100_inside_the_body(self) -> None:
        """Rule 8: so does one that comes while the body is on its way."""
        scene = await self.deep()
        scene.client.send(b"he")
        await scene.server.expect(b"he")
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        scene.client.send(b"llo")
        await scene.server.expect(b"llo")
        await self.assert_answered(scene)

    async def test_body_in_the_head_s_segment(self) -> None:
        """Rule 8: a body that did not wait at all goes on with its head."""
        scene = await self.scene(expecting() + b"hello", answers=DEEP)
        assert not isinstance(scene.request, bytes)
        self.assertEqual((scene.request.body, scene.request.header("expect")), (b"hello", "100-continue"))
        scene.server.send(CONTINUE + OK)
        response = await scene.client.receive_response()
        self.assertEqual([interim.status for interim in response.interim], [100])
        self.assertEqual((response.body, response.header("connection")), (b"hi", "keep-alive"))

    async def test_without_body(self) -> None:
        """Rule 8: a request without body carries its expectation on."""
        scene = await self.deep(b"GET / HTTP/1.1\r\nHost: example.org\r\nExpect: 100-continue\r\n\r\n")
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        await self.assert_answered(scene)

    async def test_final_instead(self) -> None:
        """Rule 8: a final status instead of the 100 goes on; both connections are closed, the body is not sent."""
        for status in (b"200 OK", b"401 Unauthorized", b"413 Content Too Large", b"417 Expectation Failed"):
            for keepalive in (None, "default"):
                with self.row(status, keepalive):
                    scene = await self.deep(keepalive=keepalive)
                    scene.server.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\nno!\n")
                    response = await scene.client.receive_response()
                    self.assertEqual((f"{response.status}", response.body), (status[:3].decode(), b"no!\n"))
                    self.assertEqual((response.interim, response.header("connection")), ([], "close"))
                    scene.client.send(b"hello" + SMUGGLED)
                    self.assertEqual(await scene.client.closed(), "clean")
                    await scene.server.closed()
                    self.assertEqual(scene.server.unread, b"")
                    self.assertEqual(await self.ending(scene.router), GOOD)
                    self.assertEqual(scene.router.count("init"), 1)
                    self.assertEqual(len(scene.backend.connections), 1)

    async def test_body_inside_the_final(self) -> None:
        """Rule 8: the body is not sent either while a final answer is still on its way."""
        scene = await self.deep()
        scene.server.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nhello")
        await scene.client.receive_until(b"hello")
        scene.client.send(b"h")
        await self.turns(5)
        scene.client.send(b"ello" + SMUGGLED)
        await self.turns(5)
        self.assertEqual(scene.server.unread, b"")
        scene.server.send(b"world")
        await scene.client.expect(b"world")
        self.assertEqual(await scene.client.closed(), "clean")
        await scene.server.closed()
        self.assertEqual(scene.server.unread, b"")
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.assertEqual(scene.router.count("init"), 1)

    async def test_final_by_close_instead(self) -> None:
        """Rules 8 and 16: so does a final answer that ends by the back-end's close."""
        scene = await self.deep()
        scene.server.send(b"HTTP/1.1 403 Forbidden\r\n\r\nno")
        scene.server.close()
        response = await scene.client.receive_response()
        self.assertEqual((response.status, response.body), (403, b"no"))
        self.assertEqual(await scene.client.closed(), "clean")
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_final_crosses_the_body(self) -> None:
        """Rules 8 and 20: a final answer that crosses the body comes home, and the connection ends after it."""
        scene = await self.deep()
        scene.client.send(b"he")
        await scene.server.expect(b"he")
        await self.assert_answered(scene, "close")
        self.assertEqual(await scene.client.closed(), "clean")
        await scene.server.closed()

    async def test_final_after_the_100_without_the_body(self) -> None:
        """Rules 8 and 20: a back-end may change its mind: a final answer after its 100, but before the body."""
        scene = await self.deep()
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        await self.assert_answered(scene, "close")
        self.assertEqual(await scene.client.closed(), "clean")

    async def test_second_100(self) -> None:
        """Rule 8: a second 100 after one that was passed on is an error, with or without the body between them."""
        reason = ("downstream", "non_terminal_status_after_continue")
        for body in (b"", b"he", b"hello"):
            with self.row(body):
                scene = await self.deep(keepalive="default")
                scene.server.send(CONTINUE)
                await scene.client.expect(CONTINUE)
                scene.client.send(body)
                await scene.server.expect(body)
                scene.server.send(CONTINUE)
                response = await scene.client.receive_response()
                self.assertEqual((response.status, response.interim), (502, []))
                await scene.server.closed()
                self.assertEqual([call.arguments[0] for call in scene.router.of("error_page")], [reason])
                self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))
                whole = len(body) == 5
                self.assertEqual(response.header("connection"), "keep-alive" if whole else "close")
                if whole:  # settled: an error page keeps the connection of a client whose body is read
                    await self.assert_still_good(scene.proxy, scene.backend)
                else:
                    self.assertEqual(await scene.client.closed(), "clean")

    async def test_two_in_one_segment(self) -> None:
        """Rule 8: the same where both come together, with a final answer behind them: that is not read."""
        scene = await self.deep()
        scene.server.send(CONTINUE + CONTINUE + OK)
        await scene.client.expect(CONTINUE)
        self.assertEqual((await scene.client.receive_response()).status, 502)
        self.assertEqual(await scene.client.closed(), "clean")
        self.assertEqual(scene.client.unread, b"")
        self.assertEqual(scene.router.count("terminate"), 1)

    async def test_other_interim_answers(self) -> None:
        """Rules 8 and 17: other 1xx go on before, between and after, and are no second 100."""
        scene = await self.deep()
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
        working = b"HTTP/1.1 102 Processing\r\n\r\n"
        scene.server.send(hints + working)
        await scene.client.expect(hints + working)
        scene.server.send(CONTINUE + hints)
        await scene.client.expect(CONTINUE + hints)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        scene.server.send(working)
        await scene.client.expect(working)
        await self.assert_answered(scene)

    async def test_connection_close_on_a_100(self) -> None:
        """Rule 8: `Connection: close` on a 100 is ignored: neither passed on, nor does it end anything."""
        scene = await self.deep(keepalive="default")
        scene.server.send(b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n")
        await scene.client.expect(CONTINUE)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        await self.assert_answered(scene)
        scene.client.send(GET)
        self.assertEqual((await scene.server.receive_request()).method, "GET")

    async def test_back_end_that_closes(self) -> None:
        """Rule 8: a back-end that closes instead of a 100, or behind it, has the client told, and closed."""
        for first in (b"", CONTINUE, b"HTTP/1.1 100 Con"):
            for abort, word in ((False, "closed"), (True, "econnreset")):
                with self.row(first, word):
                    scene = await self.deep()
                    scene.server.send(first)
                    if first == CONTINUE:
                        await scene.client.expect(CONTINUE)
                    await self.turns()
                    scene.server.abort() if abort else scene.server.close()
                    response = await scene.client.receive_response()
                    self.assertEqual((response.status, response.header("connection")), (503, "close"))
                    scene.client.send(b"hello")
                    self.assertEqual(await scene.client.closed(), "clean")
                    reason = ("downstream", word)
                    self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))

    async def test_back_end_that_closes_behind_the_body(self) -> None:
        """Rule 8: a back-end that takes the body and closes is told to a client whose connection goes on."""
        scene = await self.deep()
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        scene.server.close()
        response = await scene.client.receive_response()
        self.assertEqual((response.status, response.header("connection")), (503, "keep-alive"))

    async def test_client_that_leaves(self) -> None:
        """Rules 8 and 21: a client that leaves while it waits, or behind the 100, ends the back-end's side."""
        for first in (b"", CONTINUE):
            for leave in ("abort", "close", "half_close"):
                with self.row(first, leave):
                    scene = await self.deep()
                    scene.server.send(first)
                    await scene.client.expect(first)
                    getattr(scene.client, leave)()
                    await scene.server.closed()
                    self.assertEqual(scene.server.unread, b"")
                    reason = ("upstream", "closed")
                    self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))

    async def test_nobody_speaks(self) -> None:
        """Rules 8 and 24: where neither a 100 nor a body comes, the wait ends by itself."""
        backend = await self.backend()
        proxy, clock = await self.timed_proxy(router_to(backend, **DEEP))
        scene = await self.scene(expecting(), proxy=proxy, backend=backend, whole=False)
        await self.turns(5)
        clock.advance(56)
        response = await scene.client.receive_response()
        self.assertEqual((response.status, response.header("connection")), (503, "close"))
        await scene.server.closed()
        self.assertEqual((await self.ending(scene.router)).status, "error")

    async def test_no_second_try_behind_a_100(self) -> None:
        """Rules 8 and 23: a request whose 100 came home is not sent again to another connection."""
        put = expecting().replace(b"POST", b"PUT")
        scene = await self.scene(keepalive="default", answers=DEEP)
        scene.server.send(OK)
        await scene.client.receive_response()
        scene.client.send(put)
        await scene.server.receive_head()
        scene.server.send(CONTINUE)
        await scene.client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
        scene.server.abort()
        self.assertEqual((await scene.client.receive_response()).status, 503)
        self.assertEqual(len(scene.backend.connections), 1)


class OldClients(Expectations):
    """Rules 8 and 10: HTTP/1.0 knows no 100."""

    async def test_ignored(self) -> None:
        """Rules 8 and 10: an expectation in HTTP/1.0 is ignored and goes no further, whatever the feature says."""
        for feature in (False, {"deep_continue"}):
            for value in (b"100-continue", b"100-Continue", b""):
                with self.row(feature, value):
                    head = expecting(value, version=b"1.0")
                    scene = await self.scene(head, whole=False, answers={"feature": feature})
                    self.assertNotIn(b"expect", scene.server.received.lower())
                    await self.turns()
                    self.assertEqual(scene.client.received, b"")
                    scene.client.send(b"hello")
                    await scene.server.expect(b"hello")
                    scene.server.send(CONTINUE + b"HTTP/1.1 103 Early Hints\r\n\r\n" + CONTINUE)
                    await self.assert_answered(scene, "close")
                    self.assertNotIn(b" 100 ", scene.client.received)
                    self.assertEqual(await scene.client.closed(), "clean")

    async def test_the_back_end_s_100(self) -> None:
        """Rules 8 and 10: a 100 that a back-end sends unasked does not reach an HTTP/1.0 client."""
        scene = await self.scene(b"POST / HTTP/1.0\r\nHost: example.org\r\nContent-Length: 2\r\n\r\nhi")
        scene.server.send(CONTINUE)
        await self.assert_answered(scene, "close")
        self.assertNotIn(b" 100 ", scene.client.received)


class Unasked(Expectations):
    """Rules 8 and 17: a 100 for a client that did not expect one."""

    async def test_passed_on(self) -> None:
        """Rules 8 and 17: it goes on, and a second one too."""
        scene = await self.scene(
            b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 2\r\n\r\nhi", answers=DEEP
        )
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        scene.server.send(CONTINUE)
        await scene.client.expect(CONTINUE)
        await self.assert_answered(scene)


class OtherValues(Expectations):
    """Rule 8: what is expected besides a 100."""

    async def assert_refused(self, head: bytes, status: int, reason: str, answers: dict[str, Any]) -> None:
        """`head` is answered with `status`, for `reason`, without a back-end; nothing behind it is read."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, **answers))
        client = await proxy.connect()
        client.send(head + b"hello" + SMUGGLED)
        response = await client.receive_response()
        self.assertEqual((response.status, response.interim), (status, []))
        self.assertEqual(response.header("connection"), "close")
        self.assertEqual(await client.closed(), "clean")
        self.assertEqual(client.unread, b"")
        self.assertEqual(len(backend.connections), 0)
        self.assertEqual([call.arguments[0] for call in proxy.router.of("error_page")], [reason])
        self.assertEqual(await self.ending(proxy.router), Ending("checkout", reason, "error"))
        self.assertEqual(proxy.router.count("init"), 1)

    async def test_other(self) -> None:
        """Rule 8: other expectations are not met: `expectation_failed`, 417."""
        for value in (
            b"whatever",
            b"200-ok",
            b"100-continued",
            b"a=b",
            b'a="b c";d',
            b"100-continue, whatever",
        ):
            for answers in ({}, DEEP):
                with self.row(value, answers):
                    await self.assert_refused(expecting(value), 417, "expectation_failed", answers)

    async def test_malformed(self) -> None:
        """Rule 8, settled: what cannot be read as an expectation is `bad_request_header`, 400."""
        for value in (b"100 continue", b"=a", b"(x)", b'"100-continue"', b"\xe9"):
            for answers in ({}, DEEP):
                with self.row(value, answers):
                    await self.assert_refused(expecting(value), 400, "bad_request_header", answers)

    async def test_without_body(self) -> None:
        """Rule 8: the same for a request without a body."""
        head = b"GET / HTTP/1.1\r\nHost: example.org\r\nExpect: whatever\r\n\r\n"
        await self.assert_refused(head, 417, "expectation_failed", {})

    async def test_empty(self) -> None:
        """Rule 8: an empty value is ignored: no 100, and nothing of it goes on."""
        for answers in ({}, DEEP):
            for value in (b"", b"  \t"):
                with self.row(value, answers):
                    scene = await self.scene(expecting(value) + b"hello", answers=answers)
                    assert not isinstance(scene.request, bytes)
                    self.assertEqual((scene.request.body, scene.request.all("expect")), (b"hello", []))
                    await self.assert_answered(scene)
                    self.assertNotIn(b" 100 ", scene.client.received)
                    asked = [call.arguments for call in scene.router.of("feature")]
                    self.assertNotIn(("deep_continue",), asked)
