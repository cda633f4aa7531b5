"""Rule 24: a router, or a stage, that never answers: between peers in memory, on a clock that the test turns."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.behaviour.conversation import GET, OK, Conversation, Ending
from vegurtx import Backend, RouteError
from vegurtx.testing import MemoryBackend, MemoryClient, MemoryProxy, RecordingRouter

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Routers(SynchronousTestCase):
    """Rule 24: a router, or a stage, that never answers."""

    LATE = ("undefined", "router_timeout")

    row = Conversation.row

    def asked(
        self, settings: Any = None, middlewares: Any = None, keepalive: Any = None, **answers: Any
    ) -> tuple[MemoryProxy, MemoryBackend, MemoryClient]:
        """A client's request is in a proxy whose router has these `answers`; after the test nothing may be left."""
        router = RecordingRouter([Backend("127.0.0.1", 8081, keepalive=keepalive)], **answers)
        proxy = MemoryProxy(router, settings, middlewares)
        self.addCleanup(proxy.stop)
        backend = proxy.backend("127.0.0.1", 8081)
        client = proxy.client()
        client.send(GET)
        return proxy, backend, client

    def assert_ends(self, proxy: MemoryProxy, phase: str, state: Any, status: str) -> None:
        """The one request has ended just so."""
        (checkin,) = proxy.of("checkin_service")
        (terminate,) = proxy.of("terminate")
        self.assertEqual(Ending(*checkin.arguments[2:], *terminate.arguments), Ending(phase, state, status))

    def test_each_callback(self) -> None:
        """Rule 24: after ``router_timeout`` it is cancelled, and the client gets a page."""
        for callback, phase in [
            ("init", "lookup"),
            ("lookup_domain_name", "lookup"),
            ("checkout_service", "checkout"),
            ("service_backend", "checkout"),
            ("feature", "connected"),
            ("additional_headers", "connected"),
        ]:
            for settings, limit in (({}, 30.0), ({"router_timeout": 5000}, 5.0)):
                with self.row(callback, settings):
                    cancelled: list[Any] = []
                    proxy, backend, client = self.asked(
                        settings, **{callback: lambda *_, c=cancelled: Deferred(c.append)}
                    )
                    proxy.advance(limit - 0.001)
                    self.assertEqual((client.received, cancelled), (b"", []))
                    proxy.advance(0.001)
                    response = client.receive_response()
                    self.assertEqual((response.status, response.header("Connection")), (503, "keep-alive"))
                    self.assert_ends(proxy, phase, self.LATE, "error")
                    self.assertEqual(len(cancelled), 1)
                    self.assertEqual(
                        [server.arrival.value for server in backend.connections],
                        ["reset"] if phase == "connected" else [],
                    )
                    client.close()
                    proxy.idle()

    def test_headers_of_the_response(self) -> None:
        """Rule 24: the same where the response waits for ``additional_headers``: nothing of it is out yet."""
        for said in (
            OK,
            OK[:-1],
            CHUNKED + b"5\r\nhel",
            b"HTTP/1.1 200 OK\r\n\r\nhi",
            b"HTTP/1.1 204 No\r\n\r\n",
        ):
            with self.row(said):
                never: Deferred[Any] = Deferred()
                proxy, backend, client = self.asked(
                    additional_headers=lambda way, *_, n=never: n if way == "downstream" else ()
                )
                server = backend.accept()
                server.send(said)
                self.assertEqual(len(proxy.of("additional_headers")), 2)
                proxy.advance(29.999)
                self.assertEqual(client.received, b"")
                proxy.advance(0.001)
                self.assertEqual(client.receive_response().status, 503)
                self.assert_ends(proxy, "connected", self.LATE, "error")
                server.closed()

    def test_error_page(self) -> None:
        """Rule 24: not even the page: then it is the table's own."""
        proxy, _, client = self.asked(
            lookup_domain_name=RouteError("not_found"), error_page=lambda *_: Deferred()
        )
        proxy.advance(30)
        self.assertEqual(client.receive_response().status, 404)
        self.assert_ends(proxy, "lookup", "not_found", "error")
        self.flushLoggedErrors()

    def test_last_calls(self) -> None:
        """Rule 24: nobody waits for ``checkin_service`` and ``terminate``: the response is out, the client goes on."""
        checked_in: Deferred[None] = Deferred()
        proxy, backend, client = self.asked(keepalive="default", checkin_service=lambda *_: checked_in)
        server = backend.accept()
        server.receive_request()
        server.send(OK)
        client.receive_response()
        proxy.router.on(checkin_service=None)
        client.send(GET)
        server.receive_request()
        server.send(OK)
        self.assertEqual(client.receive_response().body, b"hi")
        self.assertEqual([call.arguments for call in proxy.of("terminate")], [("normal",)])
        checked_in.callback(None)
        self.assertEqual([call.arguments for call in proxy.of("terminate")], [("normal",)] * 2)

    def test_stage(self) -> None:
        """Rule 24: a middleware's Deferred has the same deadline."""
        proxy, _, client = self.asked(middlewares=[lambda request: Deferred()])
        proxy.advance(29.999)
        self.assertEqual(client.received, b"")
        proxy.advance(0.001)
        self.assertEqual(client.receive_response().status, 503)
        self.assert_ends(proxy, "lookup", self.LATE, "error")
