"""Settings take effect: those of sockets, on both sides of the proxy."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from functools import partial
from os import dup
from typing import Any

from tests.behaviour.conversation import GET, GOOD, OK, Conversation, Scene
from vegurtx import start_http, start_https, start_proxy
from vegurtx.net.endpoints import pause_accepting, resume_accepting
from vegurtx.net.proxied import ProxiedFactory
from vegurtx.service import bound_socket, make_service
from vegurtx.testing import RunningProxy, ScriptedConnection, answering, router_to
from vegurtx.testing.server import LOOPBACK
from vegurtx.testing.tls import self_signed

PROXY_HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 80\r\n"


def backlog_of(port: Any) -> int:
    """The backlog of a listening socket: the kernel tells it where a connection's ``tcpi_sacked`` stands."""
    with socket.socket(fileno=dup(port.fileno())) as sock:
        (backlog,) = struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 28)
    return int(backlog)


class Listening(Conversation):
    """``max_connections`` and ``acceptors``."""

    async def crowd(self, **settings: Any) -> tuple[RunningProxy, list[ScriptedConnection]]:
        """A proxy, and five clients who have connected and asked before it accepts the first of them."""
        backend = await self.backend(handler=answering(OK))
        port = await start_http(0, router_to(backend), interface=LOOPBACK, reactor=self.reactor, **settings)
        factory: Any = port.factory  # type: ignore[attr-defined]
        proxy = self.running(port, router=factory.router, factory=factory)
        pause_accepting(port)
        clients = [await proxy.connect() for _ in range(5)]
        for client in clients:
            client.send(GET)
        resume_accepting(port)
        return proxy, clients

    async def test_max_connections(self) -> None:
        """``max_connections`` are served; the others wait in the backlog, and come in one by one as others leave."""
        proxy, clients = await self.crowd(max_connections=2)
        for served in range(2, 6):
            for client in clients[served - 2 : served]:
                if not client.received:
                    self.assertEqual((await client.receive_response()).status, 200)
            await self.turns(5)
            self.assertEqual(
                [bool(client.received) for client in clients], [True] * served + [False] * (5 - served)
            )
            self.assertEqual(len(proxy.factory.connections), 2)
            clients[served - 2].close()
        await self.until(lambda: len(proxy.factory.connections) == 1)
        late = await proxy.connect()  # there is room again
        late.send(GET)
        self.assertEqual((await late.receive_response()).status, 200)

    async def test_enough_room(self) -> None:
        """With as many as ``max_connections`` nobody waits."""
        proxy, clients = await self.crowd(max_connections=5)
        for client in clients:
            self.assertEqual((await client.receive_response()).status, 200)
        self.assertEqual(len(proxy.factory.connections), 5)

    async def test_max_connections_behind_proxies(self) -> None:
        """A client that has not even sent its PROXY header counts, too."""
        backend = await self.backend(handler=answering(OK))
        port = await start_proxy(
            0, router_to(backend), interface=LOOPBACK, reactor=self.reactor, max_connections=1
        )
        listener: Any = port.factory  # type: ignore[attr-defined]
        assert isinstance(listener, ProxiedFactory)
        proxy = self.running(port, factory=listener.listener)
        silent, second = await proxy.connect(), await proxy.connect()
        second.send(PROXY_HEADER + GET)
        await self.until(lambda: len(proxy.factory.connections) == 1)
        await self.turns(5)
        self.assertEqual(second.received, b"")
        silent.close()
        self.assertEqual((await second.receive_response()).status, 200)

    async def test_acceptors(self) -> None:
        """``acceptors`` is the backlog that each kind of listener gives the kernel (Linux)."""
        files = [str(path) for path in self_signed("example.org").save(self.folder())]
        starts: list[Callable[..., Any]] = [
            start_http,
            start_proxy,
            partial(start_https, certificate=files[0], private_key=files[1]),
        ]
        for settings, backlog in (({}, 1024), ({"acceptors": 3}, 3)):
            for start in starts:
                with self.row(start, settings):
                    port = await start(0, router_to(), interface=LOOPBACK, reactor=self.reactor, **settings)
                    self.running(port)
                    self.assertEqual(backlog_of(port), backlog)
            service = make_service(router_to(), settings, port=0, interface=LOOPBACK, reactor=self.reactor)
            service.startService()
            self.assertEqual([backlog_of(port) for port in service.ports], [backlog])
            await service.stopService()
        sock = bound_socket(LOOPBACK, 0, 3)
        self.assertEqual(backlog_of(sock), 3)
        sock.close()


class BackEnds(Conversation):
    """What a back-end's socket is given before it connects."""

    async def option(self, level: int, name: int, **settings: Any) -> tuple[int, Scene]:
        """The socket option of the connection to the back-end, and the conversation that it is in."""
        scene = await self.scene(**settings)
        (relay,) = (each.handler for each in scene.proxy.factory.connections)
        handle = relay._link.transport.getHandle()
        return handle.getsockopt(level, name), scene

    async def test_client_tcp_buffer_limit(self) -> None:
        """``client_tcp_buffer_limit``: the receive buffer of a back-end's socket (the kernel doubles it)."""
        kernels, _ = await self.option(socket.SOL_SOCKET, socket.SO_RCVBUF, client_tcp_buffer_limit=2304)
        self.assertEqual(kernels, 2 * 2304)
        kernels, _ = await self.option(socket.SOL_SOCKET, socket.SO_RCVBUF, client_tcp_buffer_limit=100_000)
        self.assertEqual(kernels, 200_000)

    async def test_buffer_bounds_what_is_read(self) -> None:
        """A back-end cannot send more ahead than the buffers of a client that does not read hold."""
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
        stuck: list[int] = []
        for size in (4096, 4 << 20):
            _, scene = await self.option(socket.SOL_SOCKET, socket.SO_RCVBUF, client_tcp_buffer_limit=size)
            scene.client.receive_buffer(4096)
            scene.client.pause()
            scene.server.send(head + b"x" * 100_000_000)
            before = -1
            while before != len(scene.server._queue):
                before = len(scene.server._queue)
                await self.turns(20)
            stuck.append(100_000_000 - before)
            scene.client.abort()
            await self.ending(scene.router)
        self.assertLess(stuck[0] + (1 << 20), stuck[1])

    async def test_extra_socket_options(self) -> None:
        """``extra_socket_options`` are set on each back-end's socket, in whatever form they are given."""
        wanted = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        text = f"{socket.SOL_SOCKET}:{socket.SO_KEEPALIVE}:1"
        for given, value in (([], 0), ([wanted], 1), ([(*wanted[:2], b"\x01\0\0\0")], 1), (text, 1)):
            with self.row(given):
                found, scene = await self.option(
                    socket.SOL_SOCKET, socket.SO_KEEPALIVE, extra_socket_options=given
                )
                self.assertEqual(bool(found), bool(value))
                scene.server.send(OK)
                self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_extra_before_the_buffer(self) -> None:
        """Such an option comes after our own: it has the last word."""
        options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 9000)]
        kernels, _ = await self.option(socket.SOL_SOCKET, socket.SO_RCVBUF, extra_socket_options=options)
        self.assertEqual(kernels, 18_000)

    async def test_impossible_option(self) -> None:
        """What the kernel refuses is a failed connect, by the name of its errno; nothing hangs."""
        backend = await self.backend()
        router = router_to(backend)
        proxy = await self.proxy(router, extra_socket_options=[(socket.SOL_SOCKET, 9999, 1)])
        client = await proxy.connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).status, 503)
        self.assertEqual(
            [call.arguments[2:] for call in router.of("checkin_service")],
            [("connecting", "enoprotoopt"), ("checkout", "all_blocked")],
        )
        self.assertNotEqual(await self.ending(router), GOOD)
