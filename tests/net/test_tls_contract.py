"""What a protocol may rely on in its transport, where that is TLS: the cases of any transport, and some more."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, INegotiated, IPushProducer, ISSLTransport
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from tests.net.test_transport_contract import MIB, PushProducer, TransportContract
from tests.net.tls_sessions import CERTIFICATE, Session, client_context
from tests.net.transport_peers import (
    NO_UVLOOP,
    Peer,
    Recorder,
    Recorders,
    connected,
    lost,
    open_descriptors,
    plain_flavour,
    reactor,
    received,
    turns,
    until,
    uvloop_flavour,
)
from vegurtx.net.endpoints import tls_server
from vegurtx.net.uv.batch import LENGTH
from vegurtx.net.uv.flavour import Flavour
from vegurtx.testing import context_factory


class TlsPeer:
    """The other end, with what a `Peer` has: a bare socket, and a session of Python's."""

    def __init__(self, sock: socket.socket, **limits: Any) -> None:
        self.sock = sock
        self._raw = Peer(sock)
        self.reset = self._raw.reset
        self.cut_off = self._raw.close  # without a word
        self.session = Session(client_context(**limits), name="backend.test")
        self._unsent = b""

    async def handshake(self) -> None:
        """Both sides have done theirs."""
        while not self.session.shake():
            await self.flush(self.session.taken())
            self.session.hear(await self._raw._some(65536))
        await self.flush(self.session.taken())

    def settle(self) -> None:
        """Read what is there: closing a socket in which bytes lie unread (tickets, in TLS 1.3) resets it."""
        with contextlib.suppress(BlockingIOError):
            while data := self.sock.recv(65536):
                self.session.hear(data)

    async def flush(self, more: bytes = b"") -> None:
        """All that is encrypted, however long the other end takes."""
        data, self._unsent = self._unsent + more, b""
        await self._raw.send(data)

    async def receive(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only behind a ``close_notify``, which is answered."""
        plain = self.session.plain
        while len(plain) < size and not self.session.ended:
            data = await self._raw._some(262144)
            if not data:
                raise ConnectionResetError("the stream was cut off")
            self.session.hear(data)
        if self.session.ended:
            await self.flush(self.session.goodbye())
        data = bytes(plain[:size])
        del plain[:size]
        return data

    async def send(self, data: bytes) -> None:
        """All of `data`, however long the other end takes."""
        for at in range(0, len(data), 65536):
            await self.flush(self.session.record(data[at : at + 65536]))

    async def receive_all(self) -> bytes:
        """All to the ``close_notify``; raises `ConnectionResetError` where there is none."""
        return await self.receive(1 << 62)

    def send_some(self, data: Any) -> int:
        """Some of `data`, if the kernel takes all that was encrypted before; `flush` sends the rest of it."""
        self._unsent = self._unsent[self._raw.send_some(self._unsent) :] if self._unsent else b""
        if self._unsent:
            return 0
        self._unsent = self.session.record(bytes(data))
        return len(data)

    def finish(self) -> None:
        """End our half, in order."""
        self.sock.send(self.session.goodbye())
        self._raw.finish()

    def close(self) -> None:
        """Close, in order."""
        if self.sock.fileno() != -1:
            self.sock.send(self.session.goodbye())
        self._raw.close()


class TlsContract(TransportContract):
    """The cases that differ, and those that only TLS has."""

    # TLS has no half-close, and is over a socket that the case of the descriptors makes otherwise.
    test_peer_half_closes = test_we_half_close = test_half_close_without_the_interface = None  # type: ignore[assignment]
    test_no_descriptor_is_left = None  # type: ignore[assignment]
    # How much a reset leaves of what came before it, is the kernel's choice: see test_tls_layer.
    test_bytes_before_a_break_are_delivered = None  # type: ignore[assignment]

    async def listening(self, factory: Any) -> tuple[str, int]:
        """The address of a port with TLS."""
        test: Any = self
        endpoint = tls_server(reactor, 0, context_factory(CERTIFICATE), flavour=self.flavour())
        port: Any = await endpoint.listen(factory)
        test.addCleanup(port.stopListening)
        return "127.0.0.1", port.getHost().port

    async def pair(self, make: Any = Recorder, **limits: Any) -> tuple[Any, Any]:
        """A recorder on TLS over a transport of the flavour, and its peer; both have done their handshakes."""
        test: Any = self
        factory = Recorders(make)
        sock = socket.create_connection(await self.listening(factory))
        test.addCleanup(sock.close)
        await connected(factory)
        test.addCleanup(self.end, factory.built[0])
        peer = TlsPeer(sock, **limits)
        if not factory.built[0].is_lost:
            await peer.handshake()
            await until(lambda: factory.built[0].is_lost or factory.built[0].t.getHandle().version())
            peer.settle()
        return factory.built[0], peer

    async def test_connection_made_fails(self: Any) -> None:
        """What `connectionMade` raises is logged, and the connection is dropped."""
        factory = Recorders(lambda: Failing())
        sock = socket.create_connection(await self.listening(factory))
        self.addCleanup(sock.close)
        await until(lambda: factory.built and factory.built[0].is_lost)
        factory.built[0].reasons[0].trap(ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_writing_after_the_end(self: Any) -> None:
        """Nothing on a closed transport raises, whichever way it closed."""
        for end in ("loseConnection", "abortConnection", "peer"):
            recorder, peer = await self.pair()
            if end == "peer":
                peer.close()
            else:
                getattr(recorder.t, end)()
            for _ in range(3):
                recorder.t.write(b"late")
                recorder.t.writeSequence([b"late", b"r"])
                recorder.t.pauseProducing()
                recorder.t.resumeProducing()
                recorder.t.loseConnection()
                recorder.t.loseWriteConnection()
                recorder.t.unregisterProducer()
                if end == "loseConnection":
                    self.assertEqual(await peer.receive_all(), b"")
                await lost(recorder)
            recorder.t.abortConnection()
            self.assertFalse(recorder.t.connected)
            self.assertEqual(recorder.events, ["made", "lost"])

    async def test_the_mark(self: Any) -> None:
        """64 KiB of records may wait before the producer has to, and not a write (or a batch of them) more."""
        recorder, _ = await self.pair()
        producer = PushProducer(recorder.t, 0)
        recorder.t.registerProducer(producer, True)
        for _ in range(64 * MIB // 1024):
            if producer.paused:
                break
            recorder.t.write(b"z" * 1024)
        self.assertEqual(producer.events, ["pause"])
        self.assertTrue(65536 < self.waiting(recorder.t.transport) <= 65536 + (1024 + 22) * self.batch)

    async def test_pausing_holds_the_peer(self: Any) -> None:
        """While reading is paused nothing is delivered; the peer can send what the kernel holds."""
        recorder, peer = await self.pair()
        recorder.t.pauseProducing()
        sent = 0
        while more := peer.send_some(b"s" * 65536):
            sent += more
        await turns()
        self.assertEqual(recorder.segments, 0)
        self.assertLess(sent, 16 * MIB)
        recorder.t.resumeProducing()
        await peer.flush()
        await until(lambda: len(recorder.data) == sent)

    async def test_end_with_unsent_bytes(self: Any) -> None:
        """The protocol ends with the peer's ``close_notify``, though bytes wait that the peer does not read."""
        for producing in (True, False):
            recorder, peer = await self.pair()
            if producing:
                recorder.t.registerProducer(PushProducer(recorder.t, 0), True)
            recorder.t.write(b"x" * 20_000_000)
            peer.finish()
            if not producing:  # nobody measures: they are sent, as Twisted does it
                await turns()
                self.assertFalse(recorder.is_lost)
                peer.cut_off()
            await lost(recorder)
            recorder.reasons[0].trap(ConnectionDone)

    async def test_socket_options(self: Any) -> None:
        """The socket's options can be read and set through TLS; the handle is the session."""
        recorder, _ = await self.pair()
        t = recorder.t
        self.assertTrue(t.getTcpNoDelay())
        t.setTcpNoDelay(False)
        t.setTcpKeepAlive(True)
        self.assertFalse(t.getTcpNoDelay())
        self.assertTrue(t.getTcpKeepAlive())
        self.assertEqual(t.getHandle().version(), "TLSv1.3")

    async def test_interfaces(self: Any) -> None:
        """It provides the interfaces of Twisted's TLS transport."""
        recorder, _ = await self.pair()
        for interface in (ISSLTransport, INegotiated, IConsumer, IPushProducer):
            self.assertTrue(verifyObject(interface, recorder.t))
        self.assertEqual(recorder.t.logPrefix(), "Recorder")
        self.assertEqual((bool(recorder.t.connected), bool(recorder.t.disconnecting)), (True, False))

    async def test_cut_off(self: Any) -> None:
        """A FIN that no ``close_notify`` came before is no clean end (RFC 8446, section 6.1)."""
        recorder, peer = await self.pair()
        await peer.send(b"the first hal")
        peer.cut_off()
        await lost(recorder)
        self.assertEqual(recorder.data, b"the first hal")
        recorder.reasons[0].trap(ConnectionLost)

    async def test_waits_for_the_answer(self: Any) -> None:
        """`loseConnection` closes only when the peer has said good-bye too; what it sends till then is dropped."""
        recorder, peer = await self.pair()
        recorder.t.loseConnection()
        await peer.send(b"late" * 10_000)
        await turns()
        self.assertFalse(recorder.is_lost)
        self.assertEqual(await peer.receive_all(), b"")  # answers
        await lost(recorder)
        self.assertEqual(recorder.data, b"")
        recorder.reasons[0].trap(ConnectionDone)

    async def test_close_while_paused(self: Any) -> None:
        """A protocol that does not read can close all the same."""
        recorder, peer = await self.pair()
        recorder.t.pauseProducing()
        recorder.t.loseConnection()
        self.assertEqual(await peer.receive_all(), b"")
        await lost(recorder)
        recorder.reasons[0].trap(ConnectionDone)

    async def test_versions(self: Any) -> None:
        """TLS 1.2 and 1.3 carry the same bytes."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            recorder, peer = await self.pair(maximum_version=version)
            pattern = bytes(range(256)) * 4096
            recorder.t.writeSequence([pattern[:10], pattern[10:70_000], memoryview(pattern)[70_000:]])
            self.assertEqual(await peer.receive(len(pattern)), pattern)
            await peer.send(pattern)
            await received(recorder, pattern)
            recorder.t.loseConnection()
            self.assertEqual(await peer.receive_all(), b"")

    async def test_no_tls_descriptor_is_left(self: Any) -> None:
        """50 connections of each kind of end leave no descriptor behind."""
        factory = Recorders()
        address = await self.listening(factory)
        before = await open_descriptors()
        for kind in ("lose", "abort", "peer closes", "peer resets", "peer cuts off", "in the handshake"):
            factory.built.clear()
            peers = [TlsPeer(socket.create_connection(address)) for _ in range(50)]
            await connected(factory, 50)
            for recorder, peer in zip(list(factory.built), peers, strict=True):
                if kind != "in the handshake":
                    await peer.handshake()
                    await until(lambda recorder=recorder: recorder.t.getHandle().version())
                    peer.settle()
            for recorder, peer in zip(list(factory.built), peers, strict=True):
                if kind == "abort":
                    recorder.t.abortConnection()
                elif kind == "peer resets":
                    peer.reset()
                elif kind == "peer closes":
                    peer.close()
                elif kind == "lose":
                    recorder.t.loseConnection()
                    await peer.receive_all()
                else:
                    peer.cut_off()
            await lost(*factory.built)
            for peer in peers:
                peer.cut_off()
            self.assertLessEqual(await open_descriptors(before), before, kind)


class Failing(Recorder):
    """Raises when it is connected."""

    def connectionMade(self) -> None:
        """Fail."""
        super().connectionMade()
        raise ZeroDivisionError


class PlainTlsTests(TlsContract, TestCase):
    """Over Twisted's transport, under whichever reactor the tests have."""

    def flavour(self) -> Flavour:
        return plain_flavour()

    def waiting(self, transport: Any) -> int:
        return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)


class UvloopTlsTests(TlsContract, TestCase):
    """Over uvloop's transport."""

    batch = LENGTH

    if NO_UVLOOP:
        skip = NO_UVLOOP

    def flavour(self) -> Flavour:
        return uvloop_flavour()

    def waiting(self, transport: Any) -> int:
        return int(transport._uv.get_write_buffer_size())
