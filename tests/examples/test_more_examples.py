"""The example routers: in memory, and as the program runs them."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase, TestCase

from examples.http_lookup_router import KEPT, LookupRouter
from examples.maintenance_router import MaintenanceRouter
from examples.tenant_limits_router import QUARANTINE, TenantLimitsRouter
from vegurtx.testing import (
    BlockingClient,
    MemoryProxy,
    ProxyProcess,
    ThreadedBackend,
    answering,
    response_bytes,
)


def new_folder(case: SynchronousTestCase) -> Path:
    """A folder that goes when the test is over."""
    folder = tempfile.TemporaryDirectory()
    case.addCleanup(folder.cleanup)
    return Path(folder.name)


ONE, TWO = ("127.0.0.1", 8081), ("127.0.0.1", 8082)


class Maintenance(SynchronousTestCase):
    """Redirects and closed domains."""

    def setUp(self) -> None:
        self.folder = new_folder(self)
        self.proxy = MemoryProxy(MaintenanceRouter(folder=str(self.folder), backend=ONE))
        self.proxy.backend(*ONE, answering(response_bytes(200, b"one")))

    def ask(self, url: str) -> Any:
        """One request on a connection of its own."""
        return self.proxy.client().ask("GET", url)

    def test_moved(self) -> None:
        """An old domain is redirected, with path and query."""
        response = self.ask("http://old.example/a?b")
        self.assertEqual((response.status, response.header("Location")), (301, "http://www.example/a?b"))

    def test_closed_and_open(self) -> None:
        """A file closes its domain and no other; without it the domain is open again."""
        closed = self.folder / "shop.example"
        closed.touch()
        response = self.ask("http://shop.example/")
        self.assertEqual((response.status, response.header("Retry-After")), (503, "300"))
        self.assertIn(b"Back soon", response.body)
        self.assertEqual(self.ask("http://www.example/").body, b"one")
        closed.unlink()
        self.assertEqual(self.ask("http://shop.example/").body, b"one")

    def test_unknown(self) -> None:
        """A domain that nobody knows is not found, whatever files there are."""
        (self.folder / "other.example").touch()
        self.assertEqual(self.ask("http://other.example/").status, 404)


class TenantLimits(SynchronousTestCase):
    """Limits and quarantine."""

    def stage(self, limit: int = 2) -> tuple[MemoryProxy, TenantLimitsRouter]:
        """Two back-ends of one tenant; the quarantine's clock is the proxy's."""
        router = TenantLimitsRouter({"a.example": [ONE, TWO], "b.example": [ONE]}, limit)
        proxy = MemoryProxy(router)
        router.now = proxy.clock.seconds
        return proxy, router

    def test_limit(self) -> None:
        """A tenant's third connection is refused while two are open; another tenant's is not."""
        proxy, router = self.stage()
        first, second = proxy.backend(*ONE), proxy.backend(*TWO)
        clients = [proxy.client() for _ in range(4)]
        for client in clients[:3]:
            client.send_request("GET", "http://a.example/")
        self.assertEqual(clients[2].receive_response().status, 429)
        clients[3].send_request("GET", "http://b.example/")
        self.assertEqual(router.open, {"a.example": 2, "b.example": 1})
        for backend, client in ((first, clients[0]), (second, clients[1]), (first, clients[3])):
            backend.accept().send(response_bytes(200, b"hi"))
            self.assertEqual(client.receive_response().status, 200)
        self.assertEqual(sum(router.open.values()), 0)
        clients[2].send_request("GET", "http://a.example/")
        self.assertEqual(router.open["a.example"], 1)

    def test_quarantine(self) -> None:
        """A back-end that refused is asked again when its time is over, and not before."""
        proxy, router = self.stage()
        proxy.backend(*TWO, answering(response_bytes(200, b"two")))
        self.assertEqual([self.ask(proxy) for _ in range(2)], [(200, b"two")] * 2)
        self.assertEqual(set(router.quarantined), {ONE})
        proxy.backend(*ONE, answering(response_bytes(200, b"one")))
        self.assertEqual(self.ask(proxy), (200, b"two"))
        proxy.advance(QUARANTINE)
        self.assertEqual({self.ask(proxy) for _ in range(2)}, {(200, b"one"), (200, b"two")})

    def test_all_quarantined(self) -> None:
        """With all in quarantine the answer is 503, at once."""
        proxy, router = self.stage()
        self.assertEqual([self.ask(proxy)[0] for _ in range(2)], [503, 503])
        self.assertEqual(sum(router.open.values()), 0)

    def ask(self, proxy: MemoryProxy) -> tuple[int, bytes]:
        """One request of the tenant's."""
        response = proxy.client().ask("GET", "http://a.example/")
        return response.status, response.body


class Answer:
    """What treq gives for a response."""

    def __init__(self, code: int, body: Any = None) -> None:
        self.code = code
        self.body = body

    def json(self) -> Deferred[Any]:
        """The body."""
        return succeed(self.body)


class Lookup(TestCase):
    """The lookup over HTTP."""

    def test_asked_once(self) -> None:
        """While the answer is pending the request waits; then it is kept for a while."""
        asked: list[Deferred[Any]] = []

        def get(url: str, timeout: float) -> Deferred[Any]:
            self.assertEqual((url, timeout), ("http://lookup/a.example", 2))
            asked.append(Deferred())
            return asked[-1]

        router = LookupRouter("http://lookup", get)
        proxy = MemoryProxy(router)
        router.now = proxy.clock.seconds
        proxy.backend(*ONE, answering(response_bytes(200, b"one")))
        client = proxy.client()
        client.send_request("GET", "http://a.example/")
        self.assertEqual(len(asked), 1)
        asked[0].callback(Answer(200, {"host": ONE[0], "port": ONE[1]}))
        self.assertEqual(client.receive_response().body, b"one")
        self.assertEqual(client.ask("GET", "http://a.example/").body, b"one")
        self.assertEqual(len(asked), 1)
        proxy.advance(KEPT)
        client.close()
        proxy.client().send_request("GET", "http://a.example/")
        self.assertEqual(len(asked), 2)

    def test_failures(self) -> None:
        """An unknown domain is 404; a lookup that fails is no hang and no traceback."""
        for answer, status in (
            (Answer(404), 404),
            (Answer(500), 503),
            (OSError("refused"), 502),
        ):

            async def get(url: str, timeout: float, said: Any = answer) -> Any:
                if isinstance(said, Exception):
                    raise said
                return said

            proxy = MemoryProxy(LookupRouter("http://lookup", get))
            self.assertEqual(proxy.client().ask("GET", "http://a.example/").status, status)


class LookupHandler(BaseHTTPRequestHandler):
    """The other service, for the real program."""

    def do_GET(self) -> None:
        body = b'{"host": "127.0.0.1", "port": %d}' % self.server.backend_port  # type: ignore[attr-defined]
        known = self.path == "/domains/localhost"
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body) if known else 0))
        self.end_headers()
        if known:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class Programs(SynchronousTestCase):
    """Each of them as `twistd vegur --router` runs it, with real back-ends."""

    def serves(self, router: str, environment: dict[str, str], host: str = "localhost") -> ProxyProcess:
        """Start it, and see that `host` is served and another is not."""
        proxy = ProxyProcess(router, environment=environment)
        self.addCleanup(proxy.stop)
        with BlockingClient(proxy.port) as client:
            self.assertEqual(client.request("GET", "/", headers=[("Host", host)]).status, 200)
            self.assertEqual(client.request("GET", "/", headers=[("Host", "nobody.example")]).status, 404)
        return proxy

    def setUp(self) -> None:
        self.backend = ThreadedBackend()
        self.addCleanup(self.backend.stop)
        self.port = str(self.backend.port)

    def test_maintenance(self) -> None:
        """Redirect and maintenance."""
        self.serves(
            "examples.maintenance_router.MaintenanceRouter",
            {"BACKEND_PORT": self.port, "MAINTENANCE": str(new_folder(self))},
            "www.example",
        )

    def test_sqlite(self) -> None:
        """The table in SQLite; rows that come later are seen."""
        path = str(new_folder(self) / "routes.sqlite")
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE routes (domain TEXT, host TEXT, port INTEGER)")
            database.execute("INSERT INTO routes VALUES ('localhost', '127.0.0.1', ?)", (self.backend.port,))
        proxy = self.serves("examples.sqlite_router.SQLiteRouter", {"ROUTES_DATABASE": path})
        with sqlite3.connect(path) as database:
            database.execute(
                "INSERT INTO routes VALUES ('new.example', '127.0.0.1', ?)", (self.backend.port,)
            )
        with BlockingClient(proxy.port) as client:
            self.assertEqual(client.request("GET", "/", headers=[("Host", "new.example")]).status, 200)

    def test_tenant_limits(self) -> None:
        """Limits and quarantine."""
        self.serves("examples.tenant_limits_router.TenantLimitsRouter", {"BACKEND_PORTS": self.port})

    def test_http_lookup(self) -> None:
        """The other service, asked with treq."""
        server = HTTPServer(("127.0.0.1", 0), LookupHandler)
        server.backend_port = self.backend.port  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.serves(
            "examples.http_lookup_router.LookupRouter",
            {"LOOKUP_URL": f"http://127.0.0.1:{server.server_address[1]}/domains"},
        )
