"""`TlsLayer` over a transport in memory: what leaves, what is delivered, and how it ends, to the byte."""

from __future__ import annotations

import gc
import ssl
import sys
import weakref
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.net.tls_sessions import CERTIFICATE, Session, client_context, server_context, shake_hands
from tests.net.transport_peers import Recorder, Recorders
from vegurtx.net.tls.factories import TlsServerFactory
from vegurtx.net.tls.layer import EARLY, HANDSHAKE_LIMIT, RECORD, SLICE, TlsLayer
from vegurtx.net.tls.refusals import PAUSE, Refusals
from vegurtx.net.tls.server_context import FixedContext
from vegurtx.net.tls.words import alert_of
from vegurtx.testing import context_factory


class Wire(StringTransport):
    """A transport that keeps each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        """One more."""
        self.writes.append(bytes(data))

    def taken(self) -> bytes:
        """All that was written since the last time."""
        data, self.writes = b"".join(self.writes), []
        return data


class Producer:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Wait."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Go on."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """The end."""
        self.told.append("stop")


@implementer(IHandshakeListener)
class Told(Recorder):
    """Is told of the handshake."""

    def handshakeCompleted(self) -> None:
        """TLS stands."""
        self.events.append("handshake")


def records(data: bytes) -> list[int]:
    """The lengths of the records in `data` (RFC 8446, section 5.1)."""
    lengths = []
    while data:
        length = int.from_bytes(data[3:5], "big")
        lengths.append(length)
        data = data[5 + length :]
    return lengths


class Layered(SynchronousTestCase):
    """A server's layer, its protocol, the wire below, and a client on the other side."""

    def setUp(self) -> None:
        """Before the handshake."""
        self.clock = Clock()
        self.made: Any = None
        self.begin()

    def begin(self, make: Any = Recorder, **limits: Any) -> None:
        """Connect a new layer."""
        self.protocol = make()
        self.layer = TlsLayer(context_factory(CERTIFICATE), self.protocol, self.clock.callLater, server=True)
        self.wire = Wire()
        self.client = Session(client_context(**limits), name="backend.test")
        if self.made is not None:
            self.protocol.on_made = self.made
        self.layer.makeConnection(self.wire)

    def shake(self, behind: bytes = b"", step: int = 0) -> None:
        """The handshake; `behind` is sent with its last flight, all in steps of that many bytes."""
        for _ in range(5):
            if self.client.shake():
                break
            self.give(self.client.taken(), step)
            self.client.hear(self.wire.taken())
        else:
            self.fail("the layer does not answer")
        last = self.client.taken() + (self.client.record(behind) if behind else b"")
        self.give(last, step)

    def give(self, data: bytes, step: int = 0) -> None:
        """Records from the client."""
        step = step or len(data) or 1
        for at in range(0, len(data), step):
            self.layer.dataReceived(data[at : at + step])

    def alert(self) -> bytes:
        """What the client says where it cannot read a record: a fatal alert."""
        self.layer.write(b"data")
        broken = bytearray(self.wire.taken())
        broken[-1] ^= 1
        self.assertRaises(ssl.SSLError, self.client.hear, bytes(broken))
        return self.client.taken()

    def heard(self) -> bytes:
        """What the client can read of what was written."""
        self.client.hear(self.wire.taken())
        plain = bytes(self.client.plain)
        self.client.plain.clear()
        return plain

    def lose(self, kind: type[Exception]) -> Any:
        """The transport is gone; returns what the protocol was told."""
        self.layer.connectionLost(Failure(kind()))
        (reason,) = self.protocol.reasons
        return reason.value


class Asking:
    """A client of pyOpenSSL's, since Python's own cannot ask for another handshake."""

    def __init__(self) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        self.tls = SSL.Connection(context, None)
        self.tls.set_connect_state()

    def shake(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self.tls.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def hear(self, data: bytes) -> None:
        """Records of the other side."""
        self.tls.bio_write(data)

    def taken(self) -> bytes:
        """What is to be sent."""
        try:
            return self.tls.bio_read(65536)
        except SSL.WantReadError:
            return b""

    def record(self, data: bytes) -> bytes:
        """`data` as a record."""
        self.tls.send(data)
        return self.taken()

    def renegotiate(self) -> None:
        """Begin another handshake."""
        self.tls.renegotiate()
        self.shake()


class Writing(Layered):
    """Downwards."""

    def test_one_write(self) -> None:
        """A head and its body leave in one write, as one record."""
        self.shake()
        self.heard()
        self.layer.writeSequence([b"HTTP/1.1 200 OK\r\n\r\n", memoryview(b"body")])
        self.assertEqual(len(self.wire.writes), 1)
        self.assertEqual(records(self.wire.writes[0]), [19 + 4 + 17])
        self.assertEqual(self.heard(), b"HTTP/1.1 200 OK\r\n\r\nbody")

    def test_slices(self) -> None:
        """Much leaves in slices of full records; nothing, and no text, leaves at all."""
        self.shake()
        self.heard()
        data = bytes(range(256)) * 1024
        self.layer.write(data + b"and on")
        self.assertEqual(len(self.wire.writes), len(data) // SLICE + 1)
        self.assertEqual(records(self.wire.writes[0]), [RECORD + 17] * (SLICE // RECORD))
        self.assertEqual(self.heard(), data + b"and on")
        self.layer.write(b"")
        self.layer.writeSequence([])
        self.assertEqual(self.wire.taken(), b"")
        self.assertRaises(TypeError, self.layer.write, "text")

    def test_before_the_handshake(self) -> None:
        """What is written too early goes out behind the handshake, in order."""
        for data in (b"one ", memoryview(b"two ")):
            self.layer.write(data)
        self.layer.writeSequence([b"three ", b"four"])
        self.assertRaises(TypeError, self.layer.write, "text")
        self.assertEqual(self.wire.writes, [])
        self.shake()
        self.assertEqual(self.heard(), b"one two three four")

    def test_too_much_before_the_handshake(self) -> None:
        """It is bounded by its producer; the transport beneath measures from the handshake on."""
        producer = Producer()
        self.layer.registerProducer(producer, True)
        self.assertRaises(RuntimeError, self.layer.registerProducer, producer, True)
        self.layer.write(b"x" * EARLY)
        self.assertEqual(producer.told, [])
        self.layer.write(b"x")
        self.assertEqual((producer.told, self.wire.producer), (["pause"], None))
        self.shake()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertTrue(self.wire.streaming)
        late = Producer()
        self.begin()
        self.layer.write(b"x" * (EARLY + 1))
        self.layer.registerProducer(late, True)
        self.assertEqual(late.told, ["pause"])

    def test_pull_producer(self) -> None:
        """A pull producer is asked for nothing before the handshake is done."""
        producer = Producer()
        self.layer.registerProducer(producer, False)
        self.assertIs(self.wire.producer, None)
        self.shake()
        self.assertFalse(self.wire.streaming)
        self.wire.producer.resumeProducing()
        self.assertEqual(producer.told, ["resume"])

    def test_back_pressure(self) -> None:
        """The producer hears what the transport beneath says; when it leaves, nobody does."""
        self.shake()
        producer = Producer()
        self.layer.registerProducer(producer, True)
        self.wire.producer.pauseProducing()
        self.wire.producer.resumeProducing()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.layer.unregisterProducer()
        self.assertIs(self.wire.producer, None)
        self.layer.unregisterProducer()


class Reading(Layered):
    """Upwards."""

    def test_any_segments(self) -> None:
        """However the stream is cut, the same bytes arrive; whole segments in one piece."""
        data = bytes(range(256)) * 400
        for step in (1, 7, 1000, 0):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                self.begin(maximum_version=version)
                self.shake(step=step)
                self.give(self.client.record(data), step)
                self.assertEqual(self.protocol.data, data, (step, version))
        self.assertEqual(self.protocol.segments, 1)

    def test_behind_the_handshake(self) -> None:
        """What comes in one segment with the end of the handshake is delivered."""
        self.shake(b"at once")
        self.assertEqual(self.protocol.data, b"at once")

    def test_data_and_goodbye(self) -> None:
        """A segment with data and the ``close_notify``: first the one, then the other."""
        for size in (3, SLICE + 3):
            self.begin()
            self.shake()
            self.give(self.client.record(b"x" * size) + self.client.goodbye() + b"not TLS at all")
            self.assertEqual(len(self.protocol.data), size)
            self.assertTrue(self.wire.disconnecting)
            self.heard()
            self.assertTrue(self.client.ended, "it is answered")
            self.assertIsInstance(self.lose(ConnectionDone), ConnectionDone)

    def test_closing_inside_data_received(self) -> None:
        """A protocol may end the connection in the middle of a segment."""
        for end in ("loseConnection", "abortConnection"):
            self.begin()
            self.shake()
            self.protocol.on_data = lambda _, end=end: getattr(self.layer, end)()
            self.give(self.client.record(b"data") + self.client.goodbye())
            self.assertEqual(self.protocol.segments, 1)
            self.assertTrue(self.wire.disconnecting)

    def test_paused_when_made(self) -> None:
        """The handshake goes on while reading is paused; what comes behind it waits, and comes in a later turn."""
        self.made = lambda protocol: protocol.t.pauseProducing()
        self.begin()
        self.assertEqual(self.wire.producerState, "producing")
        self.shake(b"early")
        self.assertEqual((self.protocol.data, self.wire.producerState), (b"", "paused"))
        self.layer.resumeProducing()
        self.assertEqual((self.protocol.data, self.wire.producerState), (b"", "producing"))
        self.layer.pauseProducing()
        self.clock.advance(0)
        self.assertEqual(self.protocol.data, b"", "it has changed its mind")
        self.layer.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(self.protocol.data, b"early")

    def test_resumed_and_gone(self) -> None:
        """What waited is not delivered behind the end."""
        self.made = lambda protocol: protocol.t.pauseProducing()
        self.begin()
        self.shake(b"early")
        self.layer.resumeProducing()
        self.lose(ConnectionLost)
        self.clock.advance(0)
        self.assertEqual(self.protocol.data, b"")

    def test_new_protocol(self) -> None:
        """Another protocol can take over."""
        self.shake()
        self.assertIs(self.layer.protocol, self.protocol)
        other = Recorder()
        self.layer.protocol = other
        self.give(self.client.record(b"data"))
        self.assertEqual((self.protocol.data, other.data), (b"", b"data"))

    def test_renegotiation(self) -> None:
        """TLS 1.2: a client that asks for another handshake is told at once that there is none."""
        for between in (False, True):
            self.begin()
            asking = Asking()
            while not asking.shake():
                self.give(asking.taken())
                asking.hear(self.wire.taken())
            self.give(asking.taken())
            self.wire.taken()
            before = asking.record(b"before") if between else b""
            asking.renegotiate()
            self.give(before + asking.taken())
            self.assertEqual(self.protocol.data, b"before" if between else b"")
            self.assertEqual(self.wire.taken()[:1], b"\x15", "an alert")


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


class Pairs(SynchronousTestCase):
    """The sessions of these tests themselves."""

    def test_hands(self) -> None:
        """A client and a server of Python's own speak with each other."""
        client, server = (
            Session(client_context(), name="backend.test"),
            Session(server_context(), server=True),
        )
        shake_hands(client, server)
        server.hear(client.record(b"data"))
        self.assertEqual(bytes(server.plain), b"data")
