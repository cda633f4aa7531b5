"""Rule 18: what a client is told in the head of a response, the back-end's and the proxy's own."""

from __future__ import annotations

from typing import Any

from tests.behaviour.recording import OK, OK_TO_CLIENT, RecordingCase
from vegurtx.testing import ScriptedConnection

START = b"GET / HTTP/1.1\r\nHost: example.com\r\n"
BACK = b"HTTP/1.1 200 OK\r\nServer: back-end\r\n"
LENGTH = b"Content-Length: 2\r\n"
VIA = b"Via: 1.1 vegur\r\n"
KEEP = b"Connection: keep-alive\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"


class ResponseCase(RecordingCase):
    """What the tests of responses share."""

    async def answered(
        self, answer: bytes, expected: bytes, *, request: bytes = START + b"\r\n", **settings: Any
    ) -> ScriptedConnection:
        """Assert that the back-end's `answer` reaches the client as exactly `expected`; return its
        connection.
        """
        await self.stage(answer, **settings)
        client = await self.front.connect()
        client.send(request)
        await client.expect(expected)
        self.assertEqual(await self.router.finished, "normal")
        self.assertEqual(client.unread, b"")
        return client


class Untouched(ResponseCase):
    """What goes on as it came."""

    async def test_fields(self) -> None:
        """Rule 18: order, case, duplicates and white space of what is forwarded stay as the back-end sent
        them.
        """
        fields = (
            b"dAtE: Fri, 31 Dec 1999 23:59:59 GMT\r\nServEr: back-end\r\ntest-header: 1\r\n"
            b"Test-Header: 2\r\nSet-Cookie: a=1\r\n"
            b"X-Empty:\r\ntest-header:3\r\nset-cookie: b=2; Path=/\r\ncOntENT-lEnGTH: 2\r\n"
            b"X-Spaces: \t a  b \t\r\n"
            b"Trailer: X-Sum\r\nproXy-Authentication: 0\r\nProxy-Authenticate: Basic\r\nX-Latin: \xe9\r\n"
            b"Set-Cookie: a=1\r\n"
        )
        await self.answered(
            b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nhi", b"HTTP/1.1 200 OK\r\n" + fields + VIA + KEEP + b"hi"
        )

    async def test_status(self) -> None:
        """Rules 14 and 18: status and reason phrase go on, unusual and empty ones too; the version is
        ours.
        """
        for line, expected in (
            (b"HTTP/1.1 666 THE NUMBER OF THE BEAST", b"HTTP/1.1 666 THE NUMBER OF THE BEAST"),
            (b"HTTP/1.1 200 ", b"HTTP/1.1 200 "),
            (b"HTTP/1.1 200", b"HTTP/1.1 200 "),
            (b"HTTP/1.0 404 Nope", b"HTTP/1.1 404 Nope"),
            (b"HTTP/1.1 999 \xc3\xa9", b"HTTP/1.1 999 \xc3\xa9"),
            (b"HTTP/1.1 500 a  b\tc", b"HTTP/1.1 500 a  b\tc"),
        ):
            rest = b"\r\nServer: x\r\nContent-Length: 2\r\n"
            await self.answered(line + rest + b"\r\nhi", expected + rest + VIA + KEEP + b"hi")

    async def test_router_sees_all(self) -> None:
        """Rule 18: the router sees status and fields as the back-end gave them, those that end here too."""
        await self.answered(
            BACK + b"X-A: 1\r\nConnection: X-A\r\n" + LENGTH + b"\r\nhi", BACK + LENGTH + VIA + KEEP + b"hi"
        )
        (request,) = self.router.requests
        self.assertEqual(request.response_code, 200)
        self.assertEqual(
            list(request.response_headers),
            [(b"Server", b"back-end"), (b"X-A", b"1"), (b"Connection", b"X-A"), (b"Content-Length", b"2")],
        )


class HopByHop(ResponseCase):
    """What belongs to the back-end's connection ends with it."""

    async def test_removed(self) -> None:
        """Rule 18: hop-by-hop fields are removed in any case, as often as they come."""
        for fields in (
            b"Connection: keep-alive\r\nCONNECTION: foo\r\n",
            b"Keep-Alive: timeout=5\r\nkeep-alive: a\r\n",
            b"Proxy-Connection: keep-alive\r\n",
            b"Upgrade: h2c\r\nUPGRADE: websocket\r\n",
            b"TE: deflate\r\nte: trailers\r\n",
            b"prOxy-Authorization: whatever\r\n",
        ):
            await self.answered(
                BACK + fields + LENGTH + b"X-After: 1\r\n\r\nhi",
                BACK + LENGTH + b"X-After: 1\r\n" + VIA + KEEP + b"hi",
            )

    async def test_upgrade_required(self) -> None:
        """Rules 9 and 18: a 426 says what to upgrade to; that goes on."""
        await self.answered(
            b"HTTP/1.1 426 Upgrade Required\r\nServer: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Content-Length: 0\r\n\r\n",
            b"HTTP/1.1 426 Upgrade Required\r\nServer: x\r\nContent-Length: 0\r\nUpgrade: websocket\r\n"
            + VIA
            + KEEP,
        )

    async def test_nominated(self) -> None:
        """Rule 18: what the back-end's Connection names is removed, but framing and what the proxy adds."""
        await self.answered(
            BACK
            + b"X-A: 1\r\nConnection: x-a, X-B\r\nX-C: 1\r\nx-A: 2\r\nConnection: close\r\nX-B: 1\r\n"
            + LENGTH
            + b"\r\nhi",
            BACK + b"X-C: 1\r\n" + LENGTH + VIA + KEEP + b"hi",
        )
        await self.answered(
            BACK
            + b"Via: 1.0 a\r\nConnection: Content-Length, Via, Server, Connection\r\n"
            + LENGTH
            + b"\r\nhi",
            BACK + LENGTH + b"Via: 1.0 a, 1.1 vegur\r\n" + KEEP + b"hi",
        )
        await self.answered(
            BACK + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            BACK + b"Transfer-Encoding: chunked\r\n" + VIA + KEEP + b"2\r\nhi\r\n0\r\n\r\n",
        )

    async def test_malformed_connection(self) -> None:
        """Rule 18: a back-end's Connection field that is no list counts as `close` and ends here."""
        await self.answered(
            BACK + b"Connection: keep alive\r\n" + LENGTH + b"\r\nhi", BACK + LENGTH + VIA + KEEP + b"hi"
        )
        await self.back.connections[0].closed()

    async def test_on_interim_responses(self) -> None:
        """Rules 17 and 18: interim responses lose their hop-by-hop fields too, and keep the others."""
        await self.answered(
            b"HTTP/1.1 103 Early Hints\r\nConnection: X-A\r\nX-A: 1\r\nLink: </a>\r\nKeep-Alive: 1\r\n"
            b"link: </b>\r\n\r\n" + OK,
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink: </b>\r\n\r\n" + OK_TO_CLIENT % b"keep-alive",
        )


class Added(ResponseCase):
    """`Via`, `Server`, `Connection`."""

    async def test_via(self) -> None:
        """Rule 18: the proxy puts itself at the end of the Via chain, in one field."""
        for fields, chain in (
            (b"", b"1.1 vegur"),
            (b"Via: 1.1 proxy\r\n", b"1.1 proxy, 1.1 vegur"),
            (b"via: 1.0 a, 1.1 b\r\nVIA: 1.1 c\r\n", b"1.0 a, 1.1 b, 1.1 c, 1.1 vegur"),
        ):
            await self.answered(
                BACK + fields + LENGTH + b"\r\nhi", BACK + LENGTH + b"Via: " + chain + b"\r\n" + KEEP + b"hi"
            )

    async def test_server(self) -> None:
        """Rule 18: `Server: vegur` is added where the back-end named none, and only there."""
        none = b"HTTP/1.1 200 OK\r\nX-Server: a\r\n" + LENGTH
        await self.answered(none + b"\r\nhi", none + VIA + b"Server: vegur\r\n" + KEEP + b"hi")
        for server in (
            b"Server: Apache\r\n",
            b"sErVeR:nginx\r\n",
            b"Server: a\r\nServer: b\r\n",
            b"Server:\r\n",
        ):
            some = b"HTTP/1.1 200 OK\r\n" + server + LENGTH
            await self.answered(some + b"\r\nhi", some + VIA + KEEP + b"hi")

    async def test_connection(self) -> None:
        """Rule 18, Settled: every final response says `keep-alive` or `close` and means it, whatever the
        back-end does.
        """
        for theirs in (
            b"",
            b"Connection: close\r\n",
            b"Connection: keep-alive\r\n",
            b"Connection: close, keep-alive\r\n",
        ):
            answer = BACK + theirs + LENGTH + b"\r\nhi"
            expected = BACK + LENGTH + VIA
            for ours in (None, "default"):
                client = await self.answered(answer, expected + KEEP + b"hi", keepalive=ours)
                client.send(START + b"Connection: close\r\n\r\n" + START + b"\r\n")
                self.assertEqual(await client.receive_all(), expected + CLOSE + b"hi")
                self.assertEqual(len(self.seen), 2)

    async def test_connection_of_the_client(self) -> None:
        """Rule 18, Settled: `close` from the client closes, in any case and among others; anything else does
        not.
        """
        for option in (
            b"close",
            b"Close",
            b"CLOSE",
            b"x-a, close",
            b"close, keep-alive",
            b"keep-alive,close",
            b" close",
        ):
            client = await self.answered(
                OK, OK_TO_CLIENT % b"close", request=START + b"Connection: " + option + b"\r\n\r\n"
            )
            self.assertEqual(await client.receive_all(), b"")
        for option in (b"keep-alive", b"Keep-Alive", b"", b"x-a", b"closed", b"x-close"):
            client = await self.answered(
                OK, OK_TO_CLIENT % b"keep-alive", request=START + b"Connection: " + option + b"\r\n\r\n"
            )
            client.send(START + b"\r\n")
            await client.expect(OK_TO_CLIENT % b"keep-alive")

    async def test_connection_in_two_fields(self) -> None:
        """Rule 18, Settled: `close` in any of several Connection fields closes."""
        client = await self.answered(
            OK,
            OK_TO_CLIENT % b"close",
            request=START + b"Connection: keep-alive\r\nX-A: 1\r\nconnection: close\r\n\r\n",
        )
        self.assertEqual(await client.receive_all(), b"")


class Lengths(ResponseCase):
    """A back-end's `Content-Length` that comes more than once."""

    async def test_equal_ones(self) -> None:
        """Rules 5 and 18: several equal lengths are merged into one."""
        for fields in (
            LENGTH + b"X-A: 1\r\n" + LENGTH,
            b"X-A: 1\r\ncontent-length:2\r\n" + LENGTH + b"CONTENT-LENGTH: \t2\r\n",
        ):
            await self.answered(
                BACK + fields + b"\r\nhi", BACK + b"X-A: 1\r\nContent-Length: 2\r\n" + VIA + KEEP + b"hi"
            )

    async def test_equal_ones_without_a_body(self) -> None:
        """Rules 15 and 18: merged ones say the same length where no body follows (HEAD, 304)."""
        merged = b"Server: back-end\r\nContent-Length: 5\r\n" + VIA + KEEP
        for status, request in ((b"200 OK", b"HEAD" + START[3:]), (b"304 Not Modified", START)):
            await self.answered(
                b"HTTP/1.1 "
                + status
                + b"\r\nServer: back-end\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
                b"HTTP/1.1 " + status + b"\r\n" + merged,
                request=request + b"\r\n",
            )

    async def test_others(self) -> None:
        """Rule 14: different lengths, and a comma list even of equal ones, are 502 and nothing of the body
        goes on.
        """
        for fields in (
            LENGTH + b"Content-Length: 3\r\n",
            b"Content-Length: 2, 2\r\n",
            b"Content-Length: 2,3\r\n",
            b"Content-Length: 2, 2\r\n" * 2,
            LENGTH + b"content-length: 02\r\n",
        ):
            await self.stage(BACK + fields + b"\r\nhi")
            client = await self.front.connect()
            client.send(START + b"\r\n")
            response = await client.receive_response()
            self.assertEqual((response.status, response.body), (502, b""))
            self.assertEqual(await self.router.finished, "error")
            self.assertEqual(self.router.of("error_page")[0].arguments[0], ("downstream", "content_length"))
            await self.back.connections[0].closed()


class RoutersHeaders(ResponseCase):
    """`additional_headers("downstream", …)`."""

    async def _with(self, pairs: Any, answer: bytes, expected: bytes) -> None:
        await self.answered(
            answer, expected, answers={"additional_headers": {"upstream": [], "downstream": pairs}}
        )

    async def test_added(self) -> None:
        """Rule 18: what the router adds stands behind what the proxy adds, in its order, `str` or `bytes`."""
        await self._with(
            [("X-B", "1"), (b"x-a", b"2"), ("X-B", "3"), ("Set-Cookie", "a=b"), ("X-Latin", "\xe9")],
            OK,
            BACK
            + LENGTH
            + VIA
            + b"X-B: 1\r\nx-a: 2\r\nX-B: 3\r\nSet-Cookie: a=b\r\nX-Latin: \xe9\r\n"
            + KEEP
            + b"hi",
        )
        self.assertEqual(
            [call.arguments for call in self.router.of("additional_headers")],
            [("upstream",), ("downstream",)],
        )

    async def test_kinds_of_iterables(self) -> None:
        """Rule 18: any iterable of pairs will do; nothing, or `None`, adds nothing."""
        for pairs in ([], None, iter(())):
            await self._with(pairs, OK, OK_TO_CLIENT % b"keep-alive")
        for pairs in ((("X-B", "1"),), iter([("X-B", "1")]), {"X-B": "1"}.items()):
            await self._with(pairs, OK, BACK + LENGTH + VIA + b"X-B: 1\r\n" + KEEP + b"hi")

    async def test_replaced(self) -> None:
        """Rule 18: all fields of the same name give way, in any case, the back-end's and the proxy's."""
        await self._with(
            [("x-b", "new"), ("VIA", "nobody"), ("Server", "mine")],
            BACK + b"X-B: 1\r\nX-A: 1\r\nx-B: 2\r\n" + LENGTH + b"\r\nhi",
            b"HTTP/1.1 200 OK\r\nX-A: 1\r\n"
            + LENGTH
            + b"x-b: new\r\nVIA: nobody\r\nServer: mine\r\n"
            + KEEP
            + b"hi",
        )
        await self._with(
            [("Server", "mine")],
            b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\nhi",
            b"HTTP/1.1 200 OK\r\n" + LENGTH + VIA + b"Server: mine\r\n" + KEEP + b"hi",
        )

    async def test_on_a_chunked_response(self) -> None:
        """Rule 18: they stand in the head of a chunked response as well, and not in its trailers."""
        await self._with(
            [("X-B", "1")],
            BACK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
            BACK
            + b"Transfer-Encoding: chunked\r\n"
            + VIA
            + b"X-B: 1\r\n"
            + KEEP
            + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
        )

    async def test_on_interim_responses(self) -> None:
        """Rules 17 and 18: they are asked for once, for the final response."""
        await self._with(
            [("X-B", "1")],
            b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK,
            b"HTTP/1.1 103 Early Hints\r\n\r\n" + BACK + LENGTH + VIA + b"X-B: 1\r\n" + KEEP + b"hi",
        )
        self.assertEqual(self.router.names.count("additional_headers"), 2)

    async def test_cannot_be_sent(self) -> None:
        """Rule 18: what cannot be sent, or frames the message, becomes an error page; nothing of the answer
        goes on.
        """
        await self.stage()
        await self.each(
            {
                "CRLF in a value": [("X-A", "1\r\nX-B: 2")],
                "NUL in a value": [("X-A", "1\x00")],
                "CRLF in a name": [("X-A: 1\r\nX-B", "2")],
                "an empty name": [("", "1")],
                "a number": [("X-A", 1)],
                "no pair": ["X-A"],
                "no iterable": 5,
                "Content-Length": [("content-LENGTH", "5")],
                "Transfer-Encoding": [("Transfer-Encoding", "chunked")],
                "Connection": [("Connection", "close")],
            },
            self._crashes,
        )

    async def _crashes(self, pairs: Any) -> None:
        self.router.on(additional_headers={"upstream": [], "downstream": pairs})
        calls = len(self.router.calls)
        client = await self.front.connect()
        client.send(START + b"\r\n")
        response = await client.receive_response()
        client.close()
        self.assertEqual((response.status, response.body), (503, b""))
        self.assertEqual(await self.router.finished, "error")
        self.assertEqual(
            [(call.name, call.arguments) for call in self.router.calls[calls:]][-3:],
            [
                ("error_page", ("crashed", "example.com")),
                ("checkin_service", ("example.com", self.router.backends[0], "connected", "crashed")),
                ("terminate", ("error",)),
            ],
        )
        self.assertEqual(len(self.flushLoggedErrors()), 1)
