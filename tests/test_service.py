"""The service, and `start_http`: a proxy that listens, and that stops without leaving anything."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from zope.interface import Invalid

import vegurtx
from vegurtx import SettingsError
from vegurtx.net.endpoints import tcp_server
from vegurtx.service import ProxyService, address_text, bound_socket, make_service, start_http
from vegurtx.testing import ProxyTestCase, ScriptedServer, answering, router_to

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class SlowEndpoint:
    """An endpoint whose Deferred the test fires."""

    def __init__(self) -> None:
        self.result: Deferred[Any] = Deferred()

    def listen(self, factory: object) -> Deferred[Any]:
        """See `IStreamServerEndpoint`."""
        return self.result


class FakePort:
    """Knows whether it was stopped."""

    stopped = False

    def stopListening(self) -> None:
        """See `IListeningPort`."""
        self.stopped = True


class ServiceCase(ProxyTestCase):
    """With an observer of the log."""

    def setUp(self) -> None:
        """Keep what is logged."""
        super().setUp()
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def logged(self) -> list[str]:
        """The service's lines."""
        return [
            formatEvent(event) for event in self.events if event.get("log_namespace") == "vegurtx.service"
        ]

    async def pooling_backend(self) -> ScriptedServer:
        """A back-end that answers everything."""
        return await self.backend(handler=answering(HELLO))


class Services(ServiceCase):
    """`make_service`."""

    def started(self, router: Any, **settings: Any) -> ProxyService:
        """A service on a free port of loopback, running."""
        service = make_service(router, settings, port=0, interface="127.0.0.1", reactor=self.reactor)
        service.startService()
        self.addCleanup(lambda: service.running and service.stopService())
        return service

    async def test_serves_and_stops(self) -> None:
        """When it has stopped there is no port, no connection on either side, no timer (the case looks for these)."""
        backend = await self.pooling_backend()
        service = self.started(router_to(backend, keepalive="default"))
        address = service.ports[0].getHost()
        client = await self.connect((address.host, address.port))
        client.send(GET)
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(self.logged(), [f"vegurtx listening on 127.0.0.1:{address.port}"])
        await service.stopService()
        await client.closed()
        await backend.connections[0].closed()
        self.assertEqual(service.ports, [])
        with self.assertRaises(OSError):
            await self.connect((address.host, address.port))

    async def test_settings(self) -> None:
        """They reach the factory, as a mapping too."""
        service = self.started(router_to(), idle_timeout="7")
        self.assertEqual(service.factory.settings.idle_timeout, 7.0)
        await service.stopService()

    async def test_bound_socket(self) -> None:
        """A socket that listens already is taken over: who came before the reactor did is served."""
        backend = await self.pooling_backend()
        sock = bound_socket("127.0.0.1", 0, 16)
        address = sock.getsockname()
        client = await self.connect(address)
        client.send(GET)
        service = make_service(router_to(backend), port=0, sock=sock, reactor=self.reactor)
        service.startService()
        self.assertEqual((await client.receive_response()).body, b"hi")
        await service.stopService()

    async def test_port_in_use(self) -> None:
        """Starting fails at once, for whoever has bound nothing before."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            service = make_service(router_to(), port=port, interface="127.0.0.1", reactor=self.reactor)
            self.assertRaises(CannotListenError, service.startService)

    async def test_late_failure(self) -> None:
        """An endpoint that fails later has its failure in the log."""
        endpoint = SlowEndpoint()
        service = ProxyService(Factory(), [endpoint])  # type: ignore[list-item]
        service.startService()
        endpoint.result.errback(CannotListenError("here", 1, OSError("no")))
        self.assertEqual([event["log_level"] for event in self.events[-1:]], [LogLevel.critical])
        self.assertIn("vegurtx cannot listen: Couldn't listen on here:1: no.", self.logged()[-1])
        self.assertEqual(len(self.flushLoggedErrors(CannotListenError)), 1)
        await service.stopService()

    async def test_stopped_before_it_listens(self) -> None:
        """A port that comes after the end is closed at once. A factory without ``stop`` is no problem."""
        endpoint, port = SlowEndpoint(), FakePort()
        service = ProxyService(Factory(), [endpoint])  # type: ignore[list-item]
        service.startService()
        await service.stopService()
        endpoint.result.callback(port)
        self.assertTrue(port.stopped)

    async def test_several_endpoints(self) -> None:
        """It listens on each."""
        backend = await self.pooling_backend()
        factory = vegurtx.ProxyFactory(router_to(backend), reactor=self.reactor)
        service = ProxyService(factory, [tcp_server(self.reactor, 0), tcp_server(self.reactor, 0)])
        service.startService()
        for port in list(service.ports):
            client = await self.connect((port.getHost().host, port.getHost().port))
            client.send(GET)
            self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(len(self.logged()), 2)
        await service.stopService()


class Starting(ServiceCase):
    """`start_http`."""

    async def test_serves(self) -> None:
        """A listening port, on all addresses where nobody says which."""
        backend = await self.pooling_backend()
        listening = await vegurtx.start_http(0, router_to(backend), reactor=self.reactor, idle_timeout=3)
        self.running(listening)
        address: Any = listening.getHost()
        self.assertEqual(address.host, "0.0.0.0")
        client = await self.connect(("127.0.0.1", address.port))
        client.send(GET)
        self.assertEqual((await client.receive_response()).body, b"hi")

    async def test_middlewares(self) -> None:
        """The chain can be given."""

        def teapot(request: Any) -> vegurtx.Response:
            return vegurtx.Response(418)

        listening = await start_http(
            0, router_to(), interface="127.0.0.1", middlewares=[teapot], reactor=self.reactor
        )
        client = await self.running(listening).connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).status, 418)

    async def test_port_in_use(self) -> None:
        """The Deferred fails."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            starting = start_http(port, router_to(), interface="127.0.0.1", reactor=self.reactor)
            await self.assertFailure(starting, CannotListenError)

    async def test_bad_arguments(self) -> None:
        """What is wrong in the program is raised at once."""
        self.assertRaises(SettingsError, start_http, 0, router_to(), reactor=self.reactor, idle_timeout=-1)
        self.assertRaises(SettingsError, start_http, 0, router_to(), reactor=self.reactor, nope=1)
        self.assertRaises(Invalid, start_http, 0, object(), reactor=self.reactor)


class Sockets(ServiceCase):
    """`bound_socket` and `address_text`."""

    def test_in_use(self) -> None:
        """Found out at once, although another socket is bound with ``SO_REUSEADDR`` too."""
        with bound_socket("127.0.0.1", 0, 1) as taken:
            port = taken.getsockname()[1]
            problem = self.assertRaises(CannotListenError, bound_socket, "127.0.0.1", port, 1)
            self.assertEqual((problem.interface, problem.port), ("127.0.0.1", port))

    def test_addresses(self) -> None:
        """IPv4, IPv6 and all; no names."""
        for interface, host in (("127.0.0.1", "127.0.0.1"), ("", "0.0.0.0"), ("::1", "::1"), ("::", "::")):
            with bound_socket(interface, 0, 1) as sock:
                self.assertEqual(sock.getsockname()[0], host)
                self.assertFalse(sock.getblocking())
        for interface in ("localhost", "1.2.3", "a\x00b", "ü" * 100):
            self.assertRaises(CannotListenError, bound_socket, interface, 0, 1)

    async def test_text(self) -> None:
        """IPv6 in brackets, so that the port can be told apart."""
        service = make_service(router_to(), port=0, interface="::1", reactor=self.reactor)
        service.startService()
        address = service.ports[0].getHost()
        self.assertEqual(address_text(address), f"[::1]:{address.port}")
        await service.stopService()
