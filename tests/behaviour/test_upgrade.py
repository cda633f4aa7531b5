"""Rule 9: how a request asks for another protocol, and what may come of it. The pipe itself: ``test_tunnel``."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import GET, GOOD, OK, Conversation, Ending, Scene
from tests.behaviour.recording import NOW, REQUEST_ID, added, timeless
from vegurtx.testing import client_context, context_factory, router_to, self_signed

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
UNASKED = ("downstream", "invalid_status")
DEEP = {"feature": {"deep_continue"}}


def asking(
    upgrade: bytes | None = b"websocket",
    connection: bytes = b"Upgrade",
    *,
    method: bytes = b"GET",
    version: bytes = b"1.1",
    more: bytes = b"",
) -> bytes:
    """The head of a request that asks for an upgrade."""
    field = b"" if upgrade is None else b"Upgrade: %b\r\n" % upgrade
    return b"%b /chat HTTP/%b\r\nHost: example.org\r\n%bConnection: %b\r\n%b\r\n" % (
        method,
        version,
        field,
        connection,
        more,
    )


class Upgrades(Conversation):
    """What these tests share."""

    async def assert_pipe(self, scene: Scene) -> None:
        """The two connections are a byte pipe; both ends close it, and the request ends well."""
        scene.client.send(b"ping\x00")
        await scene.server.expect(b"ping\x00")
        scene.server.send(b"pong\xff")
        await scene.client.expect(b"pong\xff")
        self.assertEqual(scene.router.requests[-1].response_code, 101)
        terminated = scene.router.count("terminate")
        scene.client.half_close()
        await scene.server.eof()
        self.assertEqual(scene.router.count("terminate"), terminated)
        scene.server.close()
        self.assertEqual(await scene.client.closed(), "clean")
        self.assertEqual(scene.client.unread, b"")
        self.assertEqual(scene.server.unread, b"")

    async def assert_switches(self, scene: Scene) -> None:
        """The back-end's 101 comes home, and makes a pipe."""
        scene.server.send(SWITCHING)
        self.assertEqual((await scene.client.receive_response()).status, 101)
        await self.assert_pipe(scene)
        self.assertEqual(await self.ending(scene.router), GOOD)


class Asked(Upgrades):
    """Rule 9: an upgrade that the client asked for."""

    async def test_exact_bytes(self) -> None:
        """Rule 9: the wish goes to the back-end, its 101 comes home, and nothing else of either is touched."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        proxy.factory.wall = lambda: NOW
        proxy.factory.new_id = lambda: REQUEST_ID
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        scene = await self.scene(asking(more=key), proxy=proxy, backend=backend, whole=False)
        self.assertEqual(
            timeless(scene.server.received),
            b"GET /chat HTTP/1.1\r\nHost: example.org\r\n"
            + key
            + b"Upgrade: websocket\r\n"
            + added(connection="upgrade"),
        )
        scene.server.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        await scene.client.expect(
            b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            b"Upgrade: websocket\r\nVia: 1.1 vegur\r\nServer: vegur\r\nConnection: Upgrade\r\n\r\n"
        )
        await self.assert_pipe(scene)
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_ways_to_ask(self) -> None:
        """Rule 9: options and protocols come in any case, in lists, and on several lines."""
        table: dict[tuple[bytes, bytes, bytes], str] = {
            (b"websocket", b"upgrade", b""): "websocket",
            (b"WebSocket", b"UPGRADE", b""): "WebSocket",
            (b"websocket", b"keep-alive, Upgrade", b""): "websocket",
            (b"websocket", b"Upgrade,close", b""): "websocket",
            (b"websocket", b" , upgrade ,, upgrade", b""): "websocket",
            (b"websocket", b"keep-alive", b"Connection: Upgrade\r\n"): "websocket",
            (b"IRC/6.9, RTA/x11", b"upgrade", b""): "IRC/6.9, RTA/x11",
            (b"a", b"upgrade", b"Upgrade: b/2\r\n"): "a, b/2",
        }
        for (upgrade, connection, more), expected in table.items():
            with self.row(upgrade, connection, more):
                scene = await self.scene(asking(upgrade, connection, more=more))
                assert not isinstance(scene.request, bytes)
                self.assertEqual(scene.request.header("upgrade"), expected)
                self.assertEqual(scene.request.header("connection"), "upgrade")
                await self.assert_switches(scene)

    async def test_every_kind_of_back_end_connection(self) -> None:
        """Rule 9: it works whatever the back-end's connections are kept like, and leaves none in the pool."""
        for keepalive in (None, "default", "new"):
            with self.row(keepalive):
                scene = await self.scene(asking(), keepalive=keepalive)
                await self.assert_switches(scene)
                self.assertEqual(len(scene.proxy.factory.client.pool), 0)

    async def test_other_options_are_taken_away(self) -> None:
        """Rules 9 and 11: what `Connection` names besides goes, the upgrade stays."""
        scene = await self.scene(asking(connection=b"upgrade, x-hop", more=b"X-Hop: 1\r\nX-End: 2\r\n"))
        assert not isinstance(scene.request, bytes)
        self.assertEqual((scene.request.all("x-hop"), scene.request.all("x-end")), ([], ["2"]))
        await self.assert_switches(scene)

    async def test_head(self) -> None:
        """Rule 9: it works with HEAD."""
        scene = await self.scene(asking(method=b"HEAD"))
        scene.server.send(SWITCHING)
        self.assertEqual((await scene.client.receive_response(b"HEAD")).status, 101)
        await self.assert_pipe(scene)
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_with_a_body(self) -> None:
        """Rule 9: a body goes first; what follows it is the pipe's."""
        for framing, body in (
            (b"Content-Length: 5\r\n", b"hello"),
            (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        ):
            with self.row(framing):
                scene = await self.scene(asking(method=b"POST", more=framing) + body + b"early")
                assert not isinstance(scene.request, bytes)
                self.assertEqual(scene.request.body, b"hello")
                await self.turns()
                self.assertEqual(scene.server.unread, b"")
                scene.server.send(SWITCHING)
                self.assertEqual((await scene.client.receive_response()).status, 101)
                await scene.server.expect(b"early")
                await self.assert_pipe(scene)

    async def test_expect(self) -> None:
        """Rules 8 and 9: the proxy's 100 comes first, then the body goes, then the 101 comes."""
        expect = b"Expect: 100-continue\r\nContent-Length: 5\r\n"
        scene = await self.scene(asking(method=b"POST", more=expect), whole=False)
        await scene.client.expect(CONTINUE)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        await self.assert_switches(scene)

    async def test_deep_expect(self) -> None:
        """Rules 8 and 9: with `deep_continue` the back-end's 100 comes first, then body and 101."""
        for method in (b"POST", b"HEAD"):
            expect = b"Expect: 100-continue\r\nContent-Length: 5\r\n"
            scene = await self.scene(asking(method=method, more=expect), whole=False, answers=DEEP)
            scene.server.send(CONTINUE)
            await scene.client.expect(CONTINUE)
            scene.client.send(b"hello")
            await scene.server.expect(b"hello")
            await self.assert_switches(scene)

    async def test_instead_of_a_100(self) -> None:
        """Rules 8 and 9: a 101 in place of the 100 is good: the body is not wanted, what comes is the pipe's."""
        for framing in (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"):
            with self.row(framing):
                expect = b"Expect: 100-continue\r\n" + framing
                scene = await self.scene(asking(method=b"POST", more=expect), whole=False, answers=DEEP)
                await self.assert_switches(scene)

    async def test_before_the_body_is_whole(self) -> None:
        """Rule 9: a 101 while a body is on its way is no answer to this request: 502, and both sides closed."""
        for sent in (b"", b"he"):
            scene = await self.scene(asking(method=b"POST", more=b"Content-Length: 5\r\n"), whole=False)
            scene.client.send(sent)
            await scene.server.expect(sent)
            scene.server.send(SWITCHING)
            response = await scene.client.receive_response()
            self.assertEqual((response.status, response.header("connection")), (502, "close"))
            await scene.server.closed()
            self.assertEqual(await self.ending(scene.router), Ending("connected", UNASKED, "error"))

    async def test_after_keep_alive_requests(self) -> None:
        """Rule 9: it works on connections that have served requests before, on both sides."""
        scene = await self.scene(keepalive="default")
        for following in (GET, asking()):
            scene.server.send(OK)
            self.assertEqual((await scene.client.receive_response()).body, b"hi")
            self.assertEqual(await self.ending(scene.router), GOOD)
            scene.client.send(following)
            await scene.server.receive_request()
        await self.assert_switches(scene)
        self.assertEqual(len(scene.backend.connections), 1)
        self.assertEqual(len(scene.proxy.factory.client.pool), 0)

    async def test_pipelined(self) -> None:
        """Rules 7 and 9: behind another request it waits for its turn."""
        scene = await self.scene(GET + asking() + b"early", keepalive="default")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        await scene.server.receive_request()
        self.assertEqual(scene.server.unread, b"")
        scene.server.send(SWITCHING)
        self.assertEqual((await scene.client.receive_response()).status, 101)
        await scene.server.expect(b"early")
        await self.assert_pipe(scene)

    async def test_dead_pooled_connection(self) -> None:
        """Rules 9 and 23: where the pooled connection was dead, the wish goes to a fresh one."""
        scene = await self.scene(keepalive="default")
        scene.server.send(OK)
        await scene.client.receive_response()
        self.assertEqual(await self.ending(scene.router), GOOD)
        scene.client.send(asking())
        await scene.server.receive_request()
        scene.server.close()
        scene.server = await scene.backend.accept()
        self.assertEqual((await scene.server.receive_request()).header("upgrade"), "websocket")
        await self.assert_switches(scene)

    async def test_interim_answers_before(self) -> None:
        """Rules 9 and 17: other 1xx may come before the 101."""
        scene = await self.scene(asking())
        scene.server.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + CONTINUE + SWITCHING + b"first")
        response = await scene.client.receive_response()
        self.assertEqual(([each.status for each in response.interim], response.status), ([103, 100], 101))
        await scene.client.expect(b"first")
        await self.assert_pipe(scene)

    async def test_a_101_a_byte_at_a_time(self) -> None:
        """Rule 9: a 101 may come in any segments; the byte behind it is the pipe's first."""
        scene = await self.scene(asking())
        for byte in SWITCHING + b"first":
            scene.server.send(bytes([byte]))
            await self.turns(1)
        self.assertEqual((await scene.client.receive_response()).status, 101)
        await scene.client.expect(b"first")
        await self.assert_pipe(scene)

    async def test_the_router_s_headers(self) -> None:
        """Rule 9: the router's own headers are in the request and in the 101, and it is told of both."""
        extra = {"upstream": [("X-Up", "1")], "downstream": [("X-Down", "2")]}
        scene = await self.scene(asking(), answers={"additional_headers": extra})
        assert not isinstance(scene.request, bytes)
        self.assertEqual(scene.request.header("x-up"), "1")
        scene.server.send(SWITCHING)
        self.assertEqual((await scene.client.receive_response()).header("x-down"), "2")
        await self.assert_pipe(scene)
        self.assertEqual(
            scene.router.names[-5:],
            ["feature", "additional_headers", "additional_headers", "checkin_service", "terminate"],
        )

    async def test_headers_in_their_own_time(self) -> None:
        """Rule 9: while the router thinks about the 101, what both sides say is kept, in its order."""
        wanted: Deferred[Any] = Deferred()
        answer = lambda direction, *_: wanted if direction == "downstream" else ()  # noqa: E731
        scene = await self.scene(asking() + b"one ", answers={"additional_headers": answer})
        scene.server.send(SWITCHING + b"eins ")
        await self.until(lambda: scene.router.count("additional_headers") == 2)
        scene.client.send(b"two")
        scene.server.send(b"zwei")
        await self.turns(5)
        self.assertEqual((scene.client.received, scene.server.unread), (b"", b""))
        wanted.callback([("X-Down", "2")])
        self.assertEqual((await scene.client.receive_response()).header("x-down"), "2")
        await scene.client.expect(b"eins zwei")
        await scene.server.expect(b"one two")
        await self.assert_pipe(scene)

    async def test_client_that_leaves_while_the_router_thinks(self) -> None:
        """Rules 9 and 21: a client that leaves then ends the back-end's side."""
        answer: Any = lambda direction, *_: Deferred() if direction == "downstream" else ()  # noqa: E731
        scene = await self.scene(asking(), answers={"additional_headers": answer})
        scene.server.send(SWITCHING)
        await self.until(lambda: scene.router.count("additional_headers") == 2)
        scene.client.abort()
        await scene.server.closed()
        self.assertEqual(
            await self.ending(scene.router), Ending("connected", ("upstream", "closed"), "error")
        )

    async def test_headers_that_crash(self) -> None:
        """Rule 9: a router that raises over the 101 has an error page in its place, and both sides closed."""

        def answer(direction: str, *_: Any) -> Any:
            if direction == "downstream":
                raise RuntimeError("boom")
            return ()

        scene = await self.scene(asking(), answers={"additional_headers": answer})
        scene.server.send(SWITCHING)
        self.assertEqual((await scene.client.receive_response()).status, 503)
        await scene.server.closed()
        self.assertEqual(await self.ending(scene.router), Ending("connected", "crashed", "error"))
        self.flushLoggedErrors(RuntimeError)

    async def test_tls_client(self) -> None:
        """Rules 9 and 26: it works for a client on TLS."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend), tls=context_factory(self_signed("example.org")))
        client = await proxy.connect(tls=client_context(), server_name="example.org")
        client.send(asking() + b"early")
        server = await backend.accept()
        self.assertEqual((await server.receive_request()).header("x-forwarded-proto"), "https")
        server.send(SWITCHING + b"first")
        self.assertEqual((await client.receive_response()).status, 101)
        await client.expect(b"first")
        await server.expect(b"early")


class Declined(Upgrades):
    """Rule 9: any other status is a normal response."""

    async def test_other_answers(self) -> None:
        """Rule 9: the answer comes home, the connections go on, and another wish may follow."""
        for keepalive in (None, "default"):
            for status in (b"200 OK", b"400 Bad Request", b"403 Forbidden", b"503 Service Unavailable"):
                with self.row(keepalive, status):
                    scene = await self.scene(asking(), keepalive=keepalive)
                    scene.server.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nno")
                    response = await scene.client.receive_response()
                    self.assertEqual((response.status, response.body), (int(status[:3]), b"no"))
                    self.assertEqual(response.header("connection"), "keep-alive")
                    self.assertEqual(await self.ending(scene.router), GOOD)
                    scene.client.send(asking())
                    if keepalive is None:
                        await scene.server.closed()
                        scene.server = await scene.backend.accept()
                    await scene.server.receive_request()
                    await self.assert_switches(scene)

    async def test_upgrade_required(self) -> None:
        """Rules 9 and 18: a 426 says what is required."""
        scene = await self.scene()
        scene.server.send(
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.2\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n"
        )
        response = await scene.client.receive_response()
        self.assertEqual((response.status, response.header("upgrade")), (426, "TLS/1.2"))

    async def test_what_follows_is_a_request(self) -> None:
        """Rules 7 and 9: where there is no pipe, what follows the wish is the next request, or none."""
        scene = await self.scene(asking() + GET, keepalive="default")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual((await scene.server.receive_request()).target, "/")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        scene = await self.scene(asking() + b"\x81\x85frame")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual((await scene.client.receive_response()).status, 400)
        self.assertEqual(await scene.client.closed(), "clean")

    async def test_no_answer(self) -> None:
        """Rule 9: a back-end that closes instead is an error as with any request."""
        scene = await self.scene(asking())
        scene.server.close()
        self.assertEqual((await scene.client.receive_response()).status, 503)
        self.assertEqual(
            await self.ending(scene.router), Ending("connected", ("downstream", "closed"), "error")
        )


class Unasked(Upgrades):
    """Rules 9 and 17: a 101 that nobody asked for."""

    async def assert_unasked(self, request: bytes, *, fields: tuple[str, ...] = ("upgrade",)) -> None:
        """`request` goes on without a wish, and a 101 for it is a 502; its client goes on."""
        scene = await self.scene(request, keepalive="default")
        assert not isinstance(scene.request, bytes)
        for name in fields:
            self.assertEqual(scene.request.all(name), [])
        self.assertEqual(scene.request.header("connection"), "keep-alive")
        scene.server.send(SWITCHING + OK + b"more")
        response = await scene.client.receive_response()
        self.assertEqual(response.status, 502)
        await scene.server.closed()
        self.assertEqual([call.arguments[0] for call in scene.router.of("error_page")], [UNASKED])
        self.assertEqual(await self.ending(scene.router), Ending("connected", UNASKED, "error"))
        self.assertEqual(len(scene.proxy.factory.client.pool), 0)
        old = scene.router.requests[0].version == (1, 0)
        self.assertEqual(response.header("connection"), "close" if old else "keep-alive")
        if not old:
            scene.client.send(GET)
            server = await scene.backend.accept()
            await server.receive_request()
            server.send(OK)
            self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_not_asked_for(self) -> None:
        """Rules 9 and 17, settled: a 101 for a plain request is `("downstream", "invalid_status")`, 502."""
        await self.assert_unasked(GET)

    async def test_upgrade_alone(self) -> None:
        """Rules 9 and 11: `Upgrade` without `Connection: upgrade` is no wish, and goes no further."""
        for connection in (b"keep-alive", b"x-upgrade", b""):
            with self.row(connection):
                await self.assert_unasked(asking(connection=connection))

    async def test_http_1_0(self) -> None:
        """Rules 9 and 10: HTTP/1.0 knows no upgrade: a wish is ignored and goes no further."""
        await self.assert_unasked(asking(version=b"1.0"))

    async def test_h2c(self) -> None:
        """Rule 9: HTTP/2 is not offered on: both fields, and its settings, are taken away."""
        more = b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
        for protocol in (b"h2c", b"H2C", b"h2c, h2c", b"h2", b"h2c/1"):
            for connection in (b"Upgrade, HTTP2-Settings", b"upgrade"):
                with self.row(protocol, connection):
                    await self.assert_unasked(
                        asking(protocol, connection, more=more), fields=("upgrade", "http2-settings")
                    )

    async def test_h2c_among_others(self) -> None:
        """Rule 9: what is asked for besides HTTP/2 is offered on without it."""
        for protocols in (b"h2c, websocket", b"websocket,h2c", b"h2c , websocket, H2C"):
            with self.row(protocols):
                scene = await self.scene(
                    asking(protocols, b"Upgrade, HTTP2-Settings", more=b"HTTP2-Settings: \r\n")
                )
                assert not isinstance(scene.request, bytes)
                self.assertEqual(scene.request.header("upgrade"), "websocket")
                self.assertEqual(scene.request.all("http2-settings"), [])
                await self.assert_switches(scene)


class Malformed(Upgrades):
    """Rule 9: a wish that cannot be read is `bad_request_header`, 400."""

    async def assert_refused(self, request: bytes) -> None:
        """`request` is answered 400 without a back-end, and nothing behind it is read."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        client = await proxy.connect()
        client.send(request + GET)
        response = await client.receive_response()
        self.assertEqual((response.status, response.header("connection")), (400, "close"))
        self.assertEqual(await client.closed(), "clean")
        self.assertEqual(client.unread, b"")
        self.assertEqual(len(backend.connections), 0)
        self.assertEqual(
            [call.arguments[0] for call in proxy.router.of("error_page")], ["bad_request_header"]
        )
        self.assertEqual(await self.ending(proxy.router), Ending("checkout", "bad_request_header", "error"))
        self.assertEqual(proxy.router.count("init"), 1)

    async def test_bad_upgrade(self) -> None:
        """Rule 9: `Connection: upgrade` without an `Upgrade`, or with one that names no protocol."""
        for upgrade in (
            None,
            b"",
            b" , ",
            b"web socket",
            b"websocket/",
            b"/13",
            b"a/b/c",
            b"websocket;q=1",
            b"websocket, (x)",
            b'"websocket"',
            b"web\xe9",
        ):
            with self.row(upgrade):
                await self.assert_refused(asking(upgrade))

    async def test_bad_connection(self) -> None:
        """Rule 9, settled: a `Connection` that is no list of tokens, whether it asks for anything or not."""
        for connection in (
            b"upgrade websocket",
            b"upgrade; x",
            b"(upgrade)",
            b'"upgrade"',
            b"a b",
            b"a=b",
            b"\xe9",
        ):
            with self.row(connection):
                await self.assert_refused(asking(connection=connection))
                await self.assert_refused(asking(None, connection))
