"""`MemoryProxy`: the cast, the clock, and the transcript."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.internet.error import DNSLookupError, NoRouteError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Invalid

from vegurtx import Backend, RouteError, SettingsError
from vegurtx.net.endpoints import TlsDetails
from vegurtx.testing import ConversationError, MemoryProxy, answering, response_bytes, router_to
from vegurtx.testing.memory.network import Network
from vegurtx.testing.memory.proxy import EPOCH

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = response_bytes(200, b"hi")
A = Backend("127.0.0.1", 8081)
B = Backend("127.0.0.1", 8082)


class Making(SynchronousTestCase):
    """What it is made from."""

    def test_misuse(self) -> None:
        """The same errors as `ProxyFactory`'s; an address has one listener."""
        with self.assertRaises(Invalid):
            MemoryProxy(object())
        with self.assertRaises(SettingsError):
            MemoryProxy(router_to(), {"no_such": 1})
        proxy = MemoryProxy(router_to())
        proxy.backend("a", 1)
        proxy.backend(path="/run/a")
        for again in ({"host": "a", "port": 1}, {"path": "/run/a"}):
            with self.assertRaisesRegex(ValueError, "listens there"):
                proxy.backend(**again)

    def test_no_reactor(self) -> None:
        """Neither making nor using it imports the global reactor."""
        script = (
            "import sys\n"
            "from vegurtx import Backend\n"
            "from vegurtx.testing import MemoryProxy, answering, response_bytes, router_to\n"
            "proxy = MemoryProxy(router_to(Backend('a', 1)))\n"
            "proxy.backend('a', 1, answering(response_bytes()))\n"
            "assert proxy.client().ask('GET', 'http://x/').status == 200\n"
            "proxy.advance(100)\n"
            "proxy.stop()\n"
            "assert 'twisted.internet.reactor' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True)

    def test_settings_and_middlewares(self) -> None:
        """Both reach the proxy."""
        seen: list[str] = []
        proxy = MemoryProxy(router_to(), {"max_request_line_length": 20}, [lambda r: seen.append(r.path)])
        client = proxy.client()
        self.assertEqual(client.ask("GET", "http://x/" + "a" * 20).status, 414)
        self.assertEqual(proxy.client().ask("GET", "http://x/b").status, 503)
        self.assertEqual(seen, ["/b"])
        self.flushLoggedErrors()


class Clients(SynchronousTestCase):
    """Who a client is said to be."""

    def seen(self, **client: Any) -> tuple[Any, Any]:
        """The request as the router and as the back-end see it."""
        proxy = MemoryProxy(router_to(A))
        self.addCleanup(proxy.stop)
        backend = proxy.backend("127.0.0.1", 8081)
        proxy.client(**client).send(GET)
        return proxy.calls[0].request, backend.accept().receive_request()

    def test_plain(self) -> None:
        """Addresses of its own, without TLS."""
        seen, forwarded = self.seen(peer=("203.0.113.7", 5), local=("2001:db8::1", 8080))
        self.assertEqual((seen.peer.host, seen.peer.port, seen.local.host), ("203.0.113.7", 5, "2001:db8::1"))
        self.assertEqual((seen.proxy_peer, seen.tls), (None, None))
        self.assertEqual(forwarded.header("X-Forwarded-For"), "203.0.113.7")
        self.assertEqual(forwarded.header("X-Forwarded-Port"), "80")

    def test_behind_a_proxy(self) -> None:
        """A PROXY listener's client: the proxy that connected is known, and the port that was meant."""
        seen, forwarded = self.seen(local=("198.51.100.9", 8443), proxy_peer=("10.0.0.1", 1))
        self.assertEqual((seen.peer.host, seen.proxy_peer.host), ("192.0.2.1", "10.0.0.1"))
        self.assertEqual(forwarded.header("X-Forwarded-Port"), "8443")

    def test_tls(self) -> None:
        """A client that is said to speak TLS."""
        details = TlsDetails("TLSv1.3", "TLS_AES_128_GCM_SHA256", "x.example", "http/1.1")
        seen, forwarded = self.seen(tls=details)
        self.assertEqual(seen.tls, details)
        self.assertEqual(forwarded.header("X-Forwarded-Proto"), "https")
        self.assertEqual(self.seen(tls=TlsDetails(None, None, None, None))[0].tls, (None,) * 4)

    def test_tls_has_no_half_close(self) -> None:
        """Its good-bye ends the connection; a broken response ends in a reset all the same."""
        details = TlsDetails("TLSv1.3", None, None, None)
        proxy = MemoryProxy(router_to(A))
        backend = proxy.backend("127.0.0.1", 8081)
        leaving, staying = proxy.client(tls=details), proxy.client(tls=details)
        for client in (leaving, staying):
            client.send(GET)
        servers = [backend.accept(), backend.accept()]
        leaving.half_close()
        self.assertEqual(servers[0].closed(), "reset")
        servers[1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
        servers[1].abort()
        self.assertEqual((staying.closed(), staying.received[-2:]), ("reset", b"hi"))
        proxy.idle()

    def test_backlog(self) -> None:
        """Beyond ``max_connections`` clients wait, connected and not spoken to."""
        proxy = MemoryProxy(router_to(), {"max_connections": 2})
        first, _, third = [proxy.client() for _ in range(3)]
        third.send(b"nonsense\r\n\r\n")
        self.assertEqual((third.received, third.unsent), (b"", 12))
        first.close()
        self.assertEqual(third.receive_response().status, 400)
        proxy.stop()


class Backends(SynchronousTestCase):
    """How connects go."""

    def test_words(self) -> None:
        """Each failed connect has the word that a real one has."""
        for error, word in [
            (None, "econnrefused"),
            (NoRouteError(), "enetunreach"),
            (DNSLookupError(), "nxdomain"),
            (OSError(13, "no"), "eacces"),
        ]:
            proxy = MemoryProxy(router_to(A, B))
            proxy.backend("127.0.0.1", 8081).refuses(error)
            proxy.backend("127.0.0.1", 8082, answering(OK))
            self.assertEqual(proxy.client().ask("GET", "http://x/").body, b"hi")
            self.assertEqual(proxy.of("checkin_service")[0].arguments[2:], ("connecting", word))

    def test_nobody_listens(self) -> None:
        """An address is refused, a name is unknown; what was tried is on record."""
        elsewhere = [Backend("::1", 1), Backend("db.internal", 1), Backend.unix("/run/x")]
        proxy = MemoryProxy(router_to(*elsewhere))
        self.assertEqual(proxy.client().ask("GET", "http://x/").status, 503)
        words = [call.arguments[3] for call in proxy.of("checkin_service")[:-1]]
        self.assertEqual(words, ["econnrefused", "nxdomain", "econnrefused"])
        self.assertEqual(proxy.connects, elsewhere)

    def test_names_and_sockets(self) -> None:
        """Back-ends by name, and on UNIX sockets."""
        for backend in (Backend("db.internal", 80), Backend.unix("/run/app"), Backend("::1", 80)):
            proxy = MemoryProxy(router_to(backend))
            listener = proxy.backend(backend.host, backend.port, answering(OK), path=backend.path)
            self.assertEqual(proxy.client().ask("GET", "http://x/").body, b"hi")
            self.assertEqual(listener.as_backend(), backend)

    def test_no_answer(self) -> None:
        """A connect that is not answered ends at its own limit, whoever says it."""
        for backend, settings, limit in [
            (A, {}, 5.0),
            (A, {"downstream_connect_timeout": 700}, 0.7),
            (Backend("127.0.0.1", 8081, connect_timeout=0.2), {}, 0.2),
            (A, {"downstream_connect_timeout": 0}, 86_400.0),
        ]:
            proxy = MemoryProxy(router_to(backend), settings)
            listener = proxy.backend("127.0.0.1", 8081).ignores()
            client = proxy.client()
            client.send(GET)
            proxy.advance(limit - 0.001)
            self.assertEqual(client.received, b"")
            proxy.advance(0.001)
            self.assertEqual(client.receive_response().status, 503)
            self.assertEqual(proxy.of("checkin_service")[0].arguments[3], "etimedout")
            listener.accepts()
            self.assertEqual(listener.waiting, 0)
            client.close()
            proxy.idle()

    def test_given_up(self) -> None:
        """A client that leaves gives the connect up; nothing of it is left."""
        proxy = MemoryProxy(router_to(A))
        listener = proxy.backend("127.0.0.1", 8081).ignores()
        client = proxy.client()
        client.send(GET)
        client.abort()
        proxy.idle()
        self.assertIn("connect to 127.0.0.1:8081: given up", proxy.transcript)
        listener.accepts()
        self.assertEqual(listener.connections, [])

    def test_handler(self) -> None:
        """A handler plays each connection; what goes wrong in it fails the test at once."""

        async def confused(connection: Any) -> None:
            await connection.expect(b"PUT")

        async def patient(connection: Any) -> None:
            request = await connection.receive_request()
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + request.body)
            self.assertIn(await connection.closed(), ("clean", "reset"))

        proxy = MemoryProxy(router_to(A))
        proxy.backend("127.0.0.1", 8081, confused)
        with self.assertRaisesRegex(ConversationError, "expected b'PUT'"):
            proxy.client().send(GET)
        proxy = MemoryProxy(router_to(A))
        listener = proxy.backend("127.0.0.1", 8081, patient)
        client = proxy.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        client.send(b"cd")
        self.assertTrue(client.received.endswith(b"\r\n\r\nabcd"))
        client.abort()
        self.assertEqual(listener.connections[0].arrival.value, "reset")


class Time(SynchronousTestCase):
    """The clock."""

    def test_each_at_its_own_time(self) -> None:
        """What is due within one `advance` is called at its own time, and what follows from it has happened then."""
        clock = Clock()
        clock.advance(3)
        proxy = MemoryProxy(router_to(), clock=clock)
        calls: list[tuple[str, float]] = []

        def first() -> None:
            calls.append(("first", clock.seconds()))
            clock.callLater(0.1, lambda: calls.append(("behind it", clock.seconds())))

        clock.callLater(1, first)
        clock.callLater(1.2, lambda: calls.append(("second", clock.seconds())))
        clock.callLater(9, lambda: calls.append(("too late", clock.seconds())))
        proxy.advance(5)
        self.assertEqual(calls, [("first", 4.0), ("behind it", 4.1), ("second", 4.2)])
        self.assertEqual(clock.seconds(), 8.0)
        with self.assertRaises(ValueError):
            proxy.advance(-1)

    def test_time_of_day(self) -> None:
        """It goes with the clock, wherever that began."""
        clock = Clock()
        clock.advance(7)
        proxy = MemoryProxy(router_to(A), clock=clock)
        backend = proxy.backend("127.0.0.1", 8081)
        proxy.advance(1.5)
        proxy.client().send(GET)
        self.assertEqual(proxy.of("init")[0].arguments, (EPOCH + 1.5,))
        start = backend.accept().receive_request().header("X-Request-Start")
        self.assertEqual(start, str(int((EPOCH + 1.5) * 1000)))

    def test_no_end(self) -> None:
        """A conversation that never comes to rest is given up."""
        self.patch(sys.modules[Network.__module__], "STEPS", 100)
        network = Network(Clock())

        def again() -> None:
            network.later(again)

        again()
        with self.assertRaisesRegex(ConversationError, "come to rest"):
            network.settle()


class Records(SynchronousTestCase):
    """What is written down."""

    def test_calls(self) -> None:
        """The author's router is asked through a recorder, which changes nothing."""
        router = router_to(A, init=lambda *_: "state")
        proxy = MemoryProxy(router)
        proxy.backend("127.0.0.1", 8081, answering(OK))
        proxy.client().ask("GET", "http://x/")
        self.assertEqual(proxy.calls, router.calls)
        self.assertIs(proxy.router, router)

    def test_transcript(self) -> None:
        """Callbacks with what they raise, connects, first lines, sizes, time that does not show, and ends."""
        proxy = MemoryProxy(router_to(A, checkout_service=lambda *_: A))
        backend = proxy.backend("127.0.0.1", 8081)
        client = proxy.client()
        client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        server = backend.accept()
        client.send(b"1")
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        server.abort()
        proxy.router.on(lookup_domain_name=RouteError("no"), terminate=RuntimeError("boom"))
        second = proxy.client()
        second.send(GET)
        second.half_close()
        proxy.assert_transcript("""
            client 1 > POST /a HTTP/1.1
            init()
            lookup_domain_name('x')
            checkout_service('x')
            service_backend(Backend('127.0.0.1', 8081, keepalive=None))
            connect to 127.0.0.1:8081: done
            feature('peer_port')
            additional_headers('upstream')
            127.0.0.1:8081 < POST /a HTTP/1.1
            client 1 > 1 byte
            127.0.0.1:8081 < 1 byte
            127.0.0.1:8081 > HTTP/1.1 200 OK
            additional_headers('downstream')
            client 1 < HTTP/1.1 200 OK
            127.0.0.1:8081 resets
            checkin_service('x', Backend('127.0.0.1', 8081, keepalive=None), 'connected', ('downstream', 'econnreset'))
            terminate('error')
            client 1 is reset
            client 2 > GET / HTTP/1.1
            init()
            lookup_domain_name('x') raises RouteError('no')
            error_page('no', None)
            client 2 < HTTP/1.1 503 Service Unavailable
            checkin_service(None, None, 'lookup', 'no')
            terminate('error') raises RuntimeError('boom')
            client 2 half-closes
            client 2 is closed
        """)
        self.assertEqual(proxy.transcript, [])
        self.flushLoggedErrors(RuntimeError)

    def test_another_turn(self) -> None:
        """A transcript that differs says where."""
        proxy = MemoryProxy(router_to())
        proxy.client().send(b"x")
        with self.assertRaisesRegex(AssertionError, r"- client 1 > 2 bytes\n\+ client 1 > 1 byte$"):
            proxy.assert_transcript("client 1 > 2 bytes")
