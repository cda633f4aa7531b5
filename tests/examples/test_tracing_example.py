"""The example of tracing: the router's own lookup is a part of the trace."""

from __future__ import annotations

from unittest import mock

from examples.tracing_router import LookupRouter
from vegurtx.testing import ProxyTestCase, answering, response_bytes
from vegurtx.tracing import TracedRouter

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GET = f"GET / HTTP/1.1\r\nHost: acme.example\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n\r\n".encode()


class Example(ProxyTestCase):
    """A tenant service, a back-end, and the router between them."""

    async def test_lookup_is_traced(self) -> None:
        """Tenant service and back-end get the same trace; a tenant that nobody knows gets its id in the page."""
        backend = await self.backend(handler=answering(response_bytes(200, b"hi")))
        tenants = await self.backend()
        with mock.patch.dict("os.environ", {"TENANTS": f"http://127.0.0.1:{tenants.port}"}):
            proxy = await self.proxy(TracedRouter(LookupRouter()))
        for status, body, expected in ((200, str(backend.port).encode(), 200), (404, b"", 404)):
            client = await proxy.connect()
            client.send(GET)
            asked = await tenants.accept()
            request = await asked.receive_request()
            self.assertEqual(request.target, "/acme.example")
            self.assertIn(TRACE, request.header("traceparent") or "")
            asked.send(response_bytes(status, body, headers=[("Connection", "close")]))
            asked.close()
            response = await client.receive_response()
            self.assertEqual(response.status, expected)
            client.close()
        self.assertEqual(response.header("X-Trace-Id"), TRACE)
        self.assertIn(TRACE.encode(), bytes(backend.connections[0].received))
