"""`MemoryProxy.idle` and `stop`: what is left of what the clients did."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend
from vegurtx.testing import ConversationError, MemoryProxy, answering, response_bytes, router_to

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = response_bytes(200, b"hi")
A = Backend("127.0.0.1", 8081)
B = Backend("127.0.0.1", 8082)
POOLED = Backend("127.0.0.1", 8081, keepalive="default")


class LeftOver(SynchronousTestCase):
    """`idle` and `stop`."""

    def served(self, backend: Backend, **answers: Any) -> tuple[MemoryProxy, Any]:
        """One request has been served; the client is still there."""
        proxy = MemoryProxy(router_to(backend, **answers))
        proxy.backend("127.0.0.1", 8081, answering(OK))
        client = proxy.client()
        client.ask("GET", "http://x/")
        return proxy, client

    def complaint(self, proxy: MemoryProxy, **idle: Any) -> str:
        """What `idle` says."""
        return str(self.assertRaises(ConversationError, proxy.idle, **idle))

    def test_nothing(self) -> None:
        """A proxy that has served, and whose pool is empty or as full as it shall be."""
        proxy, client = self.served(A)
        client.close()
        proxy.idle()
        proxy, client = self.served(POOLED)
        client.close()
        proxy.idle(pooled=1)
        self.assertIn("the pool has 1 connections, not 0", self.complaint(proxy))
        self.assertEqual(proxy.pooled, 1)
        proxy.advance(100)
        proxy.idle()
        proxy.stop()

    def test_client(self) -> None:
        """A client that is still connected; its timeout is one, too."""
        proxy, _ = self.served(A)
        complaint = self.complaint(proxy)
        self.assertIn("the proxy's end to client 1", complaint)
        self.assertIn("a delayed call", complaint)
        proxy.stop()
        proxy.idle()

    def test_request(self) -> None:
        """A request that has not ended; `stop` ends it."""
        proxy = MemoryProxy(router_to(A, checkout_service=lambda *_: Deferred()))
        proxy.client().send(GET)
        self.assertIn("the router's last call was checkout_service", self.complaint(proxy))
        proxy.stop()
        self.assertEqual(proxy.of("terminate")[0].arguments, ("error",))

    def test_connection_to_a_back_end(self) -> None:
        """A connection that nobody has any more."""
        proxy, client = self.served(POOLED)
        client.close()
        proxy.factory.client.pool.take(POOLED.key)
        self.assertIn("1 connections to back-ends, 0 of them in the pool", self.complaint(proxy))
        self.assertIn("127.0.0.1:8081", str(self.assertRaises(ConversationError, proxy.stop)))

    def test_last_call_that_never_ends(self) -> None:
        """A ``checkin_service`` whose Deferred never fires keeps ``terminate`` back, even after `stop`."""
        proxy, client = self.served(A, checkin_service=lambda *_: Deferred())
        client.close()
        self.assertIn("the router's last call was checkin_service", self.complaint(proxy))
        self.assertRaises(ConversationError, proxy.stop)

    def test_accounting(self) -> None:
        """A request with two ends, with a check-in too many or without one; connects that failed are not its end."""
        proxy = MemoryProxy(router_to(B, A))
        proxy.backend("127.0.0.1", 8081, answering(OK))
        client = proxy.client()
        client.ask("GET", "http://x/")
        client.close()
        proxy.idle()
        good = list(proxy.calls)
        *_, checkin, terminate = good
        for calls in (
            [*good, terminate],
            [*good, checkin],
            [checkin, *good],
            [call for call in good if call is not checkin],
        ):
            proxy.calls[:] = calls
            self.assertIn("ended with", self.complaint(proxy))

    def test_delayed_call(self) -> None:
        """A timer of the router's own."""
        proxy = MemoryProxy(router_to())
        call = proxy.clock.callLater(5, lambda: None)
        self.assertIn("a delayed call", self.complaint(proxy))
        call.cancel()
        proxy.idle()
