"""Listeners: described, bound, and then served by one proxy, whatever they are."""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError

from vegurtx import ProxyFactory
from vegurtx.listeners import Kind, Listener, ListenerSpec, bind, bind_all
from vegurtx.net.binding import address_text, bound_socket, bound_unix_socket
from vegurtx.net.certificates import CertificateError
from vegurtx.net.endpoint_strings import EndpointError
from vegurtx.service import ProxyService
from vegurtx.testing import ProxyTestCase, answering, client_context, router_to, self_signed

HERE = "127.0.0.1"
GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HEADER = b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 443\r\n"


def endpoint(description: str) -> ListenerSpec:
    """The description of an endpoint."""
    return ListenerSpec(Kind.ENDPOINT, "", description=description)


class ListenerCase(ProxyTestCase):
    """Listeners that are closed after the test."""

    async def serving(self, *specs: ListenerSpec, **settings: Any) -> ProxyService:
        """A service with a back-end that answers, on each of `specs`."""
        self.back = await self.backend(handler=answering(OK))
        self.router = router_to(self.back, keepalive="default")
        factory = ProxyFactory(self.router, settings, reactor=self.reactor)
        service = ProxyService(factory, bind_all(specs, self.reactor, backlog=7))
        service.startService()
        self.addCleanup(lambda: service.running and service.stopService())
        return service

    def bound(self, spec: ListenerSpec, **options: Any) -> Listener:
        """`spec`, bound until the test is over."""
        listener = bind(spec, self.reactor, **options)
        self.addCleanup(listener.close)
        return listener

    async def ask(self, address: Any, before: bytes = b"", **options: Any) -> None:
        """A request, answered."""
        client = await self.connect(address, **options)
        client.send(before + GET)
        self.assertEqual((await client.receive_response()).body, b"hi")

    def saved(self, *names: str) -> tuple[Any, str, str]:
        """A certificate, and the paths of its files."""
        certificate = self_signed(*names)
        path, key = certificate.save(self.folder())
        return certificate, str(path), str(key)


class Serving(ListenerCase):
    """One proxy behind several doors."""

    async def test_all_kinds(self) -> None:
        """Each kind serves, all of them with one pool, and a connection knows its listener's label."""
        certificate, path, key = self.saved("a.example")
        file = str(self.folder() / "proxy.sock")
        specs = [
            ListenerSpec(Kind.HTTP, HERE),
            ListenerSpec(Kind.HTTPS, HERE, certificate=path, private_key=key),
            ListenerSpec(Kind.PROXY, HERE),
            endpoint(f"tcp:0:interface={HERE}"),
            endpoint("tcp6:0:interface=\\:\\:1"),
            endpoint(f"unix:{file}"),
            endpoint(f"ssl:0:interface={HERE}:privateKey={key}:certKey={path}"),
            endpoint(f"haproxy:tcp:0:interface={HERE}"),
        ]
        service = await self.serving(*specs)
        labels = []
        for spec, port in zip(specs, service.ports, strict=True):
            host = port.getHost()
            address = file if spec.description.startswith("unix") else (host.host, host.port)
            tls = spec.kind is Kind.HTTPS or spec.description.startswith("ssl")
            proxied = spec.kind is Kind.PROXY or spec.description.startswith("haproxy")
            options = {"tls": client_context(certificate), "server_name": "a.example"} if tls else {}
            before = set(service.factory.connections)
            await self.ask(address, HEADER if proxied else b"", **options)
            (connection,) = service.factory.connections - before
            labels.append(connection.factory.label)
            self.assertEqual(self.router.requests[-1].tls is not None, tls)
            self.assertEqual(self.router.requests[-1].proxy_peer is not None, proxied)
        self.assertEqual(labels, ["http", "https", "proxy", *(spec.description for spec in specs[3:])])
        self.assertEqual(len(self.back.connections), 1)
        await service.stopService()

    async def test_max_connections_is_for_all(self) -> None:
        """A client of one listener leaves no room for one of the other."""
        service = await self.serving(
            ListenerSpec(Kind.HTTP, HERE), endpoint(f"tcp:0:interface={HERE}"), max_connections=1
        )
        first, second = ((HERE, port.getHost().port) for port in service.ports)
        one = await self.connect(first)
        await self.until(lambda: service.factory.connections)
        other = await self.connect(second)
        other.send(GET)
        await self.turns(5)
        self.assertEqual(other.received, b"")
        one.close()
        self.assertEqual((await other.receive_response()).body, b"hi")
        await service.stopService()

    async def test_one_stops(self) -> None:
        """A port that stops listening takes no other with it, nor a connection of its own."""
        service = await self.serving(ListenerSpec(Kind.HTTP, HERE), ListenerSpec(Kind.HTTP, HERE))
        first, second = ((HERE, port.getHost().port) for port in service.ports)
        client = await self.connect(first)
        await self.until(lambda: service.factory.connections)
        await service.ports[0].stopListening()
        with self.assertRaises(OSError):
            await self.connect(first)
        client.send(GET)
        self.assertEqual((await client.receive_response()).body, b"hi")
        await self.ask(second)
        await service.stopService()

    async def test_the_bound_socket_is_served(self) -> None:
        """Not another one: who has come before the start is served, and the port stays the same."""
        listener = self.bound(ListenerSpec(Kind.HTTP, HERE))
        assert listener.sock is not None
        address = listener.sock.getsockname()
        early = await self.connect(address)
        early.send(GET)
        back = await self.backend(handler=answering(OK))
        service = ProxyService(ProxyFactory(router_to(back), reactor=self.reactor), [listener])
        service.startService()
        self.assertEqual((service.ports[0].getHost().host, service.ports[0].getHost().port), address)
        self.assertIs(listener.sock, None)
        self.assertEqual((await early.receive_response()).body, b"hi")
        await service.stopService()

    async def test_the_bound_socket_speaks_tls(self) -> None:
        """The same, with a certificate."""
        certificate, path, key = self.saved("a.example")
        listener = self.bound(ListenerSpec(Kind.HTTPS, HERE, certificate=path, private_key=key))
        assert listener.sock is not None
        address = listener.sock.getsockname()
        back = await self.backend(handler=answering(OK))
        service = ProxyService(ProxyFactory(router_to(back), reactor=self.reactor), [listener])
        service.startService()
        await self.ask(address, tls=client_context(certificate), server_name="a.example")
        await service.stopService()

    async def test_a_socket_from_elsewhere(self) -> None:
        """Every kind takes a socket that another process has bound and handed on."""
        _, path, key = self.saved("a.example")
        for spec in (
            ListenerSpec(Kind.HTTP, HERE, 1),
            ListenerSpec(Kind.HTTPS, HERE, 1, certificate=path, private_key=key),
            endpoint(f"tcp:1:interface={HERE}"),
            endpoint(f"ssl:1:interface={HERE}:privateKey={key}:certKey={path}"),
            endpoint("unix:/nowhere/at/all"),
        ):
            sock = bound_socket(HERE, 0, 1)
            self.assertIs(self.bound(spec, sock=sock).sock, sock)

    async def test_certificates_are_read_again(self) -> None:
        """Those of the HTTPS listener; a connection that stands keeps its own."""
        first, path, key = self.saved("a.example")
        service = await self.serving(ListenerSpec(Kind.HTTPS, HERE, certificate=path, private_key=key))
        address = (HERE, service.ports[0].getHost().port)
        client = await self.connect(address, tls=client_context(first), server_name="a.example")
        second = self_signed("a.example")
        second.save(Path(path).parent)
        (certificates,) = service.certificates
        certificates.reload()
        await self.ask(address, tls=client_context(second), server_name="a.example")
        client.send(GET)
        self.assertEqual((await client.receive_response()).body, b"hi")
        await service.stopService()


class Binding(ListenerCase):
    """What is wrong shows at once, and nothing stays behind."""

    def test_backlog(self) -> None:
        """The setting's, unless the description has one of its own (Linux: ``ss`` reads it from there)."""
        asked: list[int] = []
        self.patch(socket.socket, "listen", lambda sock, backlog: asked.append(backlog))
        for description in (f"tcp:0:interface={HERE}", f"tcp:0:interface={HERE}:backlog=9"):
            self.bound(endpoint(description), backlog=7)
        self.assertEqual(asked, [7, 9])

    def test_all_or_none(self) -> None:
        """Where one cannot be bound, those before it are closed."""
        path = self.folder() / "proxy.sock"
        specs = [endpoint(f"unix:{path}"), endpoint("tcp:nonsense")]
        self.assertRaises(EndpointError, bind_all, specs, self.reactor)
        self.assertFalse(path.exists())

    def test_in_use(self) -> None:
        """Each kind says so."""
        _, path, key = self.saved("a.example")
        with bound_socket(HERE, 0, 1) as taken:
            port = taken.getsockname()[1]
            for spec in (
                ListenerSpec(Kind.HTTP, HERE, port),
                ListenerSpec(Kind.HTTPS, HERE, port, certificate=path, private_key=key),
                ListenerSpec(Kind.PROXY, HERE, port),
                endpoint(f"tcp:{port}:interface={HERE}"),
                endpoint(f"haproxy:tcp:{port}:interface={HERE}"),
            ):
                problem = self.assertRaises(CannotListenError, bind, spec, self.reactor)
                self.assertEqual((problem.interface, problem.port), (HERE, port))

    def test_bad_descriptions(self) -> None:
        """One line that quotes the description."""
        certificate, _, _ = self.saved("a.example")
        folder = self.folder()
        path, _ = certificate.save(folder)
        (folder / "other.key").write_bytes(self_signed("b.example").key)
        for description, said in (
            ("8080", "Unknown endpoint type: '8080'"),
            ("", "Unknown endpoint type: ''"),
            ("nope:1", "Unknown endpoint type: 'nope'"),
            ("haproxy:nope:1", "Unknown endpoint type: 'nope'"),
            ("tcp", "too few or too many arguments"),
            ("tcp:http", "'http'"),
            ("tcp:1:colour=blue", "'colour'"),
            ("systemd:domain=INET:index=0", "no such socket was passed to this process"),
            ("ssl:0:privateKey=/nowhere/key", "/nowhere/key: No such file or directory"),
            (f"ssl:0:privateKey={folder / 'other.key'}", "no PEM certificate with its private key"),
            (
                f"ssl:0:privateKey={folder / 'other.key'}:certKey={path}",
                "do not match",
            ),
        ):
            text = str(self.assertRaises(EndpointError, bind, endpoint(description), self.reactor))
            self.assertTrue(text.startswith(repr(description)), text)
            self.assertIn(said, text)
            self.assertNotIn("\n", text)

    def test_ports(self) -> None:
        """A number that is no port is not taken for another one."""
        for port in (65536, 65536 + 8080, -1):
            self.assertRaises(CannotListenError, bind, endpoint(f"tcp:{port}"), self.reactor)

    def test_bad_certificate(self) -> None:
        """The certificate is looked at before the port is taken."""
        spec = ListenerSpec(Kind.HTTPS, HERE, certificate="/nowhere/cert")
        self.assertRaises(CertificateError, bind, spec, self.reactor)

    def test_description_is_plain(self) -> None:
        """It can be compared, and does not change."""
        spec = ListenerSpec(Kind.HTTP, HERE, 1)
        self.assertEqual(spec, ListenerSpec(Kind.HTTP, HERE, 1))
        with self.assertRaises(FrozenInstanceError):
            spec.port = 2  # type: ignore[misc]


class UnixSockets(ListenerCase):
    """The files of UNIX sockets come and go with the listener."""

    def setUp(self) -> None:
        """A path."""
        super().setUp()
        self.path = self.folder() / "proxy.sock"

    async def test_removed_in_the_end(self) -> None:
        """When the service has stopped; before, others are told that it is in use."""
        service = await self.serving(endpoint(f"unix:{self.path}:mode=600"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(address_text(service.ports[0].getHost()), f"unix:{self.path}")
        problem = self.assertRaises(CannotListenError, bind, endpoint(f"unix:{self.path}"), self.reactor)
        self.assertEqual((problem.interface, problem.port), ("unix", str(self.path)))
        await self.ask(str(self.path))
        await service.stopService()
        self.assertFalse(self.path.exists())

    def test_left_behind(self) -> None:
        """A file that nobody listens on any more is replaced."""
        bound_unix_socket(str(self.path), 1).close()
        self.assertTrue(self.path.exists())
        self.bound(endpoint(f"unix:{self.path}"))

    def test_busy(self) -> None:
        """One whose backlog is full is in use."""
        with bound_unix_socket(str(self.path), 0), socket.socket(socket.AF_UNIX) as first:
            first.setblocking(False)
            first.connect(str(self.path))
            self.assertRaises(CannotListenError, bound_unix_socket, str(self.path), 1)
        self.assertTrue(self.path.exists())

    def test_another_file(self) -> None:
        """A file that is no socket is left alone."""
        self.path.write_text("precious")
        self.assertRaises(CannotListenError, bound_unix_socket, str(self.path), 1)
        self.assertEqual(self.path.read_text(), "precious")

    def test_impossible(self) -> None:
        """A path that is too long, or whose folder is not there."""
        for path in ("/nowhere/at/all", "/tmp/" + "x" * 200, "a\x00b"):
            self.assertRaises(CannotListenError, bound_unix_socket, path, 1)
