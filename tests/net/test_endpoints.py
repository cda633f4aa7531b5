"""Listening, connecting and TLS: the same cases for Twisted's transports and for uvloop's."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from OpenSSL import crypto
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectError,
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionRefusedError,
    DNSLookupError,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import IListeningPort, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.ssl import Certificate as TwistedCertificate
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS, trustRootFromCertificates
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from tests.net.tls_sessions import CERTIFICATE
from tests.net.transport_peers import (
    NO_UVLOOP,
    FullListener,
    Peer,
    Recorder,
    Recorders,
    connected,
    lost,
    open_descriptors,
    plain_flavour,
    reactor,
    received,
    turn,
    turns,
    until,
    uvloop_flavour,
)
from vegurtx import BackendTLS
from vegurtx.net import endpoints
from vegurtx.net.endpoints import tcp_client, tcp_server, tls_client, tls_details, tls_server, unix_client
from vegurtx.net.uv.flavour import Flavour
from vegurtx.net.uv.names import Race
from vegurtx.testing import context_factory


def free_port() -> int:
    """A port on which nobody listens: bound for a moment by us, and not listened on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Resolver:
    """A resolver whose answers the test gives."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.asked: list[str] = []

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0) -> None:
        self.asked.append(hostName)
        receiver.resolutionBegan(self)
        for host in self.hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            receiver.addressResolved(kind("TCP", host, portNumber))
        receiver.resolutionComplete()


class EndpointContract:
    """The cases. Subclasses say which flavour, and are the `TestCase`."""

    timeout = 20

    def flavour(self) -> Flavour:
        raise NotImplementedError

    async def listen(self: Any, factory: Any, **how: Any) -> Any:
        port = await tcp_server(reactor, 0, flavour=self.flavour(), **how).listen(factory)
        self.addCleanup(port.stopListening)
        self.addCleanup(self.end_all, factory)
        return port

    async def end_all(self, factory: Any) -> None:
        for protocol in getattr(factory, "built", ()):
            if protocol.t is not None:
                protocol.t.abortConnection()
        await until(lambda: all(p.is_lost or p.t is None for p in getattr(factory, "built", ())))

    def dial(self: Any, port: int) -> Peer:
        sock = socket.create_connection(("127.0.0.1", port))
        self.addCleanup(sock.close)
        return Peer(sock)

    def client(self, port: int, host: str = "127.0.0.1", **how: Any) -> Any:
        return tcp_client(how.pop("of", reactor), host, port, flavour=self.flavour(), **how)

    # -- listening
    # -----------------------------------------------------------------------------------------------

    async def test_listening(self: Any) -> None:
        """A port says where it listens, gives each client a protocol with its address, and can be closed."""
        factory = Recorders()
        port = await self.listen(factory)
        self.assertTrue(verifyObject(IListeningPort, port))
        peer = self.dial(port.getHost().port)
        await until(lambda: factory.built)
        self.assertEqual(factory.addresses[0], IPv4Address("TCP", *peer.sock.getsockname()))
        number = port.getHost().port
        await port.stopListening()
        await port.stopListening()
        self.assertRaises(OSError, socket.create_connection, ("127.0.0.1", number))
        await peer.send(b"still here")  # connections outlive their port
        await until(lambda: factory.built[0].data == b"still here")

    async def test_ipv6(self: Any) -> None:
        """An IPv6 interface has IPv6 addresses."""
        factory = Recorders()
        port = await self.listen(factory, interface="::1")
        clients = Recorders()
        client = await self.client(port.getHost().port, host="::1").connect(clients)
        self.addCleanup(self.end_all, clients)
        await connected(factory)
        self.assertEqual(port.getHost(), IPv6Address("TCP", "::1", port.getHost().port))
        self.assertEqual(factory.built[0].t.getPeer(), client.t.getHost())
        self.assertIsInstance(client.t.getPeer(), IPv6Address)

    async def test_port_in_use(self: Any) -> None:
        """A port that is taken, or an interface that is no address, fails with `CannotListenError`."""
        port = await self.listen(Recorders())
        before = await open_descriptors()
        with self.assertRaises(CannotListenError) as caught:
            await tcp_server(reactor, port.getHost().port, flavour=self.flavour()).listen(Recorders())
        self.assertEqual(caught.exception.socketError.errno, errno.EADDRINUSE)
        for interface in ("not an address", "203.0.113.77"):
            with self.assertRaises(CannotListenError):
                await tcp_server(reactor, 0, interface, flavour=self.flavour()).listen(Recorders())
        self.assertLessEqual(await open_descriptors(before), before)

    async def test_a_socket_from_elsewhere(self: Any) -> None:
        """A bound socket can be taken over; closing the port does not stop others who have it."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        other = sock.dup()
        self.addCleanup(other.close)
        factory = Recorders()
        port = await self.listen(factory, sock=sock)
        number = port.getHost().port
        self.dial(number)
        await until(lambda: factory.built)
        await port.stopListening()
        self.assertEqual(sock.fileno(), -1)
        self.dial(number)

    async def test_accepting_can_be_held(self: Any) -> None:
        """Once the port is told to wait, not one client more is accepted; the others come in later."""

        factory = Recorders()
        ports: list[Any] = []

        def make() -> Recorder:
            if len(factory.built) == 2:
                endpoints.pause_accepting(ports[0])
            return Recorder()

        unwatched: list[Any] = []
        flavour: Any = self.flavour()
        real = flavour.unwatch_reads

        def unwatch(descriptor: Any) -> None:
            unwatched.append(descriptor)
            real(descriptor)

        flavour.unwatch_reads = unwatch
        self.patch(self, "flavour", lambda: flavour)
        factory.make = make
        port = await self.listen(factory)
        ports.append(port)
        peers = [self.dial(port.getHost().port) for _ in range(8)]
        await turns()
        self.assertEqual(len(factory.built), 3)
        self.assertIn("held", repr(port))
        self.assertEqual(unwatched, [port])  # or the reactor would spin
        factory.make = Recorder
        endpoints.resume_accepting(port)
        await until(lambda: len(factory.built) == 8)
        self.assertEqual(len(peers), 8)

    async def test_twisted_ports_can_be_held_too(self: Any) -> None:
        """`pause_accepting` and `resume_accepting` also work on what Twisted's endpoints make."""
        factory = Recorders()
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(self.end_all, factory)
        endpoints.pause_accepting(port)
        self.dial(port.getHost().port)
        await turns()
        self.assertEqual(factory.built, [])
        endpoints.resume_accepting(port)
        await connected(factory)

    async def test_out_of_descriptors(self: Any) -> None:
        """Without a free descriptor the port rests, its clients in the backlog; then it serves them."""
        factory = Recorders()
        port = await self.listen(factory)
        await turn()
        sock = socket.socket()
        self.addCleanup(sock.close)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        fillers: list[int] = []
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 2, limits[1])
        )
        try:
            while True:
                fillers.append(os.dup(sock.fileno()))
        except OSError:
            pass
        sock.connect(("127.0.0.1", port.getHost().port))
        await until(lambda: "resting" in repr(port))
        await turns()
        self.assertEqual(factory.built, [])
        for descriptor in fillers:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await connected(factory)

    async def test_stopping_while_it_rests(self: Any) -> None:
        """A port that rests, or is held, can be stopped, and then stays stopped."""
        port = await self.listen(Recorders())
        port._take_rest()
        await port.stopListening()
        port = await self.listen(Recorders())
        port._take_rest()
        port.pause_accepting()
        await port.stopListening()
        port.resume_accepting()
        self.assertIn("stopped", repr(port))

    async def test_factories_that_do_not_want(self: Any) -> None:
        """A factory that returns None or raises turns that client away; the next one is served."""
        factory = Recorders(lambda: None)
        port = await self.listen(factory)
        peer = self.dial(port.getHost().port)
        self.assertEqual(await peer.receive_all(), b"")
        factory.make = lambda: 1 // 0
        peer = self.dial(port.getHost().port)
        self.assertEqual(await peer.receive_all(), b"")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        factory.make = Recorder
        self.dial(port.getHost().port)
        await connected(factory)

    # -- connecting
    # ----------------------------------------------------------------------------------------------

    async def test_connecting(self: Any) -> None:
        """A client endpoint connects a protocol, and bytes go both ways."""
        factory, clients = Recorders(), Recorders()
        port = await self.listen(factory)
        endpoint = self.client(port.getHost().port)
        self.assertTrue(verifyObject(IStreamClientEndpoint, endpoint))
        client = await endpoint.connect(clients)
        self.addCleanup(self.end_all, clients)
        self.assertEqual(clients.addresses, [port.getHost()])
        self.assertTrue(client.t.getTcpNoDelay())
        client.t.write(b"to the server")
        await until(lambda: factory.built and factory.built[0].data == b"to the server")
        factory.built[0].t.write(b"to the client")
        await received(client, b"to the client")

    async def test_the_outcome_comes_later(self: Any) -> None:
        """Neither success nor failure comes before `connect` has returned."""
        port = await self.listen(Recorders())
        clients = Recorders()
        connecting = self.client(port.getHost().port).connect(clients)
        self.assertFalse(connecting.called)
        await connecting
        await self.end_all(clients)
        failing = self.client(free_port()).connect(clients)
        self.assertFalse(failing.called)
        await self.assertFailure(failing, ConnectionRefusedError)

    async def test_refused(self: Any) -> None:
        """Nobody listens: `ConnectionRefusedError`, with the kernel's number, and no descriptor is left."""
        before = await open_descriptors()
        for _ in range(200):
            problem = await self.assertFailure(
                self.client(free_port()).connect(Recorders()), ConnectionRefusedError
            )
        self.assertEqual(problem.osError, errno.ECONNREFUSED)
        self.assertLessEqual(await open_descriptors(before), before)

    async def test_time_out(self: Any) -> None:
        """No answer: `TimeoutError`, and no descriptor is left."""
        full = FullListener()
        self.addCleanup(full.close)
        before = await open_descriptors()
        await self.assertFailure(self.client(full.port, timeout=0.02).connect(Recorders()), TimeoutError)
        self.assertLessEqual(await open_descriptors(before), before)

    async def test_cancel(self: Any) -> None:
        """Cancelling gives the attempt up; 200 of them leave no descriptor."""
        full = FullListener()
        self.addCleanup(full.close)
        before = await open_descriptors()
        for _ in range(200):
            connecting = self.client(full.port).connect(Recorders())
            connecting.cancel()
            await self.assertFailure(connecting, ConnectingCancelledError)
        self.assertLessEqual(await open_descriptors(before), before)

    async def test_cancel_at_the_last_moment(self: Any) -> None:
        """Cancelled when the socket is connected, the protocol not yet: the protocol never hears of it."""
        factory, clients = Recorders(), Recorders()
        port = await self.listen(factory)
        before = await open_descriptors()
        connecting = self.client(port.getHost().port).connect(clients)
        self.assertEqual(len(clients.built), 1)
        connecting.cancel()
        await self.assertFailure(connecting, ConnectingCancelledError)
        await until(lambda: factory.built and factory.built[0].is_lost)
        self.assertEqual(clients.built[0].events, [])
        self.assertLessEqual(await open_descriptors(before), before)

    async def test_no_protocol(self: Any) -> None:
        """A factory that builds nothing, or raises, fails the connect."""
        port = await self.listen(Recorders())
        before = await open_descriptors()
        await self.assertFailure(
            self.client(port.getHost().port).connect(Recorders(lambda: None)), NoProtocol
        )
        failing: Any = Recorders(lambda: 1 // 0)
        await self.assertFailure(self.client(port.getHost().port).connect(failing), ZeroDivisionError)
        await turns(3)
        self.assertLessEqual(await open_descriptors(), before + 2)  # the server's ends may still be there

    async def test_connection_made_fails(self: Any) -> None:
        """What a client's `connectionMade` raises is logged, and fails the connect."""
        port = await self.listen(Recorders())

        def make() -> Recorder:
            recorder = Recorder()
            recorder.on_made = lambda it: 1 // 0
            return recorder

        clients = Recorders(make)
        await self.assertFailure(self.client(port.getHost().port).connect(clients), ZeroDivisionError)
        await until(lambda: clients.built[0].is_lost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_abort_when_made(self: Any) -> None:
        """A protocol that aborts in `connectionMade` is connected, and then lost."""
        port = await self.listen(Recorders())

        def make() -> Recorder:
            recorder = Recorder()
            recorder.on_made = lambda it: it.t.abortConnection()
            return recorder

        client = await self.client(port.getHost().port).connect(Recorders(make))
        await lost(client)
        client.reasons[0].trap(ConnectionAborted)

    async def test_options_and_local_address(self: Any) -> None:
        """Socket options are set before connecting, and the local address can be chosen."""
        factory, clients = Recorders(), Recorders()
        port = await self.listen(factory)
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        endpoint = self.client(port.getHost().port, socket_options=options, bind_address=("127.0.0.2", 0))
        client = await endpoint.connect(clients)
        self.addCleanup(self.end_all, clients)
        self.assertTrue(client.t.getTcpKeepAlive())
        self.assertEqual(client.t.getHost().host, "127.0.0.2")
        for address in ("203.0.113.77", "no address"):
            failing = self.client(port.getHost().port, bind_address=address).connect(Recorders())
            await self.assertFailure(failing, ConnectBindError)

    async def test_descriptors_of_clients(self: Any) -> None:
        """200 connections, closed from either side, leave no descriptor."""
        factory = Recorders()
        port = await self.listen(factory)
        endpoint = self.client(port.getHost().port)
        before = await open_descriptors()
        for number in range(200):
            clients = Recorders()
            client = await endpoint.connect(clients)
            await connected(factory, number + 1)
            (client if number % 2 else factory.built[number]).t.loseConnection()
            await lost(client, factory.built[number])
            client.reasons[0].trap(ConnectionDone)
        self.assertLessEqual(await open_descriptors(before), before)

    # -- names
    # ---------------------------------------------------------------------------------------------------

    async def test_a_name(self: Any) -> None:
        """A name goes to the reactor's resolver; an address that refuses gives way to the next one."""
        factory, clients = Recorders(), Recorders()
        port = await self.listen(factory)
        resolver = Resolver("127.0.0.3", "127.0.0.1")
        of = SimpleNamespace(nameResolver=resolver)
        client = await self.client(port.getHost().port, host="backend.test", of=of).connect(clients)
        self.addCleanup(self.end_all, clients)
        self.assertEqual(resolver.asked, ["backend.test"])
        self.assertEqual(client.t.getPeer().host, "127.0.0.1")

    async def test_a_silent_address(self: Any) -> None:
        """An address that does not answer does not hold up the next one, and its attempt is given up."""
        full = FullListener()
        self.addCleanup(full.close)
        self.patch(Race, "attempt_delay", 0.0)
        sock = socket.socket()
        sock.bind(("127.0.0.9", full.port))
        factory, clients = Recorders(), Recorders()
        await self.listen(factory, sock=sock)
        of = SimpleNamespace(nameResolver=Resolver("127.0.0.1", "127.0.0.9"))
        before = await open_descriptors()
        client = await self.client(full.port, host="backend.test", of=of).connect(clients)
        self.assertEqual(client.t.getPeer().host, "127.0.0.9")
        await self.end_all(clients)
        await until(lambda: factory.built and factory.built[0].is_lost)
        self.assertLessEqual(await open_descriptors(before), before)

    async def test_names_that_fail(self: Any) -> None:
        """No address: `DNSLookupError`. All refuse: the error of the first. None answers: `TimeoutError`."""
        nobody = SimpleNamespace(nameResolver=Resolver())
        await self.assertFailure(
            self.client(1, host="n.test", of=nobody).connect(Recorders()), DNSLookupError
        )
        refused = SimpleNamespace(nameResolver=Resolver("127.0.0.3", "127.0.0.4"))
        failing = self.client(free_port(), host="n.test", of=refused).connect(Recorders())
        problem = await self.assertFailure(failing, ConnectionRefusedError)
        self.assertEqual(problem.osError, errno.ECONNREFUSED)
        full = FullListener()
        self.addCleanup(full.close)
        silent = SimpleNamespace(nameResolver=Resolver("127.0.0.1"))
        before = await open_descriptors()
        failing = self.client(full.port, host="n.test", of=silent, timeout=0.02).connect(Recorders())
        await self.assertFailure(failing, TimeoutError)
        connecting = self.client(full.port, host="n.test", of=silent).connect(Recorders())
        connecting.cancel()
        await self.assertFailure(connecting, ConnectingCancelledError)
        self.assertLessEqual(await open_descriptors(before), before)

    # -- UNIX sockets
    # --------------------------------------------------------------------------------------------

    async def test_unix(self: Any) -> None:
        """A UNIX socket carries bytes both ways, half-closes, and has UNIX addresses."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            clients = Recorders()
            client: Any = await unix_client(reactor, path, flavour=self.flavour()).connect(clients)
            self.addCleanup(self.end_all, clients)
            peer = Peer(listener.accept()[0])
        self.addCleanup(peer.close)
        self.assertEqual(client.t.getPeer(), UNIXAddress(path.encode()))
        self.assertIsInstance(client.t.getHost(), UNIXAddress)
        client.t.write(b"q" * 1_000_000)
        self.assertEqual(len(await peer.receive(1_000_000)), 1_000_000)
        await peer.send(b"answer")
        peer.close()
        await lost(client)
        self.assertEqual(client.data, b"answer")
        self.assertIsInstance(client.t.getHost(), UNIXAddress)

    async def test_no_unix_socket(self: Any) -> None:
        """A path that leads nowhere fails with the kernel's number."""
        for path, number in (("/nonexistent/socket", errno.ENOENT), ("/" + "long" * 100, errno.EINVAL)):
            failing = unix_client(reactor, path, flavour=self.flavour()).connect(Recorders())
            problem = await self.assertFailure(failing, ConnectError)
            self.assertEqual(problem.osError, number)

    # -- TLS
    # -----------------------------------------------------------------------------------------------------

    def trusting(self: Any) -> BackendTLS:
        """TLS that trusts `CERTIFICATE`."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = Path(folder) / "ca.pem"
        path.write_bytes(CERTIFICATE.certificate)
        return BackendTLS(ca=str(path), server_name="backend.test")

    async def carries(self: Any, server_side: Any, client_side: Any) -> None:
        """TLS carries 2 MiB each way, tells its parameters, and ends in order."""
        server_endpoint = tls_server(reactor, 0, server_side, flavour=self.flavour())
        self.assertTrue(verifyObject(IStreamServerEndpoint, server_endpoint))
        factory, clients = Recorders(), Recorders()
        port: Any = await server_endpoint.listen(factory)
        self.addCleanup(port.stopListening)
        client_endpoint = tls_client(
            reactor, "127.0.0.1", port.getHost().port, options=client_side, flavour=self.flavour()
        )
        self.assertTrue(verifyObject(IStreamClientEndpoint, client_endpoint))
        client: Any = await client_endpoint.connect(clients)
        self.assertIs(client, clients.built[0])
        pattern = bytes(range(256)) * 8192
        client.t.write(pattern)
        await until(lambda: factory.built and len(factory.built[0].data) == len(pattern))
        server = factory.built[0]
        for transport in (server.t, client.t):
            details: Any = tls_details(transport)
            self.assertEqual((details.protocol, details.server_name), ("TLSv1.3", "backend.test"))
            self.assertEqual(details.application_protocol, "http/1.1")
            self.assertIn("AES", details.cipher)
        server.t.write(pattern)
        server.t.loseConnection()
        await lost(client, server)
        self.assertEqual((server.data, client.data), (pattern, pattern))
        client.reasons[0].trap(ConnectionDone)
        server.reasons[0].trap(ConnectionDone)
        self.assertIsNone(tls_details(server.t))

    async def test_tls(self: Any) -> None:
        """TLS of our own; a listener may have one context for all."""
        await self.carries(context_factory(CERTIFICATE), self.trusting())

    async def test_twisteds_tls(self: Any) -> None:
        """TLS options of Twisted's are taken on either side."""
        key, certificate = (
            crypto.load_privatekey(crypto.FILETYPE_PEM, CERTIFICATE.key),
            crypto.load_certificate(crypto.FILETYPE_PEM, CERTIFICATE.certificate),
        )
        protocols = [b"http/1.1"]
        server_side = CertificateOptions(
            privateKey=key, certificate=certificate, acceptableProtocols=protocols
        )
        trust = trustRootFromCertificates([TwistedCertificate(certificate)])
        client_side = optionsForClientTLS("backend.test", trustRoot=trust, acceptableProtocols=protocols)
        await self.carries(server_side, client_side)
        await self.carries(server_side, self.trusting())
        await self.carries(context_factory(CERTIFICATE), client_side)

    async def test_tls_certificate_is_verified(self: Any) -> None:
        """By default a client verifies the certificate; a bad one ends the connection with the reason."""
        factory, clients = Recorders(), Recorders()
        port: Any = await tls_server(reactor, 0, context_factory(CERTIFICATE), flavour=self.flavour()).listen(
            factory
        )
        self.addCleanup(port.stopListening)
        number = port.getHost().port
        endpoint = tls_client(reactor, "127.0.0.1", number, hostname="backend.test", flavour=self.flavour())
        client: Any = await endpoint.connect(clients)
        await until(lambda: client.is_lost and factory.built[0].is_lost)
        self.assertIn("certificate verify failed", repr(client.reasons[0].value))
        self.assertIn("unknown ca", str(factory.built[0].reasons[0].value))

    async def test_plain_has_no_tls_details(self: Any) -> None:
        """A plain connection has no TLS parameters."""
        factory = Recorders()
        port = await self.listen(factory)
        self.dial(port.getHost().port)
        await connected(factory)
        self.assertIsNone(tls_details(factory.built[0].t))


class PlainEndpointTests(EndpointContract, TestCase):
    """Twisted's transports, under whichever reactor the tests have."""

    def flavour(self) -> Flavour:
        return plain_flavour()


class UvloopEndpointTests(EndpointContract, TestCase):
    """uvloop's transports."""

    if NO_UVLOOP:
        skip = NO_UVLOOP

    def flavour(self) -> Flavour:
        return uvloop_flavour()
