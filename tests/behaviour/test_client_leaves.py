"""Rule 21: a client that leaves cancels its back-end request at once, in each phase, and nothing is left of it.

Every test here also proves that no descriptor is left: `ProxyTestCase` compares the process's sockets.
"""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import (
    CHUNKED_POST,
    GET,
    Conversation,
    post,
)
from vegurtx.testing import in_turn, router_to
from vegurtx.testing.pattern import PATTERN

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\n\r\n"
LAST_CALLS = ["checkin_service", "terminate"]


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
                await self.until(
                    lambda b=backend: all(each.arrival.value != "open" for each in b.connections)
                )

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
            ("lookup_domain_name", "lookup", "group"),
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
                self.assertEqual(asked, LAST_CALLS)
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
                await self.until(
                    lambda b=backend: all(each.arrival.value != "open" for each in b.connections)
                )

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
        exchanges: list[Any] = []
        router = router_to(
            backend, keepalive="default", init=lambda _, it: exchanges.append(ref(it.exchange))
        )
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
        self.assertEqual([each() for each in exchanges if each() is not None], [])
