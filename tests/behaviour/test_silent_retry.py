"""Rule 23: a pooled connection that dies before any response byte: one silent retry, of what can be repeated."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import (
    CHUNKED_POST,
    GET,
    GOOD,
    OK,
    Ending,
    Pooling,
    Scene,
    post,
)
from vegurtx.testing import answering, in_turn

IDEMPOTENT = [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"]
OTHERS = [b"POST", b"PATCH", b"PURGE", b"get", b"LOCK"]


class SilentRetry(Pooling):
    """Rule 23: a pooled connection that dies before any response byte."""

    async def dies(self, scene: Scene, request: bytes, end: str = "close", *, whole: bool = True) -> bytes:
        """`request` goes out on the connection that rested, which then ends in its way; return what it got."""
        mark = len(scene.server.received)
        scene.client.send(request)
        if whole:
            await scene.server.receive_request()
        else:
            await scene.server.receive_head()
            await self.turns()
        got = scene.server.received[mark:]
        getattr(scene.server, end)()
        return got

    async def test_idempotent(self) -> None:
        """Rule 23: the same bytes go out on a fresh connection, and nobody hears of it, the router included."""
        for method in IDEMPOTENT:
            for end in ("close", "half_close", "abort"):
                with self.row(method, end):
                    scene = await self.idle()
                    got = await self.dies(scene, GET.replace(b"GET", method), end)
                    server = await scene.backend.accept()
                    await server.expect(got)
                    server.send(OK if method != b"HEAD" else OK[:-2])
                    self.assertEqual((await scene.client.receive_response(method)).status, 200)
                    self.assertEqual(await self.ending(scene.router), GOOD)
                    self.assertEqual(scene.router.count("checkout_service"), 2)
                    self.assertEqual((server.unread, len(scene.backend.connections)), (b"", 2))
                    self.assertEqual(len(scene.proxy.factory.client.pool), 1)

    async def test_not_idempotent(self) -> None:
        """Rule 23: a request that may not be repeated is not: 503, ``closed``."""
        for method in OTHERS:
            for end, what in (("close", "closed"), ("abort", "econnreset")):
                with self.row(method, end):
                    scene = await self.idle()
                    await self.dies(scene, GET.replace(b"GET", method), end)
                    self.assertEqual((await scene.client.receive_response()).status, 503)
                    await self.assert_ends(scene.router, "connected", ("downstream", what), "error")
                    self.assertEqual(len(scene.backend.connections), 1)

    async def test_with_a_body(self) -> None:
        """Rule 23: so is a request with a body that is still buffered, in each framing."""
        for request in (
            post(5, b"PUT") + b"hello",
            CHUNKED_POST.replace(b"POST", b"PUT") + b"5\r\nhello\r\n0\r\nA: 1\r\n\r\n",
            post(0, b"DELETE"),
        ):
            with self.row(request):
                scene = await self.idle()
                got = await self.dies(scene, request)
                server = await scene.backend.accept()
                await server.expect(got)
                server.send(OK)
                self.assertEqual((await scene.client.receive_response()).body, b"hi")
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_post_with_a_body(self) -> None:
        """Rule 23: a POST is not, with a body as little as without."""
        scene = await self.idle()
        await self.dies(scene, post(5) + b"hello")
        self.assertEqual((await scene.client.receive_response()).status, 503)
        self.assertEqual(len(scene.backend.connections), 1)

    async def test_in_the_middle_of_its_body(self) -> None:
        """Rule 23: half of a body is sent again, and the rest follows when it comes."""
        for head, parts in (
            (post(10, b"PUT"), (b"hello", b"world")),
            (CHUNKED_POST.replace(b"POST", b"PUT"), (b"5\r\nhello\r\n", b"5\r\nworld\r\n0\r\n\r\n")),
        ):
            for end in ("close", "abort"):
                with self.row(head, end):
                    scene = await self.idle()
                    got = await self.dies(scene, head + parts[0], end, whole=False)
                    server = await scene.backend.accept()
                    await server.expect(got)
                    scene.client.send(parts[1])
                    await server.expect(parts[1])
                    server.send(OK)
                    response = await scene.client.receive_response()
                    self.assertEqual((response.body, response.header("Connection")), (b"hi", "keep-alive"))
                    self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_rest_comes_meanwhile(self) -> None:
        """Rule 23: bytes that come while the fresh connection is being opened are not lost, nor doubled."""
        scene = await self.idle()
        got = await self.dies(scene, post(100_000, b"PUT") + b"a" * 10_000, whole=False)
        for _ in range(9):
            scene.client.send(b"b" * 10_000)
        server = await scene.backend.accept()
        whole = await server.receive_request()
        self.assertEqual(whole.body, b"a" * 10_000 + b"b" * 90_000)
        self.assertTrue(whole.raw.startswith(got))
        server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_buffer_bound(self) -> None:
        """Rule 23: beyond ``retry_buffer_limit`` nothing is kept, and the retry given up."""
        for size, retried in ((1000, True), (1001, False)):
            for end in ("close", "abort"):
                with self.row(size, end):
                    scene = await self.idle(retry_buffer_limit=1000)
                    await self.dies(scene, post(size, b"PUT") + b"x" * size, end)
                    if not retried:
                        self.assertEqual((await scene.client.receive_response()).status, 503)
                        self.assertEqual((await self.ending(scene.router)).status, "error")
                        continue
                    server = await scene.backend.accept()
                    self.assertEqual(len((await server.receive_request()).body), size)
                    server.send(OK)
                    self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_default_bound(self) -> None:
        """Rule 23: that is 64 KiB by default."""
        for size, retried in ((65536, True), (65537, False)):
            with self.row(size):
                scene = await self.idle()
                await self.dies(scene, post(size, b"PUT") + b"x" * size)
                if retried:
                    await scene.backend.accept()
                else:
                    self.assertEqual((await scene.client.receive_response()).status, 503)

    async def test_once(self) -> None:
        """Rule 23: one retry; where the fresh connection dies too, that is the answer."""
        for end, what in (("close", "closed"), ("abort", "econnreset")):
            with self.row(end):
                scene = await self.idle()
                await self.dies(scene, GET)
                server = await scene.backend.accept()
                await server.receive_request()
                getattr(server, end)()
                self.assertEqual((await scene.client.receive_response()).status, 503)
                await self.assert_ends(scene.router, "connected", ("downstream", what), "error")
                self.assertEqual(len(scene.backend.connections), 2)

    async def test_fresh_connection(self) -> None:
        """Rule 23: a connection on its first request gets no retry: that back-end has seen it and said nothing."""
        for keepalive in (None, "default", "new"):
            with self.row(keepalive):
                scene = await self.scene(keepalive=keepalive)
                scene.server.close()
                self.assertEqual((await scene.client.receive_response()).status, 503)
                await self.assert_ends(scene.router, "connected", ("downstream", "closed"), "error")
                self.assertEqual(len(scene.backend.connections), 1)

    async def test_after_a_response_byte(self) -> None:
        """Rule 23: one byte of a response, and there is no retry; an interim response is more than that."""
        for said in (b"H", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 103 Early Hints\r\n\r\n"):
            for end in ("close", "abort"):
                with self.row(said, end):
                    scene = await self.idle()
                    scene.client.send(GET)
                    await scene.server.receive_request()
                    scene.server.send(said)
                    await self.turns()
                    getattr(scene.server, end)()
                    self.assertEqual((await scene.client.receive_response()).status, 503)
                    self.assertEqual((await self.ending(scene.router)).status, "error")
                    self.assertEqual(len(scene.backend.connections), 1)

    async def test_nonsense(self) -> None:
        """Rules 14, 23: nonsense is an answer, if a bad one."""
        scene = await self.idle()
        scene.client.send(GET)
        await scene.server.receive_request()
        scene.server.send(b"nonsense")
        self.assertEqual((await scene.client.receive_response()).status, 502)
        self.assertEqual(len(scene.backend.connections), 1)

    async def test_died_before_it_was_used(self) -> None:
        """Rule 23: where no byte of the request went out at all, any method may go over a fresh connection."""
        for request in (GET, post(5) + b"hello", post(0), CHUNKED_POST + b"5\r\nhello\r\n0\r\n\r\n"):
            for end in ("close", "abort"):
                with self.row(request, end):
                    pairs: Deferred[Any] = Deferred()
                    scene = await self.idle()
                    scene.router.on(additional_headers=in_turn(lambda *_, p=pairs: p, ()))
                    scene.client.send(request)
                    await self.until(lambda s=scene: s.router.count("additional_headers") == 3)
                    getattr(scene.server, end)()
                    await self.turns()
                    pairs.callback([("X-Added", "1")])
                    server = await scene.backend.accept()
                    got = await server.receive_request()
                    self.assertEqual(
                        (got.header("X-Added"), got.body), ("1", b"hello" if b"hello" in request else b"")
                    )
                    server.send(OK)
                    self.assertEqual((await scene.client.receive_response()).body, b"hi")
                    self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_back_end_is_gone(self) -> None:
        """Rules 22, 23: where the fresh connect fails, it is a failed connect as any other."""
        scene = await self.idle()
        other = await self.backend(handler=answering(OK))
        scene.router.on(checkout_service=in_turn(scene.router.backends[0], other.as_backend()))
        scene.client.send(GET)
        await scene.server.receive_request()
        scene.backend.stop()
        scene.server.close()
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.assertEqual(
            [call.arguments[1:] for call in scene.router.of("checkin_service")][1:],
            [
                (scene.router.backends[0], "connecting", "econnrefused"),
                (other.as_backend(), "connected", "normal"),
            ],
        )

    async def test_client_leaves_during_it(self) -> None:
        """Rules 21, 23: a client that leaves while the fresh connection is being opened ends that too."""
        scene = await self.idle()
        scene.backend.pause_accepting()
        await self.dies(scene, GET)
        scene.client.abort()
        ending = await self.ending(scene.router)
        self.assertEqual((ending.state, ending.status), (("upstream", "closed"), "error"))
        scene.backend.resume_accepting()
        await self.turns()

    async def test_times_out(self) -> None:
        """Rules 23, 24: silence is not death: a pooled connection that answers too late is not retried."""
        scene = await self.idle(downstream_timeout=0.05)
        scene.client.send(GET)
        self.assertEqual((await scene.client.receive_response()).status, 503)
        self.assertEqual(
            await self.ending(scene.router), Ending("connected", ("downstream", "timeout"), "error")
        )
        self.assertEqual(len(scene.backend.connections), 1)
