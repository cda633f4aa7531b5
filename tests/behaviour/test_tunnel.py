"""Rule 9: the byte pipe that two connections become behind a 101. The way there: ``test_upgrade``."""

from __future__ import annotations

from typing import Any

from twisted.internet.ssl import CertificateOptions

from tests.behaviour.conversation import GOOD, Conversation, Ending, Scene
from vegurtx.testing import (
    RunningProxy,
    ScriptedServer,
    client_context,
    context_factory,
    router_to,
    self_signed,
    server_context,
)
from vegurtx.testing.pattern import PATTERN

ASKING = b"GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
MEGABYTE = PATTERN[: 1 << 20]


class Pipes(Conversation):
    """What these tests share."""

    async def pipe(
        self,
        *,
        proxy: RunningProxy | None = None,
        backend: ScriptedServer | None = None,
        keepalive: Any = None,
        **options: Any,
    ) -> Scene:
        """A client and a back-end with a pipe between them."""
        scene = await self.scene(ASKING, proxy=proxy, backend=backend, keepalive=keepalive, **options)
        scene.server.send(SWITCHING)
        self.assertEqual((await scene.client.receive_response()).status, 101)
        return scene

    async def timed_pipe(self, **settings: Any) -> tuple[Scene, Any]:
        """A pipe on a proxy whose clock the test turns."""
        backend = await self.backend()
        proxy, clock = await self.timed_proxy(router_to(backend), **settings)
        return await self.pipe(proxy=proxy, backend=backend), clock

    async def say(self, scene: Scene, from_client: bytes, from_server: bytes) -> None:
        """Bytes go over, each way."""
        scene.client.send(from_client)
        await scene.server.expect(from_client)
        scene.server.send(from_server)
        await scene.client.expect(from_server)

    def assert_open(self, scene: Scene) -> None:
        """The request has not ended, and no side has heard of an end."""
        self.assertEqual(scene.router.count("terminate"), 0)
        self.assertEqual(scene.router.count("checkin_service"), 0)
        self.assertEqual((scene.client.arrival.value, scene.server.arrival.value), ("open", "open"))


class Bytes(Pipes):
    """Rule 9: bytes go over as they come."""

    async def test_any_bytes(self) -> None:
        """Rule 9: no byte means anything to the proxy: neither control bytes, nor what looks like HTTP."""
        scene = await self.pipe()
        for data in (
            bytes(range(256)),
            b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            b"0\r\n\r\n",
            MEGABYTE,
        ):
            with self.row(data[:20]):
                await self.say(scene, data, data[::-1])
        self.assert_open(scene)
        self.assertEqual(len(scene.backend.connections), 1)
        self.assertEqual(scene.router.count("init"), 1)

    async def test_at_once(self) -> None:
        """Rule 9: each byte goes over without waiting for another."""
        scene = await self.pipe()
        for number in range(20):
            await self.say(scene, bytes([number]), bytes([255 - number]))

    async def test_early_bytes(self) -> None:
        """Rule 9: what both sides sent too soon comes first, in its order, and whole."""
        scene = await self.scene(ASKING + b"one ")
        scene.client.send(b"two ")
        await self.turns()
        self.assertEqual(scene.server.unread, b"")
        scene.server.send(SWITCHING + b"eins ")
        scene.server.send(b"zwei ")
        scene.client.send(b"three")
        scene.server.send(b"drei")
        await scene.server.expect(b"one two three")
        self.assertEqual((await scene.client.receive_response()).status, 101)
        await scene.client.expect(b"eins zwei drei")
        self.assert_open(scene)

    async def test_many_early_bytes(self) -> None:
        """Rule 9: so it is where they are more than the proxy holds: the rest waits with the client."""
        scene = await self.scene(ASKING)
        scene.client.send(MEGABYTE)
        await self.turns(20)
        self.assertEqual(scene.server.unread, b"")
        scene.server.send(SWITCHING + MEGABYTE)
        self.assertEqual((await scene.client.receive_response()).status, 101)
        self.assertEqual(await scene.server.receive(len(MEGABYTE)), MEGABYTE)
        self.assertEqual(await scene.client.receive(len(MEGABYTE)), MEGABYTE)
        await self.say(scene, b"ping", b"pong")

    async def test_both_ways_at_once(self) -> None:
        """Rule 9: the two directions do not wait for each other."""
        scene = await self.pipe()
        for _ in range(8):
            scene.client.send(MEGABYTE)
            scene.server.send(MEGABYTE[::-1])
        for _ in range(8):
            self.assertEqual(await scene.server.receive(len(MEGABYTE)), MEGABYTE)
            self.assertEqual(await scene.client.receive(len(MEGABYTE)), MEGABYTE[::-1])
        self.assert_open(scene)

    async def test_counted(self) -> None:
        """Rule 9: the request counts the pipe's bytes, on the back-end's side, heads included."""
        scene = await self.pipe()
        await self.say(scene, b"12345", b"1234567")
        scene.client.half_close()
        await scene.server.eof()
        scene.server.close()
        self.assertEqual(await self.ending(scene.router), GOOD)
        (request,) = scene.router.requests
        self.assertEqual(request.bytes_sent, len(scene.server.received))
        self.assertEqual(request.bytes_received, len(SWITCHING) + 7)

    async def test_unix_socket(self) -> None:
        """Rule 9: a back-end on a UNIX socket has its pipe, and its half-close, too."""
        backend = await self.backend(path=str(self.folder() / "socket"))
        scene = await self.pipe(backend=backend, proxy=await self.proxy(router_to(backend)))
        await self.say(scene, b"ping", b"pong")
        scene.client.half_close()
        await scene.server.eof()
        scene.server.send(b"last")
        scene.server.close()
        self.assertEqual(await scene.client.receive_all(), b"last")
        self.assertEqual(await self.ending(scene.router), GOOD)


class BackPressure(Pipes):
    """Rule 9: a side that does not read holds the other back, and nothing piles up between them."""

    async def assert_held(self, sender: Any, reader: Any, other_way: Any) -> None:
        """`sender` has far more to say than `reader`, which does not read, will take."""
        reader.pause()
        total = 24
        for _ in range(total):
            sender.send(MEGABYTE)
        await self.turns(200)
        waiting = len(sender._queue)
        self.assertGreater(waiting, 8 << 20)
        await self.turns(50)
        self.assertEqual(len(sender._queue), waiting)
        await other_way()
        reader.resume()
        for _ in range(total):
            self.assertEqual(await reader.receive(len(MEGABYTE)), MEGABYTE)

    async def test_slow_client(self) -> None:
        """Rule 9: while the client does not read, the back-end is not read; the other way goes on."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        client = await proxy.connect(receive_buffer=65536)
        client.send(ASKING)
        server = await backend.accept()
        await server.receive_request()
        server.send(SWITCHING)
        await client.receive_response()

        async def other_way() -> None:
            client.send(b"still here")
            await server.expect(b"still here")

        await self.assert_held(server, client, other_way)

    async def test_slow_back_end(self) -> None:
        """Rule 9: while the back-end does not read, the client is not read; the other way goes on."""
        backend = await self.backend(receive_buffer=65536)
        scene = await self.pipe(backend=backend, proxy=await self.proxy(router_to(backend)))

        async def other_way() -> None:
            scene.server.send(b"still here")
            await scene.client.expect(b"still here")

        await self.assert_held(scene.client, scene.server, other_way)

    async def test_end_behind_what_waits(self) -> None:
        """Rule 9: an end is carried over behind every byte that was sent before it, however slowly they are read."""
        backend = await self.backend(receive_buffer=65536)
        proxy = await self.proxy(router_to(backend))
        for side in ("client", "server"):
            with self.row(side):
                scene = await self.pipe(backend=backend, proxy=proxy)
                sender, reader = scene.client, scene.server
                if side == "server":
                    sender, reader = reader, sender
                reader.pause()
                for _ in range(8):
                    sender.send(MEGABYTE)
                sender.half_close()
                await self.turns(50)
                reader.resume()
                self.assertEqual(await reader.receive_all(), MEGABYTE * 8)
                reader.send(b"thanks")
                await sender.expect(b"thanks")
                reader.half_close()
                await sender.eof()
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_close_behind_what_waits(self) -> None:
        """Rule 9: so it is where a side closes altogether."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        for side in ("client", "server"):
            with self.row(side):
                scene = await self.pipe(backend=backend, proxy=proxy)
                sender, reader = scene.client, scene.server
                if side == "server":
                    sender, reader = reader, sender
                reader.pause()
                for _ in range(4):
                    sender.send(MEGABYTE)
                sender.close()
                await self.turns(50)
                reader.resume()
                self.assertEqual(await reader.receive_all(), MEGABYTE * 4)
                reader.close()
                self.assertEqual(await self.ending(scene.router), GOOD)


class Ends(Pipes):
    """Rule 9: an end is carried over, and the request ends when both directions have."""

    async def test_client_half_closes(self) -> None:
        """Rule 9: the client's end reaches the back-end, whose bytes still come home.

        Settled: `terminate` comes when both directions have ended.
        """
        scene = await self.pipe(keepalive="default")
        scene.client.send(b"last words")
        scene.client.half_close()
        self.assertEqual(await scene.server.receive_all(), b"last words")
        for _ in range(3):
            scene.server.send(b"answer")
            await scene.client.expect(b"answer")
            await self.turns()
        self.assertEqual(scene.router.count("terminate"), 0)
        self.assertEqual(scene.client.arrival.value, "open")
        scene.server.half_close()
        self.assertEqual(await scene.client.closed(), "clean")
        self.assertEqual(await scene.server.closed(), "clean")
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.assertEqual(len(scene.proxy.factory.client.pool), 0)

    async def test_back_end_half_closes(self) -> None:
        """Rule 9: the back-end's end reaches the client, whose bytes still go over.

        Settled: `terminate` comes when both directions have ended.
        """
        scene = await self.pipe(keepalive="default")
        scene.server.send(b"last words")
        scene.server.half_close()
        self.assertEqual(await scene.client.receive_all(), b"last words")
        for _ in range(3):
            scene.client.send(b"answer")
            await scene.server.expect(b"answer")
            await self.turns()
        self.assertEqual(scene.router.count("terminate"), 0)
        self.assertEqual(scene.server.arrival.value, "open")
        scene.client.half_close()
        self.assertEqual(await scene.server.closed(), "clean")
        self.assertEqual(await scene.client.closed(), "clean")
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.assertEqual(len(scene.proxy.factory.client.pool), 0)

    async def test_both_at_once(self) -> None:
        """Rule 9: two ends that cross are one good end."""
        scene = await self.pipe()
        scene.client.send(b"bye")
        scene.client.half_close()
        scene.server.send(b"ciao")
        scene.server.half_close()
        self.assertEqual(await scene.client.receive_all(), b"ciao")
        self.assertEqual(await scene.server.receive_all(), b"bye")
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_ends_with_the_101(self) -> None:
        """Rule 9: a back-end that switches, speaks and ends in one breath is heard."""
        scene = await self.scene(ASKING)
        scene.server.send(SWITCHING + b"short story")
        scene.server.half_close()
        self.assertEqual((await scene.client.receive_response()).status, 101)
        self.assertEqual(await scene.client.receive_all(), b"short story")
        scene.client.send(b"thanks")
        await scene.server.expect(b"thanks")
        scene.client.close()
        await scene.server.closed()
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_client_ended_before_the_101(self) -> None:
        """Rule 9: a client that had ended its direction before the 101 has its end carried over with the pipe."""
        scene = await self.scene(ASKING + b"all I have")
        scene.client.half_close()
        await self.until(lambda: next(iter(scene.proxy.factory.connections)).eof, "the client's end")
        self.assertEqual(scene.server.arrival.value, "open")
        scene.server.send(SWITCHING)
        self.assertEqual((await scene.client.receive_response()).status, 101)
        self.assertEqual(await scene.server.receive_all(), b"all I have")
        scene.server.send(b"and I you")
        scene.server.close()
        self.assertEqual(await scene.client.receive_all(), b"and I you")
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_a_side_closes(self) -> None:
        """Rule 9: a side that closes has the other side's connection ended when it closes too."""
        for side in ("client", "server"):
            with self.row(side):
                scene = await self.pipe()
                await self.say(scene, b"ping", b"pong")
                closing, other = scene.client, scene.server
                if side == "server":
                    closing, other = other, closing
                closing.close()
                await other.eof()
                self.assertEqual(scene.router.count("terminate"), 0)
                other.close()
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_speaking_to_one_that_is_gone(self) -> None:
        """Rule 9: who speaks on to a side that has closed is told that it is gone; both have ended."""
        for side in ("client", "server"):
            with self.row(side):
                scene = await self.pipe()
                closing, other = scene.client, scene.server
                if side == "server":
                    closing, other = other, closing
                closing.close()
                await other.eof()
                while not scene.router.count("terminate"):
                    other.send(
                        b"?"
                    )  # the kernel answers the first byte with a reset, and the second one meets it
                    await self.turns(5)
                self.assertEqual(await self.ending(scene.router), GOOD)
                await other.closed()


class Aborts(Pipes):
    """Rules 9 and 21: a pipe that breaks is broken on both sides, and no side takes it for an end."""

    async def test_client_aborts(self) -> None:
        """Rules 9 and 21: a client that resets has its back-end's side broken off: `("upstream", "closed")`."""
        scene = await self.pipe()
        await self.say(scene, b"ping", b"pong")
        scene.client.abort()
        self.assertEqual(await scene.server.closed(), "reset")
        reason = ("upstream", "closed")
        self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))
        self.assertEqual(scene.router.count("error_page"), 0)

    async def test_back_end_aborts(self) -> None:
        """Rules 9 and 21: a back-end that resets has its client's side broken off: `("downstream", "econnreset")`."""
        scene = await self.pipe()
        await self.say(scene, b"ping", b"pong")
        scene.server.abort()
        self.assertEqual(await scene.client.closed(), "reset")
        self.assertEqual(scene.client.unread, b"")
        reason = ("downstream", "econnreset")
        self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))
        self.assertEqual(scene.router.count("error_page"), 0)

    async def test_back_end_aborts_behind_its_last_words(self) -> None:
        """Settled: what had reached the proxy before the break is delivered, then the break."""
        scene = await self.pipe()
        scene.server.send(b"last words")
        await scene.client.expect(b"last words")
        scene.server.send(b"the very last")
        scene.server.abort()
        self.assertEqual(await scene.client.closed(), "reset")
        self.assertEqual(scene.client.unread, b"the very last")

    async def test_client_half_closes_and_the_back_end_aborts(self) -> None:
        """Rules 9 and 21: that the client had ended does not make a good end of the back-end's break."""
        scene = await self.pipe()
        scene.client.half_close()
        await scene.server.eof()
        scene.server.send(b"half of an ans")
        await scene.client.expect(b"half of an ans")
        scene.server.abort()
        self.assertEqual(await scene.client.closed(), "reset")
        reason = ("downstream", "econnreset")
        self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))

    async def test_back_end_half_closes_and_the_client_aborts(self) -> None:
        """Rules 9 and 21: nor does the back-end's end make one of the client's break."""
        scene = await self.pipe()
        scene.server.half_close()
        await scene.client.eof()
        scene.client.send(b"half of an ans")
        await scene.server.expect(b"half of an ans")
        scene.client.abort()
        self.assertEqual(await scene.server.closed(), "reset")
        reason = ("upstream", "closed")
        self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))

    async def test_with_much_on_its_way(self) -> None:
        """Rules 9 and 21: a break is a break also while a side does not read."""
        for side in ("client", "server"):
            with self.row(side):
                scene = await self.pipe()
                breaking, other = scene.client, scene.server
                if side == "server":
                    breaking, other = other, breaking
                breaking.pause()
                for _ in range(16):
                    other.send(MEGABYTE)
                await self.turns(50)
                breaking.abort()
                await other.closed()
                self.assertEqual((await self.ending(scene.router)).status, "error")

    async def test_the_proxy_stops(self) -> None:
        """Rule 21: a proxy that is stopped leaves no pipe behind."""
        scene = await self.pipe()
        scene.proxy.factory.stop()
        await scene.client.closed()
        await scene.server.closed()
        self.assertEqual((await self.ending(scene.router)).status, "error")


class Silence(Pipes):
    """Rules 9 and 24: `idle_timeout` holds for both directions together."""

    TIMEOUT = Ending("connected", ("undefined", "timeout"), "error")

    async def test_no_byte_either_way(self) -> None:
        """Rules 9 and 24: silence for `idle_timeout` ends the pipe on both sides."""
        scene, clock = await self.timed_pipe(idle_timeout=10)
        await self.say(scene, b"ping", b"pong")
        clock.advance(9)
        await self.turns()
        self.assert_open(scene)
        clock.advance(2)
        await scene.client.closed()
        await scene.server.closed()
        self.assertEqual(await self.ending(scene.router), self.TIMEOUT)
        self.assertEqual(scene.client.unread, b"")
        self.assertEqual(scene.router.count("error_page"), 0)

    async def test_at_once_after_the_101(self) -> None:
        """Rules 9 and 24: so it is where no byte ever comes."""
        scene, clock = await self.timed_pipe(idle_timeout=10)
        await self.turns()
        clock.advance(11)
        await scene.client.closed()
        await scene.server.closed()
        self.assertEqual(await self.ending(scene.router), self.TIMEOUT)

    async def test_one_direction_is_enough(self) -> None:
        """Rules 9 and 24: bytes either way keep the pipe: neither other timeout counts here."""
        for side in ("client", "server"):
            with self.row(side):
                scene, clock = await self.timed_pipe(idle_timeout=10, downstream_timeout=2, timeout=1000)
                sender, reader = scene.client, scene.server
                if side == "server":
                    sender, reader = reader, sender
                for _ in range(10):
                    clock.advance(9)
                    sender.send(b"tick")
                    await reader.expect(b"tick")
                self.assert_open(scene)
                clock.advance(11)
                self.assertEqual(await self.ending(scene.router), self.TIMEOUT)

    async def test_half_closed(self) -> None:
        """Rules 9 and 24: it holds for a pipe of which one direction has ended."""
        scene, clock = await self.timed_pipe(idle_timeout=10)
        scene.client.half_close()
        await scene.server.eof()
        clock.advance(9)
        scene.server.send(b"tick")
        await scene.client.expect(b"tick")
        clock.advance(9)
        await self.turns()
        self.assertEqual(scene.router.count("terminate"), 0)
        clock.advance(2)
        await scene.server.closed()
        self.assertEqual(await self.ending(scene.router), self.TIMEOUT)

    async def test_real_time(self) -> None:
        """Rules 9 and 24: the same by the clock on the wall."""
        scene = await self.pipe(idle_timeout=0.05)
        await scene.client.closed()
        await scene.server.closed()
        self.assertEqual(await self.ending(scene.router), self.TIMEOUT)

    async def test_no_limit(self) -> None:
        """Rules 9 and 24: without the setting a pipe may be silent for ever."""
        scene, clock = await self.timed_pipe(idle_timeout=0)
        clock.advance(80_000)
        await self.say(scene, b"ping", b"pong")
        self.assert_open(scene)


class Secure(Pipes):
    """Rules 9 and 26: a pipe of which one side is TLS, where an end is an end of both directions."""

    async def secure_pipe(self) -> Scene:
        """A pipe whose client speaks TLS."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend), tls=context_factory(self_signed("example.org")))
        client = await proxy.connect(tls=client_context(), server_name="example.org")
        client.send(ASKING)
        server = await backend.accept()
        request = await server.receive_request()
        server.send(SWITCHING)
        self.assertEqual((await client.receive_response()).status, 101)
        return Scene(backend, proxy.router, proxy, client, server, request)

    async def test_much(self) -> None:
        """Rules 9 and 26: bytes go over as on any pipe."""
        scene = await self.secure_pipe()
        for _ in range(4):
            scene.client.send(MEGABYTE)
            scene.server.send(MEGABYTE[::-1])
        self.assertEqual(await scene.server.receive(4 << 20), MEGABYTE * 4)
        self.assertEqual(await scene.client.receive(4 << 20), MEGABYTE[::-1] * 4)
        self.assert_open(scene)

    async def test_back_end_ends(self) -> None:
        """Rules 9 and 26: the back-end's end reaches the client as TLS says it, behind every byte."""
        scene = await self.secure_pipe()
        scene.server.send(MEGABYTE)
        scene.server.close()
        self.assertEqual(await scene.client.receive_all(), MEGABYTE)
        self.assertEqual(await scene.client.closed(), "clean")
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_client_ends(self) -> None:
        """Rules 9 and 26: the client's end reaches the back-end, behind every byte."""
        scene = await self.secure_pipe()
        scene.client.send(b"last words")
        scene.client.close()
        self.assertEqual(await scene.server.receive_all(), b"last words")
        scene.server.close()
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_client_aborts(self) -> None:
        """Rules 9, 21 and 26: a break is a break."""
        scene = await self.secure_pipe()
        scene.client.abort()
        await scene.server.closed()
        reason = ("upstream", "closed")
        self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))

    async def test_back_end_aborts(self) -> None:
        """Rules 9, 21 and 26: the client sees no `close_notify` where the back-end broke off."""
        scene = await self.secure_pipe()
        scene.server.send(b"half of an ans")
        await scene.client.expect(b"half of an ans")
        scene.server.abort()
        self.assertEqual(await scene.client.closed(), "reset")
        reason = ("downstream", "econnreset")
        self.assertEqual(await self.ending(scene.router), Ending("connected", reason, "error"))

    async def test_secure_back_end(self) -> None:
        """Rules 9 and 26: with TLS to the back-end, either side's end is the end of the pipe, in order."""
        backend = await self.backend(tls=server_context(self_signed("back.example"), self.folder()))
        router = router_to(backend.as_backend(tls=CertificateOptions(verify=False)))
        for side in ("client", "server"):
            with self.row(side):
                scene = await self.pipe(backend=backend, proxy=await self.proxy(router))
                await self.say(scene, b"ping", b"pong")
                sender, reader = scene.client, scene.server
                if side == "server":
                    sender, reader = reader, sender
                sender.send(MEGABYTE)
                await reader.receive(len(MEGABYTE))
                sender.send(b"last words")
                sender.close()
                self.assertEqual(await reader.receive_all(), b"last words")
                self.assertEqual(await reader.closed(), "clean")
                self.assertEqual(await self.ending(scene.router), GOOD)
