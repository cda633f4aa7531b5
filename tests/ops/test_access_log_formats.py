"""The access log's formats: what a line says of a plain request, of the proxy's own answers, and of no request."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address

from tests.ops.access_log_case import GET, KEPT, A, LogCase, combined, logfmt
from vegurtx import Redirect, RouteError
from vegurtx.net.endpoints import TlsDetails
from vegurtx.ops.access_log.quoting import name_of
from vegurtx.testing import MemoryProxy, answering, response_bytes, router_to
from vegurtx.wire.errors import BadHead

OK = response_bytes(200, b"hello")
ID = "0123456789abcdef0123"
REQUEST = (
    b"POST /a?b=%22 HTTP/1.1\r\nHost: Example.ORG:8080\r\nX-Request-Id: 0123456789abcdef0123\r\n"
    b'User-Agent: one "two"\r\nReferer: http://x/\r\nX-Forwarded-For: 10.0.0.1\r\nContent-Length: 2\r\n\r\nhi'
)


class Named:
    """A service with a name."""

    name = "web one"


class Formats(LogCase):
    """One request, its connect and its response a second and a half and two seconds long."""

    def exchanged(self, format: str, **client: Any) -> bytes:
        """The line of such a request."""
        router = router_to(A, checkout_service=Named(), service_backend=A)
        proxy = self.proxy(router, format)
        backend = proxy.backend(A.host, A.port).ignores()
        proxy.client(**client).send(REQUEST)
        proxy.advance(1.5)
        backend.accepts()
        proxy.settle()
        server = backend.accept()
        server.receive_request()
        proxy.advance(2)
        server.send(OK)
        proxy.settle()
        return self.line()

    def test_router(self) -> None:
        """Heroku's keys in Heroku's order, and the time."""
        line = self.exchanged("router")
        self.assertEqual(
            line.decode(),
            f'at=info method=POST path="/a?b=%22" host=example.org request_id={ID} '
            f'fwd="10.0.0.1, 192.0.2.1" dyno="web one" connect=1500ms service=2000ms status=200 bytes={len(OK)} '
            "protocol=http time=2023-11-14T22:13:23.500Z\n",
        )

    def test_json(self) -> None:
        """An object; durations are numbers."""
        said = json.loads(self.exchanged("json"))
        self.assertEqual(
            said,
            {
                "time": "2023-11-14T22:13:23.500Z",
                "level": "info",
                "method": "POST",
                "path": "/a?b=%22",
                "host": "example.org",
                "request_id": ID,
                "fwd": "10.0.0.1, 192.0.2.1",
                "peer": "192.0.2.1",
                "listener": "http",
                "protocol": "http",
                "version": "1.1",
                "tls": None,
                "user_agent": 'one "two"',
                "referer": "http://x/",
                "service": "web one",
                "backend": "127.0.0.1:8081",
                "status": 200,
                "bytes": len(OK),
                "bytes_sent": said["bytes_sent"],
                "queue_ms": 0,
                "connect_ms": 1500,
                "first_byte_ms": 2000,
                "service_ms": 2000,
                "total_ms": 3500,
            },
        )
        self.assertGreater(said["bytes_sent"], len(REQUEST))

    def test_combined(self) -> None:
        """Apache's."""
        self.assertEqual(
            self.exchanged("combined").decode(),
            f'192.0.2.1 - - [14/Nov/2023:22:13:23 +0000] "POST /a?b=%22 HTTP/1.1" 200 {len(OK)} "http://x/" '
            '"one \\"two\\""\n',
        )

    def test_tls(self) -> None:
        """``protocol`` is the client's; the JSON has the version, too."""
        tls = TlsDetails("TLSv1.3", "TLS_AES_256_GCM_SHA384", "example.org", None)
        self.assertEqual(logfmt(self.exchanged("router", tls=tls))["protocol"], "https")
        said = json.loads(self.exchanged("json", tls=tls))
        self.assertEqual((said["protocol"], said["tls"]), ("https", "TLSv1.3"))


class Ways(LogCase):
    """Requests that took another way than the plain one."""

    def test_pooled(self) -> None:
        """A connection from the pool took no time."""
        for format in ("router", "json"):
            proxy = self.proxy(router_to(KEPT), format)
            backend = proxy.backend(A.host, A.port, answering(OK)).ignores()
            client = proxy.client()
            client.send(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
            proxy.advance(0.7)
            backend.accepts()
            client.receive_response()
            client.ask("GET", "http://x/2")
            first, second = self.lines.batch
            if format == "json":
                self.assertEqual([json.loads(line)["connect_ms"] for line in (first, second)], [700, 0])
            else:
                self.assertEqual([logfmt(line)["connect"] for line in (first, second)], ["700ms", "0ms"])

    def test_fields_change(self) -> None:
        """What is remembered of a connection is used for the same fields only."""
        proxy = self.proxy(router_to(KEPT))
        proxy.backend(A.host, A.port, answering(OK))
        client = proxy.client()
        for host in ("one", "one", "two", "one"):
            client.ask("GET", f"http://{host}/")
        self.assertEqual([logfmt(line)["host"] for line in self.lines.batch], ["one", "one", "two", "one"])

    def test_page(self) -> None:
        """An answer of a stage's or the router's own has the bytes that were sent; there was no connect."""
        proxy = self.proxy(router_to(lookup_domain_name=Redirect("elsewhere.example")))
        client = proxy.client()
        client.send(GET)
        self.assert_said(
            at="info", status="301", bytes=str(len(client.received)), connect="", service="", dyno=""
        )
        proxy = self.proxy(router_to(lookup_domain_name=RouteError("not_found")), "combined")
        client = proxy.client()
        client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        said = combined(self.line())
        self.assertEqual((said["status"], said["bytes"]), ("404", str(len(client.received))))

    def test_routers_reason(self) -> None:
        """A reason of the router's own is no error of the proxy: it is told, without a code."""
        proxy = self.proxy(router_to(checkout_service=RouteError(("quarantine", 'a"\n', 7))))
        proxy.client().send(GET)
        self.assert_said(at="info", desc='quarantine.a"\n', status="503")

    def test_no_request(self) -> None:
        """What is no request has a line, without what could not be read."""
        for format in ("router", "json", "combined"):
            proxy = self.proxy(format=format)
            proxy.factory.rejection(BadHead("bad_header", 400), _Connection())
            line = self.line()
            if format == "router":
                said: Any = logfmt(line)
                self.assertEqual((said["at"], said["code"], said["fwd"]), ("error", "H26", "192.0.2.7"))
                self.assertEqual((said["status"], said["path"], said["method"]), ("400", "", ""))
            elif format == "json":
                said = json.loads(line)
                self.assertEqual(
                    (said["reason"], said["fwd"], said["status"]), ("bad_header", "192.0.2.7", 400)
                )
            else:
                said = combined(line)
                self.assertEqual((said["peer"], said["line"], said["status"]), ("192.0.2.7", "-", "400"))

    def test_rejected_by_the_connection(self) -> None:
        """The proxy tells of each, and who sent it."""
        proxy = self.proxy()
        client = proxy.client()
        client.send(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")
        host = proxy.factory.connections.copy().pop().peer.host
        self.assert_said(at="error", code="H26", status="400", fwd=host)

    def test_nothing_is_kept(self) -> None:
        """Of a connection that is gone, nothing is remembered."""
        proxy = self.proxy(router_to(KEPT))
        proxy.backend(A.host, A.port, answering(OK))
        client = proxy.client()
        client.ask("GET", "http://x/")
        log = proxy.factory.observer
        self.assertEqual(len(log._constants), 1)
        client.close()
        proxy.settle()
        self.assertEqual(log._constants, {})

    def test_without_an_observer(self) -> None:
        """Nothing is told, and nothing fails."""
        proxy = MemoryProxy(router_to(A))
        proxy.backend(A.host, A.port, answering(OK))
        self.assertEqual(proxy.client().ask("GET", "http://x/").status, 200)


class Times(LogCase):
    """When a request has ended, to the millisecond."""

    def test_milliseconds(self) -> None:
        """What was worked out for one is used for that one alone, also where the clock was set back."""
        for format in ("router", "json"):
            proxy = self.proxy(router_to(KEPT), format)
            proxy.backend(A.host, A.port, answering(OK))
            client = proxy.client()
            for step in (0, 0.0004, 0.0007, 0.9990, 60, -3600):
                at = proxy.factory.wall() + step
                proxy.factory.wall = lambda at=at: at
                client.ask("GET", "http://x/")
            lines = self.lines.batch
            times = [
                logfmt(line)["time"] if format == "router" else json.loads(line)["time"] for line in lines
            ]
            self.assertEqual(
                [time.removeprefix("2023-11-14T") for time in times],
                [
                    "22:13:20.000Z",
                    "22:13:20.000Z",
                    "22:13:20.001Z",
                    "22:13:21.000Z",
                    "22:14:21.000Z",
                    "21:14:21.000Z",
                ],
            )


class Names(LogCase):
    """What a service is called."""

    def test_names(self) -> None:
        """A string, a name, a service's name; nobody's ``repr``."""

        class Replica:
            service = Named()

        class Rude:
            service = None
            name = 7

            def __repr__(self) -> str:
                raise AssertionError

        for service, name in (("web", "web"), (Named(), "web one"), (Replica(), "web one"), (Rude(), "")):
            self.assertEqual(name_of(service), name)
        for service in (None, A, {}, ["x"]):
            self.assertEqual(name_of(service), "")

    def test_many_names(self) -> None:
        """Names that are made up for each request do not pile up, and long ones are cut."""
        proxy = self.proxy(router_to(A, checkout_service=lambda *_: "x" * 300, service_backend=A))
        proxy.backend(A.host, A.port, answering(OK))
        proxy.client().ask("GET", "http://x/")
        self.assertEqual(self.said()["dyno"], "x" * 200)
        log = proxy.factory.observer
        for number in range(5000):
            log.named(str(number))
        log.named("y" * 1_000_000)
        self.assertLessEqual(len(log._names), 1024)
        self.assertLessEqual(max(map(len, log._names)), 200)


class _Connection:
    peer = IPv4Address("TCP", "192.0.2.7", 1)
    tls = None
    factory = None
