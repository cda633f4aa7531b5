"""The proxy's end of a connection in memory, as any protocol of Twisted's meets it.

The cases are those of ``tests/net/test_transport_contract.py`` which have a meaning without sockets.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from vegurtx.net.endpoints import TlsDetails
from vegurtx.testing import MemoryConnection
from vegurtx.testing.memory.network import Network
from vegurtx.testing.memory.tls_transport import MemoryTlsTransport
from vegurtx.testing.memory.transport import BUFFER, MemoryTransport

US = IPv4Address("TCP", "198.51.100.1", 80)
THEM = IPv4Address("TCP", "192.0.2.1", 40000)


class Recorder(Protocol):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.events: list[str] = []
        self.reason: Any = None

    @property
    def t(self) -> Any:
        """The transport."""
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        self.data.append(data)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.events.append("lost")
        self.reason = reason.type

    def pauseProducing(self) -> None:
        self.events.append("pause")

    def resumeProducing(self) -> None:
        self.events.append("resume")

    def stopProducing(self) -> None:
        self.events.append("stop")


@implementer(IHalfCloseableProtocol)
class HalfRecorder(Recorder):
    """One that knows half-closed connections."""

    def readConnectionLost(self) -> None:
        self.events.append("read ended")

    def writeConnectionLost(self) -> None:
        self.events.append("write ended")


class Contract(SynchronousTestCase):
    """What a protocol may rely on."""

    def pair(self, recorder: Recorder | None = None) -> tuple[Any, MemoryConnection]:
        """A recorder on a transport, and its peer."""
        network = Network(Clock())
        peer = MemoryConnection(network, "peer")
        peer.transport = MemoryTransport(network, peer, US, THEM)
        made = HalfRecorder() if recorder is None else recorder
        peer.transport.open(made)
        return made, peer

    def test_interfaces(self) -> None:
        """It is what it says."""
        recorder, _ = self.pair()
        for interface in (ITCPTransport, IConsumer, IPushProducer):
            self.assertTrue(verifyObject(interface, recorder.t))
        self.assertEqual((recorder.t.getHost(), recorder.t.getPeer()), (US, THEM))
        network = Network(Clock())
        details = TlsDetails(None, None, None, None)
        tls = MemoryTlsTransport(network, MemoryConnection(network, "peer"), US, THEM, details)
        self.assertTrue(verifyObject(ISSLTransport, tls))

    def test_bytes(self) -> None:
        """`write` takes bytes and memoryviews, `writeSequence` several as one segment; text is refused."""
        recorder, peer = self.pair()
        recorder.t.write(b"one ")
        recorder.t.write(memoryview(b"two "))
        recorder.t.writeSequence([b"three ", b"four"])
        recorder.t.write(b"")
        self.assertEqual(peer.segments, [b"one ", b"two ", b"three four"])
        self.assertRaises(TypeError, recorder.t.write, "text")

    def test_what_is_written_leaves_at_once(self) -> None:
        """An abort in the same turn loses nothing that the peer had room for."""
        recorder, peer = self.pair()
        recorder.t.write(b"last words")
        recorder.t.abortConnection()
        self.assertEqual(
            (peer.received, peer.closed(), recorder.reason), (b"last words", "reset", ConnectionAborted)
        )

    def test_segments(self) -> None:
        """One send is one segment, the longest has 64 kB; none comes while another one is handled."""
        depth: list[int] = []

        class Answering(HalfRecorder):
            def dataReceived(self, data: bytes) -> None:
                depth.append(len(depth))
                super().dataReceived(data)
                self.t.write(b"x")
                depth.pop()

        recorder, peer = self.pair(Answering())
        peer.send(b"a" * (BUFFER + 1))
        peer.send(b"b")
        self.assertEqual([len(data) for data in recorder.data], [BUFFER, 1, 1])
        self.assertEqual((peer.segments, depth), ([b"x"] * 3, []))

    def test_pause(self) -> None:
        """A paused reader gets nothing, not even the end; then everything, in order."""
        recorder, peer = self.pair()
        recorder.t.pauseProducing()
        peer.send(b"a")
        peer.send(b"b")
        peer.half_close()
        self.assertEqual((recorder.data, recorder.events, peer.held_back, peer.unsent), ([], [], True, 2))
        recorder.t.resumeProducing()
        self.assertFalse(peer.held_back)
        self.assertEqual((recorder.data, recorder.events), ([b"a", b"b"], ["read ended"]))

    def test_pause_between_segments(self) -> None:
        """A protocol that pauses inside `dataReceived` gets no further segment."""

        class OneAtATime(HalfRecorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                self.t.pauseProducing()

        recorder, peer = self.pair(OneAtATime())
        peer.send(b"a")
        peer.send(b"b")
        self.assertEqual(recorder.data, [b"a"])
        recorder.t.resumeProducing()
        self.assertEqual((peer.unsent, recorder.data), (0, [b"a", b"b"]))

    def test_producer(self) -> None:
        """It is told once to wait, past 64 kB beyond the peer's window, and to go on when all is out."""
        recorder, peer = self.pair()
        recorder.t.registerProducer(recorder, True)
        self.assertRaises(RuntimeError, recorder.t.registerProducer, recorder, True)
        peer.pause()
        recorder.t.write(b"x" * peer.window)
        recorder.t.write(b"x" * BUFFER)
        self.assertEqual(recorder.events, [])
        recorder.t.write(b"x")
        recorder.t.write(b"x")
        self.assertEqual(recorder.events, ["pause"])
        peer.resume()
        self.assertEqual(recorder.events, ["pause", "resume"])
        self.assertEqual(len(peer.received), peer.window + BUFFER + 2)
        recorder.t.unregisterProducer()
        self.assertRaises(ValueError, recorder.t.registerProducer, recorder, False)

    def test_close(self) -> None:
        """What was written goes out first; the protocol hears of its end later, and its producer before."""
        recorder, peer = self.pair()
        recorder.t.registerProducer(recorder, True)
        peer.pause()
        recorder.t.write(b"x" * 100_000)
        recorder.t.loseConnection()
        recorder.t.write(b"too late")
        self.assertEqual((peer.arrival.value, recorder.events), ("open", []))
        peer.resume()
        self.assertEqual((len(peer.received), peer.closed()), (100_000, "clean"))
        self.assertEqual((recorder.events, recorder.reason), (["stop", "lost"], ConnectionDone))

    def test_close_is_a_step_of_its_own(self) -> None:
        """Neither `loseConnection` nor `abortConnection` calls the protocol back."""
        for end in ("loseConnection", "abortConnection"):
            recorder, peer = self.pair()
            getattr(recorder.t, end)()
            self.assertEqual(recorder.events, [])
            peer.closed()
            self.assertEqual(recorder.events, ["lost"])

    def test_close_beside_unread_bytes(self) -> None:
        """A reset, as from a kernel."""
        recorder, peer = self.pair()
        recorder.t.pauseProducing()
        peer.send(b"unread")
        recorder.t.loseConnection()
        self.assertEqual(peer.closed(), "reset")

    def test_reset_behind_what_was_written(self) -> None:
        """``SO_LINGER`` with zero seconds makes a reset of an orderly close."""
        for seconds, expected in ((0, "reset"), (5, "clean")):
            recorder, peer = self.pair()
            handle = recorder.t.getHandle()
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
            recorder.t.write(b"x")
            recorder.t.loseConnection()
            self.assertEqual((peer.closed(), peer.received), (expected, b"x"))

    def test_half_close(self) -> None:
        """Each direction ends by itself; what is written after the end of ours is dropped."""
        recorder, peer = self.pair()
        recorder.t.write(b"last")
        recorder.t.loseWriteConnection()
        recorder.t.write(b"too late")
        self.assertEqual(peer.receive_all(), b"last")
        peer.send(b"more")
        peer.half_close()
        self.assertEqual((recorder.data, recorder.events), ([b"more"], ["write ended", "read ended"]))
        recorder.t.loseConnection()
        self.assertEqual((peer.closed(), recorder.reason), ("clean", ConnectionDone))

    def test_peer_ends_and_the_protocol_knows_no_halves(self) -> None:
        """Then the whole connection is over."""
        recorder, peer = self.pair(Recorder())
        peer.half_close()
        self.assertEqual(
            (recorder.events, recorder.reason, peer.closed()), (["lost"], ConnectionDone, "clean")
        )

    def test_peer_resets(self) -> None:
        """The protocol gets what came before, then the loss."""
        recorder, peer = self.pair()
        peer.send(b"a")
        peer.abort()
        self.assertEqual((recorder.data, recorder.reason), ([b"a"], ConnectionLost))

    def test_write_finds_nobody(self) -> None:
        """A paused reader learns of a reset by writing, and is given what had come before."""
        for end in ("abort", "close"):
            recorder, peer = self.pair()
            recorder.t.pauseProducing()
            peer.send(b"a")
            getattr(peer, end)()
            self.assertEqual(recorder.events, [])
            recorder.t.write(b"anybody?")
            self.assertEqual(peer.received, b"")
            self.assertEqual((recorder.data, recorder.reason), ([b"a"], ConnectionLost))

    def test_peer_leaves_while_we_close(self) -> None:
        """An end in order that finds nobody to read it is a loss; nothing waits for ever."""
        for end in ("abort", "close"):
            recorder, peer = self.pair()
            peer.pause()
            recorder.t.write(b"x" * 100_000)
            recorder.t.loseConnection()
            getattr(peer, end)()
            self.assertEqual((recorder.events, recorder.reason), (["lost"], ConnectionLost))

    def test_after_the_end(self) -> None:
        """Calls are harmless, and a producer that comes too late is told to stop."""
        recorder, peer = self.pair()
        transport = recorder.t
        transport.loseConnection()
        peer.closed()
        for call in (
            "loseConnection",
            "abortConnection",
            "loseWriteConnection",
            "pauseProducing",
            "resumeProducing",
        ):
            getattr(transport, call)()
        transport.write(b"x")
        transport.registerProducer(recorder, True)
        peer.transport.arrive(b"x")
        self.assertEqual((recorder.events, recorder.data, peer.received), (["lost", "stop"], [], b""))
