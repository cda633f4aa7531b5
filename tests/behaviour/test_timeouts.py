"""Rule 24: every phase of a request has its timeout, each with the default that DESIGN.md names, and each ends both
sides.

The proxy's clock stands still here unless a test turns it, so that "just before" and "just after" are exact. (The
connect's timeout is in ``test_connect.py``, the pool's in ``test_pool.py``.)
"""

from __future__ import annotations

from tests.behaviour.conversation import (
    CHUNKED_POST,
    GET,
    GOOD,
    OK,
    Scene,
    Timed,
    post,
)
from vegurtx.testing import router_to
from vegurtx.testing.pattern import PATTERN

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"


class ClientConnections(Timed):
    """Rule 24: a client's connection without a request."""

    async def test_says_nothing(self) -> None:
        """Rule 24: a client that says nothing for 60 s (``timeout``) is closed, without a word."""
        for settings, limit in (({}, 60.0), ({"timeout": 10000}, 10.0)):
            with self.row(settings):
                proxy, client = await self.client_only(**settings)
                self.clock.advance(limit - 0.1)
                await self.turns()
                self.assertEqual(client.arrival.value, "open")
                self.clock.advance(0.2)
                self.assertEqual((await client.closed(), client.received), ("clean", b""))
                self.assertEqual(proxy.router.calls, [])

    async def test_between_requests(self) -> None:
        """Rule 24: the same between two requests; each request begins the time anew."""
        scene = await self.timed(keepalive="default")
        for _ in range(3):
            self.clock.advance(20)
            scene.server.send(OK)
            await scene.client.receive_response()
            self.clock.advance(59.9)
            scene.client.send(GET)
            await scene.server.receive_request()
        scene.server.send(OK)
        await scene.client.receive_response()
        self.clock.advance(59.9)
        await self.turns()
        self.assertEqual(scene.client.arrival.value, "open")
        self.clock.advance(0.2)
        self.assertEqual((await scene.client.closed(), scene.client.unread), ("clean", b""))

    async def test_head_deadline(self) -> None:
        """Rule 24, settled: a head has ``timeout`` in all, however steadily its bytes trickle in; then 408."""
        for settings, limit in (({}, 60.0), ({"timeout": 5000}, 5.0)):
            with self.row(settings):
                proxy, client = await self.client_only(**settings)
                head = GET[:-2] + b"X: " + b"x" * 100
                for at in range(9):
                    client.send(head[at : at + 1])
                    await self.turns()
                    self.clock.advance(limit / 10)
                client.send(head[9:])
                await self.turns()
                self.assertEqual(client.received, b"")
                self.clock.advance(limit / 10 + 0.1)
                response = await client.receive_response()
                self.assertEqual((response.status, response.header("Connection")), (408, "close"))
                await client.eof()
                self.assertEqual(proxy.router.calls, [])

    async def test_head_that_makes_it(self) -> None:
        """Rule 24: a slow head that is whole in time is a request as any other; the next has its own deadline."""
        backend = await self.backend()
        proxy, self.clock = await self.timed_proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        server = None
        for _ in range(3):
            for part in (GET[:10], GET[10:20], GET[20:]):
                client.send(part)
                await self.turns()
                self.clock.advance(29)
            server = server or await backend.accept()
            await server.receive_request()
            server.send(OK)
            self.assertEqual((await client.receive_response()).body, b"hi")

    async def test_lone_empty_line(self) -> None:
        """Rules 4, 24: an empty line before a request is the beginning of one."""
        _, client = await self.client_only()
        client.send(b"\r\n")
        await self.turns()
        self.clock.advance(60.1)
        self.assertEqual((await client.receive_response()).status, 408)

    async def test_client_that_never_reads(self) -> None:
        """Rule 24: what cannot be delivered to a client that must be closed does not stay for ever."""
        backend = await self.backend()
        proxy, self.clock = await self.timed_proxy(router_to(backend))
        client = await proxy.connect(receive_buffer=4096)
        client.pause()
        client.send(GET[:-2] + b"Connection: close\r\n\r\n")
        server = await backend.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(64):
            server.send(PATTERN[:262144])
            await self.turns(1)
        (connection,) = proxy.factory.connections
        self.assertTrue(connection.full)
        self.clock.advance(55.1)
        await self.assert_ends(proxy.router, "connected", ("undefined", "timeout"), "error")
        await self.turns(20)
        self.assertEqual(len(proxy.factory.connections), 1)  # what was written is still on its way
        self.clock.advance(60.1)
        await self.until(lambda: not proxy.factory.connections)


class Requests(Timed):
    """Rule 24: while the request goes out."""

    async def test_body_awaited(self) -> None:
        """Rule 24: a client that sends nothing of its body for 55 s (``idle_timeout``): ``("upstream", "timeout")``."""
        for settings, limit in (({}, 55.0), ({"idle_timeout": 10}, 10.0)):
            for request in (post(10), post(10) + b"hello", CHUNKED_POST + b"5\r\nhel"):
                with self.row(settings, request):
                    scene = await self.timed(request, whole=False, **settings)
                    await self.assert_alive_for(scene, limit - 0.1)
                    self.clock.advance(0.2)
                    await self.assert_answered(scene, ("upstream", "timeout"), keeps=False)

    async def test_body_keeps_coming(self) -> None:
        """Rule 24: each byte begins that time anew."""
        scene = await self.timed(post(10), whole=False)
        for _ in range(9):
            scene.client.send(b"x")
            await scene.server.expect(b"x")
            await self.assert_alive_for(scene, 54)
        self.clock.advance(1.1)
        await self.assert_answered(scene, ("upstream", "timeout"), keeps=False)

    async def test_back_end_takes_nothing(self) -> None:
        """Rule 24: where it is the back-end that takes nothing, it is to blame."""
        backend = await self.backend(receive_buffer=4096)
        proxy, self.clock = await self.timed_proxy(router_to(backend))
        scene = await self.scene(post(1 << 26), proxy=proxy, backend=backend, whole=False)
        scene.server.pause()
        for _ in range(64):
            scene.client.send(PATTERN[:262144])
            await self.turns(1)
        await self.assert_alive_for(scene, 54.9)
        self.clock.advance(0.2)
        response = await scene.client.receive_response()
        self.assertEqual((response.status, response.header("Connection")), (503, "close"))
        await self.assert_ends(scene.router, "connected", ("downstream", "timeout"), "error")
        scene.server.resume()
        self.assertEqual(await scene.server.closed(), "reset")

    async def test_continue_awaited(self) -> None:
        """Rules 8, 24: a client and a back-end that wait for each other do so for ``idle_timeout``."""
        backend = await self.backend()
        proxy, self.clock = await self.timed_proxy(router_to(backend, feature={"deep_continue"}))
        request = post(5)[:-2] + b"Expect: 100-continue\r\n\r\n"
        scene = await self.scene(request, proxy=proxy, backend=backend, whole=False)
        await self.assert_alive_for(scene, 54.9)
        self.clock.advance(0.2)
        self.assertEqual((await scene.client.receive_response()).status, 503)
        self.assertEqual((await self.ending(scene.router)).status, "error")
        self.assertEqual(await scene.server.closed(), "reset")


class Responses(Timed):
    """Rule 24: while the response comes."""

    FIRST = ("downstream", "timeout")
    IDLE = ("undefined", "timeout")

    async def test_first_byte(self) -> None:
        """Rule 24: no byte of a response for 30 s (``downstream_timeout``): ``("downstream", "timeout")``."""
        for settings, limit in (
            ({}, 30.0),
            ({"downstream_timeout": 10}, 10.0),
            ({"downstream_timeout": 90}, 90.0),
        ):
            for request in (GET, post(5) + b"hello", CHUNKED_POST + b"0\r\n\r\n"):
                for keepalive in (None, "default"):
                    with self.row(settings, request, keepalive):
                        scene = await self.timed(request, keepalive=keepalive, **settings)
                        await self.assert_alive_for(scene, limit - 0.1)
                        self.clock.advance(0.2)
                        await self.assert_answered(scene, self.FIRST, keeps=True)

    async def test_first_byte_after_the_upload(self) -> None:
        """Rule 24: that time begins when the request has gone out."""
        scene = await self.timed(post(5), whole=False)
        self.clock.advance(50)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        await self.assert_alive_for(scene, 29.9)
        self.clock.advance(0.2)
        await self.assert_answered(scene, self.FIRST, keeps=True)

    async def test_rest_of_the_head(self) -> None:
        """Rule 24: from the first byte on it is ``idle_timeout``: each byte begins it anew."""
        scene = await self.timed()
        self.clock.advance(29)
        for at in range(20):
            scene.server.send(OK[at : at + 1])
            await self.turns()
            await self.assert_alive_for(scene, 54)
        self.clock.advance(1.1)
        await self.assert_answered(scene, self.IDLE, keeps=True)

    async def test_short_rest_of_the_head(self) -> None:
        """Rule 24: also where ``idle_timeout`` is the shorter one."""
        for said in (
            b"H",
            OK[:20],
            b"HTTP/1.1 103 Early Hints\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP",
        ):
            with self.row(said):
                scene = await self.timed(idle_timeout=10)
                await self.assert_alive_for(scene, 15)
                scene.server.send(said)
                await self.turns()
                await self.assert_alive_for(scene, 9.9)
                self.clock.advance(0.2)
                await self.assert_answered(scene, self.IDLE, keeps=True)

    async def test_interim(self) -> None:
        """Rules 17, 24: an interim response is a byte of the response too."""
        hints = b"HTTP/1.1 103 Early Hints\r\n\r\n"
        scene = await self.timed()
        self.clock.advance(29)
        for _ in range(3):
            scene.server.send(hints)
            await scene.client.expect(hints)
            await self.assert_alive_for(scene, 54.9)
        self.clock.advance(0.2)
        await self.assert_answered(scene, self.IDLE, keeps=True)

    async def test_after_continue(self) -> None:
        """Rules 8, 24: a back-end that said 100 has ``downstream_timeout`` again when it has got the body."""
        backend = await self.backend()
        proxy, self.clock = await self.timed_proxy(router_to(backend, feature={"deep_continue"}))
        request = post(5)[:-2] + b"Expect: 100-continue\r\n\r\n"
        scene = await self.scene(request, proxy=proxy, backend=backend, whole=False)
        scene.server.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await scene.client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self.assert_alive_for(scene, 50)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        await self.assert_alive_for(scene, 29.9)
        self.clock.advance(0.2)
        await self.assert_answered(scene, self.FIRST, keeps=True)

    async def test_body(self) -> None:
        """Rule 24: in the middle of the body: broken off after ``idle_timeout``, in each framing."""
        for settings, limit in (({}, 55.0), ({"idle_timeout": 10}, 10.0)):
            for said in (OK[:-2], OK[:-1], CHUNKED, CHUNKED + b"5\r\nhel", b"HTTP/1.1 200 OK\r\n\r\nhi"):
                with self.row(settings, said):
                    scene = await self.timed(**settings)
                    scene.server.send(said)
                    await scene.client.receive_head()
                    await self.assert_alive_for(scene, limit - 0.1)
                    self.clock.advance(0.2)
                    await self.assert_broken_off(scene, self.IDLE)

    async def test_body_keeps_coming(self) -> None:
        """Rule 24: each byte begins that time anew, and in the end it is a good response."""
        for head, part, heard, last in [
            (OK[:-2].replace(b"2\r\n\r\n", b"5\r\n\r\n"), b"x", b"x", b"x"),
            (CHUNKED, b"1\r\nx\r\n", b"1\r\nx\r\n", b"0\r\n\r\n"),
            (CHUNKED, b"1;long=extension\r\nx\r\n", b"1\r\nx\r\n", b"0\r\n\r\n"),
        ]:
            with self.row(head, part):
                scene = await self.timed()
                scene.server.send(head)
                await scene.client.receive_head()
                for _ in range(4):
                    await self.assert_alive_for(scene, 54)
                    scene.server.send(part)
                    await scene.client.expect(heard)
                scene.server.send(last)
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_client_takes_nothing(self) -> None:
        """Rule 24: a client that does not read holds its back-end for ``idle_timeout``, not longer."""
        backend = await self.backend()
        proxy, self.clock = await self.timed_proxy(router_to(backend))
        client = await proxy.connect(receive_buffer=4096)
        client.pause()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        scene = Scene(backend, proxy.router, proxy, client, server, b"")
        server.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(64):
            server.send(PATTERN[:262144])
            await self.turns(1)
        await self.assert_alive_for(scene, 54.9)
        self.clock.advance(0.2)
        await self.assert_ends(proxy.router, "connected", self.IDLE, "error")
        await server.closed()

    async def test_byte_pipe(self) -> None:
        """Rules 9, 24: no byte either way for ``idle_timeout`` ends a byte pipe; each byte, either way, prolongs it."""
        scene = await self.timed(UPGRADE)
        scene.server.send(SWITCHED)
        await scene.client.receive_head()
        for _ in range(2):
            await self.assert_alive_for(scene, 54)
            scene.server.send(b"ping")
            await scene.client.expect(b"ping")
            await self.assert_alive_for(scene, 54)
            scene.client.send(b"pong")
            await scene.server.expect(b"pong")
        await self.assert_alive_for(scene, 54.9)
        self.clock.advance(0.2)
        await self.assert_broken_off(scene, self.IDLE)

    async def test_half_closed_pipe(self) -> None:
        """Rules 9, 24: one direction that has ended changes nothing of that."""
        scene = await self.timed(UPGRADE)
        scene.server.send(SWITCHED)
        await scene.client.receive_head()
        scene.client.half_close()
        await scene.server.eof()
        self.clock.advance(54.9)
        scene.server.send(b"more")
        await scene.client.expect(b"more")
        self.clock.advance(54.9)
        await self.turns()
        self.assertEqual(scene.router.count("terminate"), 0)
        self.clock.advance(0.2)
        await self.assert_ends(scene.router, "connected", self.IDLE, "error")


class NoLimit(Timed):
    """Rule 24: a setting of 0 is no limit."""

    async def test_zero(self) -> None:
        """Rule 24: with every timeout 0 a day is not too long, in any phase."""
        scene = await self.timed(post(10), whole=False, timeout=0, idle_timeout=0, downstream_timeout=0)
        await self.assert_alive_for(scene, 86400)
        scene.client.send(b"hello")
        await scene.server.expect(b"hello")
        await self.assert_alive_for(scene, 86400)
        scene.client.send(b"world")
        await scene.server.expect(b"world")
        await self.assert_alive_for(scene, 86400)
        scene.server.send(OK[:-1])
        await scene.client.receive_until(b"\r\n\r\nh")
        await self.assert_alive_for(scene, 86400)
        scene.server.send(b"i")
        await scene.client.expect(b"i")
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.clock.advance(86400)
        await self.turns()
        self.assertEqual(scene.client.arrival.value, "open")
