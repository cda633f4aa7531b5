"""Rule 18: the pages that the proxy writes itself: errors, redirects, and what the router makes of them."""

from __future__ import annotations

from typing import Any

from tests.behaviour.recording import RecordingCase, timeless
from vegurtx import ErrorPage, Redirect, RouteError
from vegurtx.testing import ScriptedConnection

START = b"GET / HTTP/1.1\r\nHost: example.com\r\n"
KEEP = b"Connection: keep-alive\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"
PAGE_END = b"Date: #\r\nServer: vegur\r\nContent-Length: %d\r\n%b"


class Pages(RecordingCase):
    """Pages that the proxy writes itself."""

    async def _page(
        self, answers: dict[str, Any], expected: bytes, request: bytes = START + b"\r\n"
    ) -> ScriptedConnection:
        """Assert that `request` gets exactly this page and nothing reaches a back-end."""
        await self.stage(answers=answers)
        client = await self.front.connect()
        client.send(request)
        await self.router.finished
        await self.until(lambda: len(timeless(client.received)) >= len(expected))
        self.assertEqual(timeless(client.received), expected)
        self.assertEqual(self.seen, [])
        return client

    async def test_default(self) -> None:
        """Rule 18: an error page carries Date, Server, Content-Length and Connection."""
        await self._page(
            {"lookup_domain_name": RouteError("not_found")},
            b"HTTP/1.1 404 Not Found\r\n" + PAGE_END % (0, KEEP),
        )
        self.assertEqual(
            [(call.name, call.arguments) for call in self.router.calls[2:]],
            [
                ("error_page", ("not_found", None)),
                ("checkin_service", (None, None, "lookup", "not_found")),
                ("terminate", ("error",)),
            ],
        )

    async def test_routers_own(self) -> None:
        """Rule 18: the router's fields come first, in its order and case, and its own Date and Server
        count.
        """
        pairs = [("X-B", "1"), (b"x-a", b"2"), ("Content-Type", "text/plain"), ("X-B", "3")]
        await self._page(
            {"lookup_domain_name": RouteError("mine"), "error_page": ErrorPage(499, pairs, b"sorry")},
            b"HTTP/1.1 499 \r\nX-B: 1\r\nx-a: 2\r\nContent-Type: text/plain\r\nX-B: 3\r\n"
            + PAGE_END % (5, KEEP)
            + b"sorry",
        )
        await self._page(
            {
                "checkout_service": RouteError("mine"),
                "error_page": ErrorPage(503, [("date", "x"), ("SERVER", "y")], "\xe9"),
            },
            b"HTTP/1.1 503 Service Unavailable\r\ndate: x\r\nSERVER: y\r\nContent-Length: 2\r\n"
            + KEEP
            + b"\xc3\xa9",
        )
        self.assertEqual(
            self.router.of("checkin_service")[0].arguments, ("example.com", None, "checkout", "mine")
        )

    async def test_head(self) -> None:
        """Rules 15 and 18: for HEAD a page's length is told and its body left out."""
        await self._page(
            {"lookup_domain_name": RouteError("mine"), "error_page": ErrorPage(404, (), b"sorry")},
            b"HTTP/1.1 404 Not Found\r\n" + PAGE_END % (5, KEEP),
            b"HEAD" + START[3:] + b"\r\n",
        )

    async def test_without_a_body(self) -> None:
        """Rules 15 and 18: a 204 and a 304 page have no body, and claim none."""
        for code, line in ((204, b"204 No Content"), (304, b"304 Not Modified")):
            await self._page(
                {"lookup_domain_name": RouteError("mine"), "error_page": ErrorPage(code, (), b"sorry")},
                b"HTTP/1.1 " + line + b"\r\nDate: #\r\nServer: vegur\r\n" + KEEP,
            )

    async def test_closing(self) -> None:
        """Rule 18, Settled: a page says `close` to a client that asked for it, and closes."""
        client = await self._page(
            {"lookup_domain_name": RouteError("not_found")},
            b"HTTP/1.1 404 Not Found\r\n" + PAGE_END % (0, CLOSE),
            START + b"Connection: close\r\n\r\n" + START + b"\r\n",
        )
        await client.eof()

    async def test_kept_when_the_body_is_read(self) -> None:
        """Settled: a router's page keeps the connection when the request's body has been read, and what
        follows is answered.
        """
        start = b"POST / HTTP/1.1\r\nHost: example.com\r\n"
        body = start + b"Content-Length: 5\r\n\r\nhello"
        chunks = start + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        page = b"HTTP/1.1 404 Not Found\r\n" + PAGE_END % (0, KEEP)
        for request in (body, chunks):
            await self._page(
                {"lookup_domain_name": RouteError("not_found")}, page * 2, request + START + b"\r\n"
            )

    async def test_closed_when_it_is_not(self) -> None:
        """Settled: a router's page closes the connection when the body is still on its way; it is never a
        request.
        """
        for request in (
            b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 500\r\n\r\n" + START + b"\r\n",
            b"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        ):
            client = await self._page(
                {"lookup_domain_name": RouteError("not_found")},
                b"HTTP/1.1 404 Not Found\r\n" + PAGE_END % (0, CLOSE),
                request,
            )
            await client.eof()
            self.assertEqual(self.router.names.count("init"), 1)

    async def test_redirect(self) -> None:
        """Rule 18, Settled: a redirect keeps path and query, and carries the same fields as a page."""
        await self._page(
            {"lookup_domain_name": Redirect("new.example")},
            b"HTTP/1.1 301 Moved Permanently\r\nLocation: http://new.example/a%20b?c=d&e\r\n"
            + PAGE_END % (0, KEEP),
            b"GET /a%20b?c=d&e HTTP/1.1\r\nHost: example.com\r\n\r\n",
        )
        self.assertEqual(
            [(call.name, call.arguments) for call in self.router.calls[2:]],
            [("checkin_service", (None, None, "lookup", "normal")), ("terminate", ("normal",))],
        )

    async def test_redirect_of_other_forms(self) -> None:
        """Rules 2 and 18: a redirect of an absolute target keeps its path, one of `OPTIONS *` has none."""
        for line, location in (
            (b"GET http://example.com:81/a?b", b"http://new.example/a?b"),
            (b"GET http://example.com?b", b"http://new.example/?b"),
            (b"OPTIONS *", b"http://new.example"),
        ):
            await self._page(
                {"lookup_domain_name": Redirect("new.example")},
                b"HTTP/1.1 301 Moved Permanently\r\nLocation: " + location + b"\r\n" + PAGE_END % (0, KEEP),
                line + b" HTTP/1.1\r\nHost: example.com\r\n\r\n",
            )

    async def test_cannot_be_sent(self) -> None:
        """Rule 18: a page that cannot be sent gives way to the default one for the same reason."""
        for wrong in (
            ErrorPage(404, [("X-A", "1\r\nX-B: 2")]),
            ErrorPage(404, [("Content-Length", "5")]),
            ErrorPage(404, [("Connection", "close")]),
            ErrorPage(99),
            ErrorPage(101),
            ErrorPage(600),
            ErrorPage(404, (), 5),  # type: ignore[arg-type]
            "no page",
            None,
        ):
            await self._page(
                {"lookup_domain_name": RouteError("not_found"), "error_page": wrong},
                b"HTTP/1.1 404 Not Found\r\n" + PAGE_END % (0, KEEP),
            )
            self.assertEqual(len(self.flushLoggedErrors()), 1)
