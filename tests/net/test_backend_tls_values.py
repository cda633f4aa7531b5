"""The values and contexts of TLS to back-ends, without a socket."""

from __future__ import annotations

import copy
import pickle
import ssl
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import vegurtx
from tests.net.tls_sessions import Session, server_context, shake_hands
from vegurtx import Backend, BackendTLS
from vegurtx.errors import ConnectFailed
from vegurtx.net.backend_tls import BackendContexts, Peer
from vegurtx.net.complaints import PAUSE, REMEMBERED, Complaints
from vegurtx.net.handshake import TlsEndpoint
from vegurtx.testing import Certificate
from vegurtx.testing.authority import Authority


class Values(SynchronousTestCase):
    """`BackendTLS`."""

    def test_misuse(self) -> None:
        """What cannot be meant is refused at once."""
        for options in (
            {"verify": None},
            {"verify": 1},
            {"ca": 7},
            {"certificate": ["a"]},
            {"private_key": "key.pem"},
            {"server_name": ""},
            {"server_name": "a b"},
            {"server_name": "a..b"},
            {"server_name": "user@host"},
            {"server_name": "a\nb"},
            {"server_name": b"host"},
            {"server_name": "x" * 64 + ".example"},
            {"alpn": "http/1.1"},
            {"alpn": [""]},
            {"alpn": ["x" * 256]},
            {"alpn": ["h2", "http/1.1"]},
            {"alpn": [b"http/1.1"]},
            {"minimum": "TLSv1.1"},
            {"minimum": None},
        ):
            with self.assertRaises(ValueError, msg=str(options)):
                BackendTLS(**options)  # type: ignore[arg-type]

    def test_value(self) -> None:
        """Equal where all parts are; frozen; whatever form a path or a sequence came in."""
        self.assertIs(vegurtx.BackendTLS, BackendTLS)
        one = BackendTLS(ca="/a/ca.pem", alpn=("http/1.1",))
        two = BackendTLS(ca=Path("/a/ca.pem"), alpn=["http/1.1"])  # type: ignore[arg-type]
        self.assertEqual((one, hash(one)), (two, hash(two)))
        others = [
            BackendTLS(),
            BackendTLS(ca="/a/ca.pem", verify=False),
            BackendTLS(ca="/a/ca.pem", server_name="x"),
            BackendTLS(ca="/a/ca.pem", certificate="x"),
            BackendTLS(ca="/a/ca.pem", certificate="x", private_key="y"),
            BackendTLS(ca="/a/ca.pem", alpn=()),
            BackendTLS(ca="/a/ca.pem", minimum="TLSv1.3"),
        ]
        self.assertEqual(len({one, two, *others}), 8)
        with self.assertRaises(AttributeError):
            one.verify = False  # type: ignore[misc]
        for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            self.assertEqual((again, hash(again)), (one, hash(one)))
        self.assertIn("ca='/a/ca.pem'", repr(one))
        self.assertNotIn("_hash", repr(one))

    def test_backends(self) -> None:
        """Rule 23: ``True`` is the default value, ``False`` none; TLS without any name to check is refused."""
        self.assertEqual(Backend("h", 1, tls=True).key, Backend("h", 1, tls=BackendTLS()).key)
        self.assertEqual(Backend("h", 1, tls=False).key, Backend("h", 1).key)
        self.assertNotEqual(Backend("h", 1, tls=True).key, Backend("h", 1).key)
        self.assertEqual(eval(repr(Backend("h", 1, tls=True))), Backend("h", 1, tls=True))
        for tls in (True, BackendTLS()):
            with self.assertRaises(ValueError):
                Backend.unix("/socket", tls=tls)
        for tls in (BackendTLS(server_name="x"), BackendTLS(verify=False)):
            self.assertNotEqual(Backend.unix("/socket", tls=tls), Backend.unix("/socket"))


class Contexts(SynchronousTestCase):
    """`BackendContexts`, and the `Peer` that it gives."""

    def test_kept(self) -> None:
        """One context for each value, a bounded number; what was not asked for longest goes first."""
        contexts = BackendContexts(kept=2)
        values = [BackendTLS(verify=False, server_name=name) for name in ("a", "b", "c")]
        first = contexts.peer(values[0], "h").context
        contexts.peer(values[1], "h")
        self.assertIs(contexts.peer(values[0], "other").context, first)
        contexts.peer(values[2], "h")
        self.assertEqual(len(contexts), 2)
        self.assertIs(contexts.peer(values[0], "h").context, first)
        self.assertEqual(contexts.reload(), [])
        self.assertIsNot(contexts.peer(values[0], "h").context, first)

    def test_broken_ones_are_not_kept(self) -> None:
        """A value whose file is missing is tried again each time."""
        contexts = BackendContexts()
        with tempfile.TemporaryDirectory() as folder:
            tls = BackendTLS(ca=f"{folder}/ca.pem")
            with self.assertRaises(ConnectFailed) as raised:
                contexts.peer(tls, "h")
            self.assertEqual(raised.exception.what, "tls_misconfigured")
            self.assertEqual(len(contexts), 0)
            Authority().save(Path(folder), "ca.pem")
            contexts.peer(tls, "h")
        self.assertEqual(len(contexts), 1)
        self.assertEqual(contexts.reload(), [f"{folder}/ca.pem: No such file or directory"])

    def test_names(self) -> None:
        """Which names a certificate is for (RFC 9110, section 4.3.4), and what is sent as SNI (RFC 6066)."""
        authority = Authority()
        with tempfile.TemporaryDirectory() as folder:
            trusting = BackendTLS(ca=str(authority.save(Path(folder))))
            contexts = BackendContexts()
            for name, names, good, sent in [
                ("a.example", ("a.example",), True, "a.example"),
                ("A.Example.", ("a.example",), True, "a.example"),
                ("a.b.example", ("*.example",), False, "a.b.example"),
                ("127.0.0.1", ("127.0.0.1",), True, None),
                ("127.0.0.1", ("127.0.0.2", "a.example"), False, None),
                ("::1", ("::1",), True, None),
                ("0:0:0::1", ("::1",), True, None),
                ("fe80::1%lo", ("fe80::1",), True, None),
                ("::2", ("::1",), False, None),
                ("a.example", (), False, "a.example"),
                ("nobody", (), False, "nobody"),  # which is its common name
            ]:
                certificate = authority.issue(*names)
                for tls, trusted in ((trusting, good), (BackendTLS(verify=False), True)):
                    peer = contexts.peer(tls, name)
                    client, server = self.sessions(peer, certificate)
                    if trusted:
                        shake_hands(client, server)
                    else:
                        with self.assertRaises(ssl.SSLCertVerificationError, msg=name) as caught:
                            shake_hands(client, server)
                        doubt = peer.doubt(caught.exception, client.tls)
                        self.assertIn(repr(names[0]) if names else "nobody", str(doubt))
                    self.assertEqual(self.asked_for, [sent], name)

    def sessions(self, peer: Peer, certificate: Certificate) -> tuple[Session, Session]:
        """The two sides of a handshake."""
        self.asked_for: list[str | None] = []
        context = server_context(certificate)
        context.sni_callback = lambda _, name, __: self.asked_for.append(name)  # type: ignore[assignment]
        return Session(peer.context, name=peer.name), Session(context, server=True)

    def test_unknown_names(self) -> None:
        """Where Python does not tell whose certificate it was, the line says less."""
        peer = Peer(ssl.create_default_context(), "a.example")
        error = ssl.SSLCertVerificationError()
        error.verify_code = 62
        self.assertEqual(peer.doubt(error, object()), "the certificate is for others, not for a.example")
        error.verify_code = 7
        self.assertEqual(peer.doubt(error, object()), "the certificate does not verify (X509 error 7)")

    def test_other_errors(self) -> None:
        """What is no verdict on a certificate, is none."""
        peer = Peer(ssl.create_default_context(), "a.example")
        for error in (None, ValueError(), ssl.SSLError("broken")):
            self.assertIsNone(peer.doubt(error, None))


class Seldom(SynchronousTestCase):
    """`Complaints`."""

    def test_bounds(self) -> None:
        """The same line comes once a minute, and what is remembered of lines is bounded."""
        lines: list[Any] = []
        globalLogPublisher.addObserver(lines.append)
        self.addCleanup(globalLogPublisher.removeObserver, lines.append)
        clock = Clock()
        complain = Complaints(clock.seconds)
        for place in ("a", "b", "a"):
            complain(place, "is bad")
        complain("a", "is worse")
        self.assertEqual(len(lines), 3)
        clock.advance(PAUSE)
        complain("a", "is bad")
        self.assertEqual(len(lines), 4)
        for number in range(3 * REMEMBERED):
            complain("a", f"{number}")
        self.assertLessEqual(len(complain._said), REMEMBERED)
        self.assertEqual(len(lines), 4 + 3 * REMEMBERED)


class Wire:
    """An endpoint whose connection the test has in its hand."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.connecting: Deferred[Any] = Deferred(self._cancel)

    def _cancel(self, _: Any) -> None:
        self.cancelled += 1

    def connect(self, factory: Any) -> Deferred[Any]:
        """See `IStreamClientEndpoint`."""
        self.factory = factory
        return self.connecting


class Endpoints(SynchronousTestCase):
    """`TlsEndpoint` over a wire of the test's."""

    def setUp(self) -> None:
        """A connect under way."""
        self.clock = Clock()
        self.wire = Wire()
        peer = BackendContexts().peer(BackendTLS(verify=False), "h")
        self.endpoint = TlsEndpoint(self.clock, self.wire, peer, 5.0, self.fail)
        self.built: list[Protocol] = []
        factory = Factory.forProtocol(Protocol)
        self.result = self.endpoint.connect(factory)

    def opened(self) -> Any:
        """The socket is connected; returns the transport."""
        layer = self.wire.factory.buildProtocol(None)
        transport = StringTransport()
        layer.makeConnection(transport)
        self.wire.connecting.callback(layer)
        self.assertTrue(transport.value(), "the handshake begins at once")
        self.layer = layer
        return transport

    def test_interface(self) -> None:
        """It is a client endpoint."""
        self.assertTrue(verifyObject(IStreamClientEndpoint, self.endpoint))

    def test_cancelled_in_connect(self) -> None:
        """Cancelling gives the connect up."""
        self.result.cancel()
        self.failureResultOf(self.result)
        self.assertEqual((self.wire.cancelled, self.clock.getDelayedCalls()), (1, []))

    def test_cancelled_in_handshake(self) -> None:
        """And the handshake."""
        transport = self.opened()
        self.result.cancel()
        self.failureResultOf(self.result)
        self.assertTrue(transport.disconnected)
        self.layer.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """When its time is over it is given up; what comes of it later is of no interest."""
        transport = self.opened()
        self.clock.advance(5.0)
        failure = self.failureResultOf(self.result, ConnectFailed)
        self.assertEqual(failure.value.what, "tls_timeout")
        self.assertTrue(transport.disconnected)
        self.layer.connectionLost(Failure(ConnectionLost()))
        self.layer.abortConnection()  # harmless

    def test_lost(self) -> None:
        """A connection that ends before TLS stands."""
        self.opened()
        self.layer.connectionLost(Failure(ConnectionLost()))
        failure = self.failureResultOf(self.result, ConnectFailed)
        self.assertEqual(failure.value.what, "tls_failed")
        self.assertEqual(self.clock.getDelayedCalls(), [])
