"""Heroku's codes: each way in which a request goes wrong, and how the log calls it."""

from __future__ import annotations

from typing import Any

from tests.ops.access_log_case import GET, A, LogCase
from vegurtx import RouteError
from vegurtx.errors import REASONS, REJECTIONS
from vegurtx.ops.access_log.codes import DESCRIPTIONS, LABELS, label_of
from vegurtx.testing import MemoryProxy, answering, response_bytes, router_to

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


class Codes(LogCase):
    """By what the peers do."""

    def asked(self, **settings: Any) -> tuple[MemoryProxy, Any, Any]:
        """A proxy, a client that has sent its request, and the back-end's connection that has read it."""
        proxy = self.proxy(**settings)
        backend = proxy.backend(A.host, A.port)
        client = proxy.client()
        client.send(GET)
        server = backend.accept()
        server.receive_request()
        return proxy, client, server

    def test_no_first_byte(self) -> None:
        """H12."""
        proxy, _, _ = self.asked(downstream_timeout=3)
        proxy.advance(3)
        self.assert_said(at="error", code="H12", desc="Request timeout", service="3000ms", status="503")

    def test_no_response(self) -> None:
        """H13."""
        proxy, _, server = self.asked()
        server.close()
        proxy.settle()
        self.assert_said(code="H13", desc="Connection closed without response", status="503")

    def test_reset(self) -> None:
        """H18 has the table for a reset before the response; no socket is named."""
        proxy, _, server = self.asked()
        server.abort()
        proxy.settle()
        self.assert_said(code="H18", status="503")

    def test_malformed(self) -> None:
        """H17, H25."""
        for answer, code in ((b"nonsense\r\n\r\n", "H17"), (b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n", "H25")):
            proxy, client, server = self.asked()
            server.send(answer)
            proxy.settle()
            self.assert_said(at="error", code=code, status="502", bytes=str(len(client.received)))

    def test_back_end_breaks_off(self) -> None:
        """H18, with the status that the client had got, and the bytes."""
        for end in ("close", "abort"):
            proxy, _, server = self.asked()
            server.send(HALF)
            proxy.settle()
            getattr(server, end)()
            proxy.settle()
            self.assert_said(code="H18", sock="backend", status="200", bytes=str(len(HALF)))

    def test_client_breaks_off(self) -> None:
        """H18 in the response, H27 before it."""
        proxy, client, server = self.asked()
        server.send(HALF)
        proxy.settle()
        client.abort()
        proxy.settle()
        self.assert_said(code="H18", sock="client", status="200")
        proxy, client, _ = self.asked()
        client.abort()
        proxy.settle()
        self.assert_said(code="H27", desc="Client Request Interrupted", status="499", bytes="")

    def test_silence(self) -> None:
        """H15 in the response, H28 in the request's body."""
        proxy, _, server = self.asked(idle_timeout=5)
        server.send(HALF)
        proxy.advance(5)
        self.assert_said(code="H15", status="200")
        proxy = self.proxy(idle_timeout=5)
        proxy.backend(A.host, A.port)
        proxy.client().send(POST)
        proxy.advance(5)
        self.assert_said(code="H28", desc="Client Connection Idle", status="503")

    def test_silence_before_a_request(self) -> None:
        """H28 with 408."""
        proxy = self.proxy(timeout=2000)
        proxy.client().send(b"GET /")
        proxy.advance(2)
        self.assert_said(at="error", code="H28", status="408")

    def test_connects(self) -> None:
        """H10 where the router has no more, and whatever its own reason stands for."""
        proxy = self.proxy(router_to(A, exhausted=("downstream", "econnrefused")))
        proxy.client().send(GET)
        self.assert_said(code="H21", status="503", connect="", dyno="")
        proxy = self.proxy(router_to(A, exhausted="no_replica"))
        proxy.client().send(GET)
        self.assert_said(code="H10", status="503")

    def test_bad_requests(self) -> None:
        """H26 with what was asked for, as far as it can be read."""
        proxy = self.proxy()
        proxy.client().send(b'GET /a HTTP/1.1\r\nHost: a b"\r\n\r\n')
        self.assert_said(code="H26", status="400", path="/a", host='a b"')

    def test_crash(self) -> None:
        """H99."""
        proxy = self.proxy(router_to(checkout_service=RuntimeError("boom")))
        proxy.client().send(GET)
        self.assert_said(code="H99", desc="Platform error", status="503")
        self.flushLoggedErrors(RuntimeError)

    def test_forced_close(self) -> None:
        """H24: the program ended, and did not wait any more."""
        proxy, _, _ = self.asked()
        proxy.factory.stop()
        self.assert_said(code="H24", desc="Forced close", status="499")

    def test_tunnels(self) -> None:
        """A tunnel has its line when it ends: 101, and the bytes that came from the back-end."""
        request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
        switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
        proxy = self.proxy()
        backend = proxy.backend(A.host, A.port)
        client = proxy.client()
        client.send(request)
        server = backend.accept()
        server.receive_head()
        server.send(switched + b"12345")
        proxy.advance(7)
        self.assertEqual(self.lines.batch, [])
        client.half_close()
        proxy.settle()
        server.close()
        proxy.settle()
        self.assert_said(at="info", status="101", bytes=str(len(switched) + 5), service="7000ms")


class Tables(LogCase):
    """The table as a whole."""

    def test_every_code_is_described(self) -> None:
        """And each of them is Heroku's."""
        codes = {line.code for line in (*REASONS.values(), *REJECTIONS.values())} - {""}
        self.assertLessEqual(codes, set(DESCRIPTIONS))

    def test_labels_are_bounded(self) -> None:
        """Whatever a router raises, its label is one of the table's."""
        for reason in (*REASONS, "own", ("own", "x"), ("upstream", ("bad_chunk", "size")), ("downstream",)):
            self.assertIn(label_of(reason), LABELS)
        self.assertEqual(label_of(("upstream", ("bad_chunk", "size"))), "upstream.bad_chunk")
        self.assertEqual(label_of(("downstream", "timeout")), "downstream.timeout")
        self.assertEqual(label_of("my own"), "other")

    def test_reason_that_cannot_be_hashed(self) -> None:
        """A router may put anything into its reason."""
        proxy = self.proxy(router_to(checkout_service=RouteError(("own", [1], {}))))
        proxy.backend(A.host, A.port, answering(response_bytes()))
        proxy.client().send(GET)
        self.assert_said(at="info", desc="own", status="503")
