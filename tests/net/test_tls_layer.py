"""`TlsLayer` over a transport in memory: what leaves, and what is delivered, to the byte."""

from __future__ import annotations

import ssl

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from tests.net.tls_layered import Layered, Producer
from tests.net.tls_sessions import Session, client_context, server_context, shake_hands
from tests.net.transport_peers import Recorder
from vegurtx.net.tls.layer import EARLY, RECORD, SLICE


def records(data: bytes) -> list[int]:
    """The lengths of the records in `data` (RFC 8446, section 5.1)."""
    lengths = []
    while data:
        length = int.from_bytes(data[3:5], "big")
        lengths.append(length)
        data = data[5 + length :]
    return lengths


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
