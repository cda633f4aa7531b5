"""Rule 21: truncation is never hidden, and a client that leaves cancels its back-end request at once.

Every test here also proves that no descriptor is left: `ProxyTestCase` compares the process's sockets.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import (
    CHUNKED_POST,
    GET,
    GOOD,
    OK,
    OLD_GET,
    Conversation,
    post,
)
from vegurtx.proxy.exchange import Exchange
from vegurtx.proxy.relay import Relay
from vegurtx.testing import client_context, context_factory, in_turn, router_to, self_signed
from vegurtx.testing.pattern import PATTERN

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\n\r\n"

BROKEN = [
    (LENGTH, b"", b""),
    (LENGTH, b"hello", b"hello"),
    (LENGTH, b"hello wor", b"hello wor"),
    (CHUNKED, b"", b""),
    (CHUNKED, b"5", b""),
    (CHUNKED, b"5\r\n", b""),
    (CHUNKED, b"5\r\nhel", b"hel"),
    (CHUNKED, b"5\r\nhello", b"hello"),
    (CHUNKED, b"5\r\nhello\r", b"hello"),
    (CHUNKED, b"5\r\nhello\r\n", b"hello"),
    (CHUNKED, b"5\r\nhello\r\n0", b"hello"),
    (CHUNKED, b"5\r\nhello\r\n0\r\n", b"hello"),
    (CHUNKED, b"5\r\nhello\r\n0\r\nA: 1\r\n", b"hello"),
]
"""A response's head, what came of its body before the end, and how much content that is."""

BAD_CHUNKS = [
    (b"5\r\nhello\r\nx", "size"),
    (b"5\r\nhello\r\n-1\r\n", "size"),
    (b"5\r\nhello!", "delimiter"),
    (b"5\r\nhello\r\n5;\0", "extension"),
    (b"5\r\nhello\r\n" + b"5;" + b"x" * 5000, "length"),
    (b"5\r\nhello\r\n0\r\nno colon\r\n\r\n", "trailer"),
    (b"5\r\nhello\r\n0\r\n5\r\nmore!\r\n0\r\n\r\n", "trailer"),
]

LAST_CALLS = ["checkin_service", "terminate"]
ENDS = [("close", "closed"), ("half_close", "closed"), ("abort", "econnreset")]


class BackendDies(Conversation):
    """Rule 21: a response that does not reach its end."""

    async def assert_broken_off(self, scene: Any, content: bytes, what: Any) -> None:
        """The client got `content`, and an end that nobody takes for a clean one."""
        self.assertEqual(await scene.client.closed(), "reset")
        head, _, body = scene.client.received.partition(b"\r\n\r\n")
        if b"chunked" in head:
            self.assertNotIn(b"0\r\n", body)
            decoded = b"".join(body.split(b"\r\n")[1::2])
            self.assertEqual(decoded, content)
        else:
            self.assertEqual(body, content)
        await self.assert_ends(scene.router, "connected", ("downstream", what), "error")
        self.assertEqual(scene.router.count("error_page"), 0)
        await scene.server.closed()

    async def test_mid_body(self) -> None:
        """Rule 21: whatever the framing and wherever it stops, the client's connection is reset behind what came."""
        for request in (GET, OLD_GET):
            for head, said, content in BROKEN:
                for end, what in ENDS:
                    for together in (True, False):
                        with self.row(request, head, said, end, together):
                            scene = await self.scene(request)
                            if not together:
                                scene.server.send(head)
                                await scene.client.receive_head()
                            scene.server.send(said if not together else head + said)
                            getattr(scene.server, end)()
                            await self.assert_broken_off(scene, content, what)

    async def test_close_delimited(self) -> None:
        """Rules 16, 21: where only the close is an end, a reset is none."""
        for request in (GET, OLD_GET):
            for body in (b"", b"hello"):
                with self.row(request, body):
                    scene = await self.scene(request)
                    scene.server.send(PLAIN + body)
                    scene.server.abort()
                    await self.assert_broken_off(scene, body, "econnreset")

    async def test_bad_chunk(self) -> None:
        """Rule 21: a bad chunk is the same, and what came before it is delivered however it was cut."""
        for request in (GET, OLD_GET):
            for said, what in BAD_CHUNKS:
                for pieces in ([said], [said[:7], said[7:]], [said[at : at + 1] for at in range(min(len(said), 60))]):
                    if b"".join(pieces) != said:
                        continue
                    with self.row(request, said, len(pieces)):
                        scene = await self.scene(request)
                        scene.server.send(CHUNKED)
                        await scene.client.receive_head()
                        for piece in pieces:
                            scene.server.send(piece)
                            await self.turns(1)
                        self.assertEqual(await scene.client.closed(), "reset")
                        body = scene.client.received.partition(b"\r\n\r\n")[2]
                        if request is GET:
                            body = b"".join(body.split(b"\r\n")[1::2])
                        self.assertEqual(body, b"hello")
                        await self.assert_ends(
                            scene.router, "connected", ("downstream", ("bad_chunk", what)), "error"
                        )
                        await scene.server.closed()

    async def test_over_tls(self) -> None:
        """Rule 21: on TLS there is no ``close_notify`` behind a truncated response."""
        certificate = self_signed("localhost")
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend), tls=context_factory(certificate))
        for request in (GET, OLD_GET):
            for head, said, content in [*BROKEN, (PLAIN, b"hello", b"hello")]:
                with self.row(request, head, said):
                    client = await self.connect((proxy.host, proxy.port), tls=client_context())
                    client.send(request)
                    server = await backend.accept()
                    await server.receive_request()
                    server.send(head + said)
                    server.abort()
                    self.assertEqual(await client.closed(), "reset")
                    self.assertTrue(client.received.startswith(b"HTTP/1.1 200 OK\r\n"))
                    body = client.received.partition(b"\r\n\r\n")[2]
                    self.assertIn(content, body)
                    self.assertNotIn(b"0\r\n", body)
                    await self.assert_ends(proxy.router, "connected", ("downstream", "econnreset"), "error")

    async def test_clean_end_over_tls(self) -> None:
        """Rules 16, 21: and there is one behind a whole one."""
        certificate = self_signed("localhost")
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend), tls=context_factory(certificate))
        client = await self.connect((proxy.host, proxy.port), tls=client_context())
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        server.send(PLAIN + b"hello")
        server.close()
        self.assertEqual((await client.receive_response()).body, b"hello")
        self.assertEqual(await client.closed(), "clean")

    async def test_large_part(self) -> None:
        """Rule 21: what reached us before the break is delivered, however much it is."""
        for head in (LENGTH.replace(b"10", b"1000000"), PLAIN):
            for end in ("close", "abort") if b"Length" in head else ("abort",):
                with self.row(head, end):
                    scene = await self.scene()
                    scene.server.send(head + PATTERN[:300_000])
                    getattr(scene.server, end)()
                    self.assertEqual(await scene.client.closed(), "reset")
                    self.assertTrue(scene.client.received.endswith(PATTERN[:300_000][-1000:]))
                    self.assertEqual(len(scene.client.received.partition(b"\r\n\r\n")[2]), 300_000)

    async def test_before_the_head_ends(self) -> None:
        """Rule 21, settled: one that dies before or inside its head is answered for: 503, ``closed``, ``econnreset``."""
        for said in (b"", b"HTTP", b"HTTP/1.1 200 OK\r\n", LENGTH[:-2]):
            for end, what in ENDS:
                with self.row(said, end):
                    scene = await self.scene()
                    scene.server.send(said)
                    getattr(scene.server, end)()
                    response = await scene.client.receive_response()
                    self.assertEqual((response.status, response.header("Connection")), (503, "keep-alive"))
                    await self.assert_ends(scene.router, "connected", ("downstream", what), "error")
                    self.assertEqual(scene.router.of("error_page")[0].arguments[0], ("downstream", what))
                    scene.client.send(GET)
                    server = await scene.backend.accept()
                    await server.receive_request()
                    server.send(OK)
                    self.assertEqual((await scene.client.receive_response()).body, b"hi")
                    self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_while_the_router_is_asked(self) -> None:
        """Rule 21: also where the response's head waits for ``additional_headers``."""
        for said in (LENGTH + b"hello", CHUNKED + b"5\r\nhello\r\n"):
            with self.row(said):
                pairs: Deferred[Any] = Deferred()
                asked = lambda direction, *_, p=pairs: p if direction == "downstream" else ()  # noqa: E731
                scene = await self.scene(answers={"additional_headers": asked})
                scene.server.send(said)
                await self.until(lambda s=scene: s.router.count("additional_headers") == 2)
                scene.server.abort()
                await self.turns(10)
                pairs.callback([("X-Late", "1")])
                if scene.client.received.startswith(b"HTTP/1.1 503"):
                    await self.assert_ends(scene.router, "connected", ("downstream", "econnreset"), "error")
                    continue
                response_is_broken = await scene.client.closed() == "reset" or b"503" in scene.client.received
                self.assertTrue(response_is_broken, scene.client.received)
                self.assertEqual((await self.ending(scene.router)).status, "error")


class ClientLeaves(Conversation):
    """Rule 21: a client that leaves cancels the back-end request at once, in each phase."""

    LEFT = ("upstream", "closed")

    async def test_waiting_for_the_router(self) -> None:
        """Rule 21: while a callback's Deferred is pending: it is cancelled, the request ends in that phase."""
        for callback, phase in [
            ("init", "lookup"),
            ("lookup_domain_name", "lookup"),
            ("checkout_service", "checkout"),
            ("service_backend", "checkout"),
            ("feature", "connected"),
            ("additional_headers", "connected"),
        ]:
            with self.row(callback):
                cancelled: list[Any] = []
                backend = await self.backend()
                router = router_to(backend, **{callback: lambda *_, c=cancelled: Deferred(c.append)})
                proxy = await self.proxy(router)
                client = await proxy.connect()
                client.send(GET)
                await self.until(lambda r=router, c=callback: r.count(c))
                client.abort()
                await self.assert_ends(router, phase, self.LEFT, "error")
                self.assertEqual((len(cancelled), router.count("error_page")), (1, 0))
                await self.until(lambda b=backend: all(each.arrival.value != "open" for each in b.connections))

    async def test_waiting_for_the_error_page(self) -> None:
        """Rule 21: nobody is there for the page either."""
        cancelled: list[Any] = []
        router = router_to(error_page=lambda *_: Deferred(cancelled.append))
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(GET)
        await self.until(lambda: router.count("error_page"))
        client.abort()
        ending = await self.ending(router)
        self.assertEqual((ending.phase, ending.status, len(cancelled)), ("checkout", "error", 1))

    async def test_router_that_answers_all_the_same(self) -> None:
        """Rule 21: a callback that answers when it is cancelled sets nothing going any more."""
        backend = await self.backend()
        for callback, phase, answer in [
            ("init", "lookup", None),
            ("lookup_domain_name", "checkout", "group"),
            ("checkout_service", "checkout", backend.as_backend()),
            ("service_backend", "checkout", backend.as_backend()),
            ("checkin_service", "checkout", None),
            ("feature", "connected", False),
            ("additional_headers", "connected", ()),
        ]:
            with self.row(callback):
                first = await self.refusing_backend() if callback == "checkin_service" else backend
                pending: Deferred[Any] = Deferred(lambda this, a=answer: this.callback(a))
                router = router_to(first, backend, **{callback: in_turn(lambda *_, p=pending: p, None)})
                proxy = await self.proxy(router)
                client = await proxy.connect()
                client.send(GET)
                await self.until(lambda r=router, c=callback: r.count(c))
                before = router.names
                client.abort()
                await self.assert_ends(router, phase, self.LEFT, "error")
                await self.turns()
                asked = router.names[len(before) :]
                self.assertIn(asked, (LAST_CALLS, ["additional_headers", *LAST_CALLS]))
                await self.until(lambda: all(each.arrival.value != "open" for each in backend.connections))
        self.assertEqual([each.received for each in backend.connections], [b"", b""])
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_connecting(self) -> None:
        """Rule 21: while a connect is under way: it is given up, and no other is tried."""
        silent = await self.silent_backend()
        router = router_to(silent, silent)
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(GET)
        await self.until(lambda: router.count("service_backend"))
        await self.turns()
        client.abort()
        await self.assert_ends(router, "checkout", self.LEFT, "error")
        self.assertEqual((router.count("checkout_service"), router.count("checkin_service")), (1, 1))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_waiting_for_the_response(self) -> None:
        """Rule 21: while the back-end thinks: its connection is closed, pooled or not."""
        for request in (GET, post(5) + b"hello"):
            for keepalive in (None, "default"):
                for said in (b"", b"HTTP/1.1 20", b"HTTP/1.1 103 Early Hints\r\n\r\n"):
                    with self.row(request, keepalive, said):
                        scene = await self.scene(request, keepalive=keepalive)
                        scene.server.send(said)
                        await self.turns()
                        scene.client.abort()
                        await scene.server.closed()
                        await self.assert_ends(scene.router, "connected", self.LEFT, "error")
                        self.assertEqual(len(scene.proxy.factory.client.pool), 0)

    async def test_uploading(self) -> None:
        """Rule 21: in the middle of its body, in each framing, in order or by a reset: never a whole request there."""
        for request, begun in [
            (post(10), b""),
            (post(10), b"hello"),
            (CHUNKED_POST, b""),
            (CHUNKED_POST, b"5\r\nhello\r\n"),
            (CHUNKED_POST, b"5\r\nhel"),
            (CHUNKED_POST, b"5\r\nhello\r\n0\r\n"),
        ]:
            for end in ("close", "half_close", "abort"):
                for keepalive in (None, "default"):
                    with self.row(request, begun, end, keepalive):
                        scene = await self.scene(request + begun, whole=False, keepalive=keepalive)
                        await self.turns()
                        getattr(scene.client, end)()
                        self.assertEqual(await scene.server.closed(), "reset")
                        self.assertNotIn(b"0\r\n\r\n", scene.server.unread)
                        await self.assert_ends(scene.router, "connected", self.LEFT, "error")
                        self.assertEqual(len(scene.proxy.factory.client.pool), 0)

    async def test_leaves_with_its_body(self) -> None:
        """Rule 21: head, half a body and the end in one go."""
        for end in ("close", "half_close", "abort"):
            with self.row(end):
                backend = await self.backend()
                proxy = await self.proxy(router_to(backend))
                client = await proxy.connect()
                client.send(post(10) + b"hello")
                getattr(client, end)()
                ending = await self.ending(proxy.router)
                self.assertEqual((ending.state, ending.status), (self.LEFT, "error"))
                await self.until(lambda b=backend: all(each.arrival.value != "open" for each in b.connections))

    async def test_downloading(self) -> None:
        """Rule 21: in the middle of the response, in each framing."""
        for head, part, more in [
            (LENGTH.replace(b"10", b"100000000"), b"x" * 1000, b"x" * 100_000),
            (CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n", b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
            (PLAIN, b"x" * 1000, b"x" * 100_000),
        ]:
            for end in ("close", "abort"):
                for keepalive in (None, "default"):
                    with self.row(head, end, keepalive):
                        scene = await self.scene(keepalive=keepalive)
                        scene.server.send(head + part)
                        await scene.client.receive_until(b"x" * 1000)
                        getattr(scene.client, end)()
                        # a close looks like a half-close, until what we write is answered by a reset
                        while scene.server.arrival.value == "open":
                            scene.server.send(more)
                            await self.turns(1)
                        await self.assert_ends(scene.router, "connected", self.LEFT, "error")
                        self.assertEqual(len(scene.proxy.factory.client.pool), 0)

    async def test_downloading_slowly(self) -> None:
        """Rule 21: a client that leaves while it does not read, and the back-end waits for it."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        client = await proxy.connect(receive_buffer=4096)
        client.pause()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        server.send(PLAIN)
        for _ in range(64):
            server.send(PATTERN[:262144])
            await self.turns(1)
        client.abort()
        await server.closed()
        await self.assert_ends(proxy.router, "connected", self.LEFT, "error")

    async def test_without_a_request(self) -> None:
        """Rule 21: a client that leaves before its request was whole has made none: the router hears nothing."""
        proxy = await self.proxy(router_to())
        for said in (b"", b"G", b"GET / HTTP/1.1\r\n", GET[:-2], b"\r\n"):
            for end in ("close", "half_close", "abort"):
                with self.row(said, end):
                    client = await proxy.connect()
                    client.send(said)
                    await self.turns()
                    getattr(client, end)()
                    await self.until(lambda: not proxy.factory.connections)
                    self.assertEqual((proxy.router.calls, client.unread), ([], b""))

    async def test_with_pipelined_requests(self) -> None:
        """Rules 7, 21: with a client that leaves, the requests that waited behind its first one are gone too."""
        scene = await self.scene(GET * 3)
        scene.client.abort()
        await scene.server.closed()
        await self.assert_ends(scene.router, "connected", self.LEFT, "error")
        self.assertEqual((scene.router.count("init"), len(scene.backend.connections)), (1, 1))

    async def test_in_the_pipe(self) -> None:
        """Rules 9, 21: a client that resets a byte pipe ends the back-end's side with it."""
        scene = await self.scene(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
        scene.server.send(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello")
        await scene.client.receive_until(b"hello")
        scene.client.abort()
        await scene.server.closed()
        await self.assert_ends(scene.router, "connected", self.LEFT, "error")


class NothingIsLeft(Conversation):
    """Rule 21: no descriptor and no exchange survives its end."""

    async def test_hundreds_of_aborts(self) -> None:
        """Rule 21: after 500 aborted exchanges of every kind all connections and all exchanges are gone."""
        backend = await self.backend()
        router = router_to(backend, keepalive="default")
        proxy = await self.proxy(router, linger_timeout=0.01)
        heads = [b"", b"HTTP/1.1 2", LENGTH, LENGTH + b"hello", CHUNKED + b"5\r\nhel", PLAIN + b"hello"]
        for number in range(504):
            request = (GET, post(10) + b"hello", CHUNKED_POST + b"5\r\nhello\r\n")[number % 3]
            client = await proxy.connect()
            client.send(request)
            server = await backend.accept()
            await server.receive_head()
            server.send(heads[number // 3 % 6])
            await self.turns(1)
            leaving, staying = (client, server) if number // 18 % 2 else (server, client)
            if number // 36 % 2:
                leaving.abort()
            else:
                leaving.close()
            await self.turns(1)
            staying.close()
        await self.until(lambda: router.count("terminate") == 504)
        await self.until(lambda: not proxy.factory.connections)
        self.assertEqual(len(proxy.factory.client.pool), 0)
        for _ in range(504):
            await self.ending(router)
        router.calls.clear()
        del client, server, leaving, staying
        await self.turns()
        gc.collect()
        alive = [each for each in gc.get_objects() if isinstance(each, (Exchange, Relay))]
        self.assertEqual(alive, [])
