"""`TlsLayer` over a transport in memory: how a connection begins and ends, and what its protocol is told."""

from __future__ import annotations

import gc
import ssl
import sys
import weakref
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.net.tls_layered import Layered, Producer, Wire
from tests.net.tls_sessions import CERTIFICATE, Session, client_context, server_context
from tests.net.transport_peers import Recorder, Recorders
from vegurtx.net.tls.factories import TlsServerFactory
from vegurtx.net.tls.layer import HANDSHAKE_LIMIT, RECORD, SLICE, TlsLayer
from vegurtx.net.tls.refusals import PAUSE, Refusals
from vegurtx.net.tls.server_context import FixedContext
from vegurtx.net.tls.words import alert_of
from vegurtx.testing import context_factory


@implementer(IHandshakeListener)
class Told(Recorder):
    """Is told of the handshake."""

    def handshakeCompleted(self) -> None:
        """TLS stands."""
        self.events.append("handshake")


class Ends(Layered):
    """How it ends, and what the protocol is told."""

    def test_cut_off(self) -> None:
        """An end without ``close_notify`` is `ConnectionLost`, whatever the transport says (rule 21)."""
        for kind in (ConnectionDone, ConnectionLost):
            self.begin()
            self.shake(b"half")
            self.assertIs(type(self.lose(kind)), ConnectionLost)

    def test_reset_behind_goodbye(self) -> None:
        """A reset behind the ``close_notify`` takes nothing back."""
        self.shake(b"all")
        self.give(self.client.goodbye())
        self.assertIsInstance(self.lose(ConnectionLost), ConnectionDone)

    def test_alert(self) -> None:
        """A fatal alert is no end in order, and is told in one line."""
        said: list[str] = []
        self.layer.complain = said.append
        self.shake()
        self.give(self.alert())
        self.assertTrue(self.wire.disconnecting)
        self.assertIsInstance(self.lose(ConnectionDone), ssl.SSLError)
        self.assertEqual(said, ["has ended TLS with the alert 'bad record mac'"])

    def test_words(self) -> None:
        """Alerts and errors in words."""
        for reason, told in [
            ("TLSV1_ALERT_UNKNOWN_CA", "unknown authority"),
            ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate required"),
            ("WRONG_VERSION_NUMBER", None),
            (None, None),
        ]:
            error = ssl.SSLError()
            error.reason = reason  # type: ignore[assignment]
            self.assertEqual(alert_of(error), told)

    def test_broken_record(self) -> None:
        """A record that was tampered with ends it; what came before is delivered, and an alert goes out."""
        for size in (10, 2 * SLICE):
            self.begin()
            self.shake()
            self.heard()
            good, bad = self.client.record(b"g" * size), bytearray(self.client.record(b"bad"))
            bad[-1] ^= 1
            self.give(good + bytes(bad))
            self.assertEqual(bytes(self.protocol.data), b"g" * size)
            self.assertRaises(ssl.SSLError, self.heard)
            self.assertTrue(self.wire.disconnecting)
            self.give(b"more")
            self.assertIsInstance(self.lose(ConnectionDone), ssl.SSLError)

    def test_aborted_before_the_break(self) -> None:
        """A protocol that gives up while the rest of the segment is broken, has given up."""
        self.shake()
        bad = bytearray(self.client.record(b"good") + self.client.record(b"bad"))
        bad[-1] ^= 1
        self.protocol.on_data = lambda _: self.layer.abortConnection()
        self.give(bytes(bad))
        self.assertEqual(self.protocol.data, b"good")
        self.assertIsInstance(self.lose(ConnectionAborted), ConnectionAborted)

    def test_lost_while_writing(self) -> None:
        """A transport may find, in the middle of a write, that it is gone."""
        self.shake()
        self.layer._send = lambda _: self.layer.connectionLost(Failure(ConnectionLost()))
        self.layer.write(b"x" * 3 * SLICE)
        self.assertEqual(self.protocol.events, ["made", "lost"])

    def test_we_close(self) -> None:
        """`loseConnection` says good-bye, drops what still comes, and closes when it is answered."""
        self.shake()
        self.layer.write(b"last")
        self.layer.loseConnection()
        self.layer.loseConnection()
        self.layer.write(b"too late")
        self.assertEqual((self.heard(), self.client.ended), (b"last", True))
        self.give(self.client.record(b"dropped"))
        self.assertFalse(self.wire.disconnecting)
        self.assertTrue(self.layer.disconnecting)
        self.give(self.client.goodbye())
        self.assertTrue(self.wire.disconnecting)
        self.assertEqual(self.protocol.data, b"")
        self.assertIsInstance(self.lose(ConnectionDone), ConnectionDone)
        self.assertFalse(self.layer.connected)

    def test_close_in_the_handshake(self) -> None:
        """There is nothing to send: it is given up. Where something was written, that goes out behind it."""
        self.layer.loseConnection()
        self.assertTrue(self.wire.disconnecting)
        self.assertIsInstance(self.lose(ConnectionAborted), ConnectionAborted)
        self.begin()
        self.layer.write(b"last words")
        self.layer.loseConnection()
        self.assertTrue(self.layer.disconnecting)
        self.shake()
        self.assertEqual((self.heard(), self.client.ended), (b"last words", True))

    def test_close_waits_for_a_producer(self) -> None:
        """A producer that is paused may go on till it unregisters."""
        self.shake()
        self.heard()
        producer = Producer()
        self.layer.registerProducer(producer, True)
        self.wire.producer.pauseProducing()
        self.layer.loseConnection()
        self.layer.write(b"more")
        self.assertEqual((self.heard(), self.client.ended), (b"more", False))
        self.layer.unregisterProducer()
        self.heard()
        self.assertTrue(self.client.ended)

    def test_goodbye_while_it_waits(self) -> None:
        """The client says good-bye first: then there is nothing to wait for any more."""
        self.shake()
        producer = Producer()
        self.layer.registerProducer(producer, False)
        self.layer.loseConnection()
        self.give(self.client.goodbye())
        self.assertFalse(self.wire.disconnecting)
        self.layer.unregisterProducer()
        self.assertTrue(self.wire.disconnecting)

    def test_goodbye_while_bytes_wait(self) -> None:
        """A client that leaves while it does not read gets nothing more; one that reads gets what was written."""
        for congested in (True, False):
            self.begin()
            self.shake()
            producer = Producer()
            self.layer.registerProducer(producer, True)
            if congested:
                self.wire.producer.pauseProducing()
            self.give(self.client.goodbye())
            self.assertEqual(getattr(self.wire, "aborting", self.wire.disconnected), congested)
            self.assertEqual(producer.told, ["pause"], "nobody writes into the void")
            self.assertIsInstance(self.lose(ConnectionLost), ConnectionDone)
            self.assertEqual(producer.told, ["pause", "stop"])

    def test_late_producer(self) -> None:
        """A producer behind the end is stopped at once."""
        self.lose(ConnectionLost)
        producer = Producer()
        self.layer.registerProducer(producer, True)
        self.assertEqual(producer.told, ["stop"])

    def test_nothing_is_left(self) -> None:
        """Behind the end nothing keeps the layer alive but who holds it, and it tells nothing of TLS."""
        self.shake(b"data")
        self.give(self.alert())
        self.lose(ConnectionDone)
        self.assertEqual((self.layer.getHandle(), self.layer.tls_details()), (None, None))
        self.assertEqual((self.layer.negotiatedProtocol, self.layer.getPeerCertificate()), (None, None))
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        layer, protocol = weakref.ref(self.layer), weakref.ref(self.protocol)
        del self.protocol, self.layer
        self.assertEqual((layer(), protocol()), (None, None))


class Handshakes(Layered):
    """Before TLS stands."""

    def test_told(self) -> None:
        """A protocol that wants to know, is told once TLS stands."""
        self.begin(Told)
        self.assertEqual(self.protocol.events, ["made"])
        self.shake()
        self.assertEqual(self.protocol.events, ["made", "handshake"])

    def test_details(self) -> None:
        """What was agreed on can be asked for."""
        self.shake()
        details: Any = self.layer.tls_details()
        self.assertEqual((details.protocol, details.server_name), ("TLSv1.3", "backend.test"))
        self.assertEqual(details.cipher, self.client.tls.cipher()[0])  # type: ignore[index]
        self.assertIs(self.layer.getPeerCertificate(), None)

    def test_client_side(self) -> None:
        """A client's layer begins by itself, and knows whom it speaks to."""
        protocol, wire = Recorder(), Wire()
        layer = TlsLayer(client_context(), protocol, self.clock.callLater, name="backend.test")
        layer.makeConnection(wire)
        layer.write(b"question")
        server = Session(server_context(), server=True)
        while not server.plain:
            server.hear(wire.taken())
            layer.dataReceived(server.taken())
        layer.dataReceived(server.record(b"answer"))
        self.assertEqual((bytes(server.plain), bytes(protocol.data)), (b"question", b"answer"))
        self.assertIn(b"backend.test", layer.getPeerCertificate().tbs_certificate_bytes)
        self.assertEqual(layer.tls_details().server_name, "backend.test")  # type: ignore[union-attr]

    def test_left(self) -> None:
        """Who leaves in the handshake, is told as the transport tells it."""
        for kind in (ConnectionDone, ConnectionLost):
            self.begin()
            self.give(b"\x16\x03\x01\x02\x00")
            self.assertIs(type(self.lose(kind)), kind)

    def test_endless(self) -> None:
        """A handshake that goes on for ever is ended."""
        refused: list[ssl.SSLError] = []
        self.layer.refused = lambda _, error: refused.append(error)
        hello = b"\x16\x03\x01\x40\x00" + b"\x01\x01\xff\xff" + bytes(RECORD - 4)
        sent = 0
        while not self.wire.disconnecting and sent <= HANDSHAKE_LIMIT + len(hello):
            self.give(hello[:1000])
            sent += 1000
        self.assertTrue(self.wire.disconnecting)
        self.assertEqual(len(refused), 1)
        self.begin()
        self.layer._handshake_size = HANDSHAKE_LIMIT
        self.give(b"\x16")
        self.assertTrue(self.wire.disconnecting)
        self.assertIn("TOO_LONG", self.lose(ConnectionDone).reason)

    def test_name_that_is_no_text(self) -> None:
        """A name that is not ASCII fails the handshake, and nothing else is heard of it."""
        heard: list[Any] = []
        self.patch(sys, "unraisablehook", heard.append)
        self.client.shake()
        hello = self.client.taken().replace(b"backend.test", b"b\xffckend.test")
        self.give(hello)
        self.assertTrue(self.wire.disconnecting)
        self.assertEqual(heard, [])
        self.assertEqual(sys.unraisablehook, heard.append)
        self.assertIsInstance(self.lose(ConnectionDone), ssl.SSLError)


class Refused(SynchronousTestCase):
    """What an operator hears of clients without TLS."""

    def setUp(self) -> None:
        """A listener, and its log."""
        self.clock = Clock()
        self.lines: list[str] = []
        observer = lambda event: self.lines.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.clients = Recorders()
        contexts = FixedContext(context_factory(CERTIFICATE))
        self.factory = TlsServerFactory(contexts, self.clients, self.clock)

    def visit(self, said: bytes) -> None:
        """A client that says that, and leaves."""
        layer = self.factory.buildProtocol(None)
        wire = Wire()
        layer.makeConnection(wire)
        layer.dataReceived(said)
        layer.connectionLost(Failure(ConnectionDone()))

    def test_now_and_then(self) -> None:
        """One line, and a minute later one that counts; none of those who just leave."""
        self.visit(b"\x16\x03\x01\x02\x00")
        self.assertEqual(self.lines, [])
        for _ in range(5):
            self.visit(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(self.lines, ["no TLS with 192.168.1.1: http request"])
        self.clock.advance(PAUSE)
        self.visit(b"\x16\x03\x01\x00\x05hello")
        self.assertEqual(len(self.lines), 2)
        self.assertIn("nor with 4 other clients", self.lines[1])
        self.clock.advance(PAUSE)
        self.visit(b"\0" * 1000)
        self.assertNotIn("other", self.lines[2])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_no_reason(self) -> None:
        """An error that OpenSSL has no name for can be told, too."""
        layer = self.factory.buildProtocol(None)
        layer.makeConnection(Wire())
        Refusals(self.clock.seconds)(layer, ssl.SSLError("unknown"))
        self.assertIn("does not say why", self.lines[0])

    def test_factory(self) -> None:
        """A factory that does not want a client gets none; it starts and stops with the listener."""
        self.clients.make = lambda: None
        self.assertIs(self.factory.buildProtocol(None), None)
        self.factory.doStart()
        self.assertEqual(self.clients.numPorts, 1)
        self.factory.doStop()
        self.assertEqual(self.clients.numPorts, 0)
        self.assertEqual(self.factory.logPrefix(), "Recorders")
