"""Rules 11 to 13: which of a request's fields go on, and what the router adds to them."""

from __future__ import annotations

import re
from typing import Any

from tests.behaviour.recording import OK_TO_CLIENT, RecordingCase, added, timeless

GET = b"GET / HTTP/1.1\r\n"
HOST = b"Host: example.com\r\n"
START = GET + HOST
ELSEWHERE = GET + b"Host: example.com:8080\r\n"


class Order(RecordingCase):
    """What is forwarded stays as it was sent."""

    async def test_untouched(self) -> None:
        """Rule 11: order, case, duplicates and white space of what is forwarded stay as sent."""
        await self.stage()
        head = (
            b"POST /a?b=c HTTP/1.1\r\nX-First: 1\r\nuSeR-aGeNt:curl\r\nhOsT: Example.COM\r\nAccept: */*\r\n"
            b"accept:text/html\r\n"
            b"COOKIE: a=1; b=2\r\nX-Empty:\r\nX-Spaces: \t a  b \t\r\nCookie: c=3\r\nConTent-LeNgth: 5\r\n"
            b"X-First: 2\r\n"
            b"Authorization: Basic eA==\r\nTrailer: X-Sum\r\nproxy-AuthentiCation: 0\r\nX-Latin: \xe9\r\n"
            b"X-First: 1\r\n"
        )
        await self.passes(head + b"\r\nhello", head + added() + b"hello")

    async def test_many(self) -> None:
        """Rule 11: the same with 900 fields, a third of them equal."""
        await self.stage()
        head = START + b"".join(b"X-%d: %d\r\nX-Same: 1\r\nx-SAME: %d\r\n" % (n, n, n) for n in range(300))
        await self.passes(head + b"\r\n", head + added())

    async def test_router_sees_all(self) -> None:
        """Rule 11: the router sees the fields as the client sent them, those that end here too."""
        await self.stage()
        fields = b"X-A: 1\r\nConnection: X-A\r\nKeep-Alive: 5\r\nx-a: 2\r\n"
        await self.passes(START + fields + b"\r\n", START + added())
        (request,) = self.router.requests
        self.assertEqual(
            list(request.headers),
            [
                (b"Host", b"example.com"),
                (b"X-A", b"1"),
                (b"Connection", b"X-A"),
                (b"Keep-Alive", b"5"),
                (b"x-a", b"2"),
            ],
        )
        self.assertEqual(request.headers.getall("X-a"), ["1", "2"])


class HopByHop(RecordingCase):
    """What belongs to the client's connection ends with it."""

    async def test_removed(self) -> None:
        """Rule 11: hop-by-hop fields are removed in any case, as often as they come."""
        await self.stage()
        await self.each(
            {
                "Connection": b"Connection: keep-alive\r\nCONNECTION: foo\r\n",
                "Keep-Alive": b"Keep-Alive: timeout=5, max=10\r\nkeep-alive: a\r\n",
                "TE": b"TE: deflate\r\nte: gzip;q=0.5\r\n",
                "an empty TE": b"TE:\r\n",
                "Proxy-Connection": b"Proxy-Connection: keep-alive\r\nproxy-connection: close\r\n",
                "Proxy-Authorization": b"prOxy-Authorization: Basic eA==\r\nProxy-Authorization: a\r\n",
                "Upgrade": b"Upgrade: websocket\r\nupgrade: h2c\r\n",
                "HTTP2-Settings": b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            },
            lambda fields: self.passes(
                START + fields + b"X-After: 1\r\n\r\n", START + b"X-After: 1\r\n" + added()
            ),
        )

    async def test_te_trailers(self) -> None:
        """Rule 11: of TE only `trailers` goes on."""
        await self.stage()
        await self.each(
            {
                "alone": b"TE: trailers\r\n",
                "in a list": b"TE: gzip, trailers, deflate;q=0.5\r\n",
                "in a field of its own": b"TE: deflate\r\nX-A: 1\r\nTE: trailers\r\n",
                "in another case": b"te: TRAILERS\r\n",
            },
            self._te,
        )

    async def _te(self, fields: bytes) -> None:
        kept = b"X-A: 1\r\n" if b"X-A" in fields else b""
        await self.passes(
            START + b"Connection: TE\r\n" + fields + b"\r\n", START + kept + b"TE: trailers\r\n" + added()
        )

    async def test_te_others(self) -> None:
        """Rule 11: what only resembles `trailers` does not go on."""
        await self.stage()
        for value in (b"trailer", b"trailersx", b"x-trailers", b'"trailers"', b"gzip;trailers"):
            await self.passes(START + b"TE: " + value + b"\r\n\r\n", START + added())

    async def test_nominated(self) -> None:
        """Rule 11: what a Connection field names is removed: each of them, in any case, wherever it
        stands.
        """
        await self.stage()
        await self.each(
            {
                "one": b"X-A: 1\r\nConnection: X-A\r\n",
                "before it and behind it": b"X-A: 1\r\nConnection: x-a\r\nX-B: 1\r\nx-A: 2\r\n",
                "in a list": b"Connection: close, X-A ,X-C\r\nX-B: 1\r\nX-A: 1\r\nX-C: 2\r\n",
                "in several Connections": b"Connection: X-A\r\nX-A: 1\r\nX-B: 1\r\nX-C: 1\r\n"
                b"Connection: keep-alive,X-C\r\n",
                "empty members": b"Connection: , ,X-A,\t,\r\nX-A: 1\r\n",
                "what everybody sends": b"Connection: Cookie, User-Agent\r\nCookie: a\r\nUser-Agent: b\r\n"
                b"Cookie: c\r\n",
                "what is not there": b"Connection: X-Z, close\r\n",
                "a hundred": b"Connection: "
                + b", ".join(b"X-%d" % n for n in range(100))
                + b"\r\n"
                + b"".join(b"X-%d: 1\r\n" % n for n in range(100)),
            },
            self._nominated,
        )

    async def _nominated(self, fields: bytes) -> None:
        kept = b"X-B: 1\r\n" if b"X-B" in fields else b""
        await self.passes(START + fields + b"\r\n", START + kept + added())

    async def test_never_taken_away(self) -> None:
        """Rule 11: Host, Content-Length and what the proxy adds are never taken away by naming them."""
        await self.stage(
            answers={"feature": {"peer_port"}, "additional_headers": {"upstream": [("X-Mine", "1")]}}
        )
        client = await self.front.connect()
        names = [b"Host", b"Content-Length", b"X-Forwarded-For", b"X-Forwarded-Port", b"X-Forwarded-Proto",
                 b"X-Forwarded-Peer-Port", b"X-Request-Id", b"X-Request-Start", b"Connect-Time",
                 b"Total-Route-Time",
                 b"Via", b"Connection", b"X-Mine"]  # fmt: skip
        client.send(
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nX-Forwarded-For: 10.0.0.1\r\n"
            b"Via: 1.0 a\r\n"
            b"X-Request-Id: abcdefghij0123456789\r\nX-Mine: 2\r\nConnection: " + b", ".join(names) + b"\r\n"
            b"\r\nhello"
        )  # fmt: skip
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        port = b"X-Forwarded-Peer-Port: %d\r\n" % client.local[1]
        self.assertEqual(
            timeless(self.seen[0].raw),
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n"
            b"X-Request-Id: abcdefghij0123456789\r\n" + port
            + added(
                forwarded_for="10.0.0.1, 127.0.0.1",
                request_id=None,
                via="1.0 a, 1.1 vegur",
                extra="X-Mine: 1\r\n",
            )
            + b"hello",
        )  # fmt: skip

    async def test_proto_never_taken_away(self) -> None:
        """Rules 11 and 12: that holds for X-Forwarded-Proto where it is left as it came, too."""
        await self.stage()
        head = ELSEWHERE + b"X-Forwarded-Proto: https\r\n"
        await self.passes(
            head + b"Connection: X-Forwarded-Proto\r\n\r\n", head + added(port=8080, proto=None)
        )

    async def test_malformed(self) -> None:
        """Settled: a Connection field that is no list of tokens is `bad_request_header`, 400."""
        await self.stage()
        await self.each(
            {
                "a space": b"Connection: keep alive\r\n",
                "a semicolon": b"Connection: close; x\r\n",
                "a quote": b'Connection: "close"\r\n',
                "a byte above ASCII": b"Connection: cl\xf6se\r\n",
                "in the second field": b"Connection: close\r\nConnection: a b\r\n",
                "a colon": b"Connection: Host:\r\n",
            },
            self._malformed,
        )
        self.assertEqual(self.back.connections, [])

    async def _malformed(self, fields: bytes) -> None:
        calls = len(self.router.calls)
        client = await self.front.connect()
        client.send(START + fields + b"\r\n" + START + b"\r\n")
        raw = await client.receive_all()
        client.close()
        self.assertEqual(
            timeless(raw),
            b"HTTP/1.1 400 Bad Request\r\nDate: #\r\nServer: vegur\r\nContent-Length: 0\r\n"
            b"Connection: close\r\n\r\n",
        )
        self.assertEqual(await self.router.finished, "error")
        self.assertEqual(
            [(call.name, call.arguments) for call in self.router.calls[calls:]][1:],
            [
                ("lookup_domain_name", ("example.com",)),
                ("error_page", ("bad_request_header", "example.com")),
                ("checkin_service", ("example.com", None, "checkout", "bad_request_header")),
                ("terminate", ("error",)),
            ],
        )


class OurConnection(RecordingCase):
    """What the proxy says of its own connection to the back-end."""

    async def test_kinds(self) -> None:
        """Rule 12: `Connection: close` where the connection serves one request, else `keep-alive`, as
        `Backend` says.
        """
        for keepalive, option in ((None, "close"), ("default", "keep-alive"), ("new", "keep-alive")):
            await self.stage(keepalive=keepalive)
            for _ in range(2):
                await self.passes(START + b"\r\n", START + added(connection=option))
            self.assertEqual(len(self.back.connections), 1 if keepalive == "default" else 2)

    async def test_whatever_the_client_says(self) -> None:
        """Settled: the client's own `Connection: close` or `keep-alive` changes nothing of it."""
        await self.stage()
        for field in (
            b"Connection: close\r\n",
            b"Connection: keep-alive\r\n",
            b"Connection: close, keep-alive\r\n",
        ):
            await self.passes(START + field + b"\r\n", START + added())
        self.assertEqual(len(self.back.connections), 1)
        await self.stage(keepalive=None)
        await self.passes(START + b"Connection: keep-alive\r\n\r\n", START + added(connection="close"))


class RoutersHeaders(RecordingCase):
    """`additional_headers("upstream", …)`."""

    async def _with(self, pairs: Any, fields: bytes, expected: bytes) -> None:
        self.router.on(additional_headers={"upstream": pairs, "downstream": []})
        await self.passes(START + fields + b"\r\n", expected)

    async def test_added(self) -> None:
        """Rule 12: what the router adds stands behind what the proxy adds, in its order, `str` or `bytes`."""
        await self.stage()
        await self._with(
            [("X-B", "1"), (b"x-a", b"2"), ("X-B", "3"), ("X-Empty", ""), ("X-Latin", "\xe9")],
            b"X-C: 1\r\n",
            START + b"X-C: 1\r\n"
            + added(extra="@").replace(b"@", b"X-B: 1\r\nx-a: 2\r\nX-B: 3\r\nX-Empty: \r\nX-Latin: \xe9\r\n"),
        )  # fmt: skip
        self.assertEqual(
            [call.arguments for call in self.router.of("additional_headers")],
            [("upstream",), ("downstream",)],
        )

    async def test_kinds_of_iterables(self) -> None:
        """Rule 12: any iterable of pairs will do; nothing, or `None`, adds nothing."""
        await self.stage()
        for pairs in ([], (), None, iter(())):
            await self._with(pairs, b"", START + added())
        for pairs in (
            (("X-B", "1"),),
            iter([("X-B", "1")]),
            (pair for pair in [["X-B", "1"]]),
            {("X-B", "1")},
        ):
            await self._with(pairs, b"", START + added(extra="X-B: 1\r\n"))
        await self._with({"X-B": "1"}.items(), b"", START + added(extra="X-B: 1\r\n"))

    async def test_replaced(self) -> None:
        """Rule 12: all fields of the same name give way, in any case, the client's and the proxy's."""
        await self.stage()
        await self._with(
            [("x-b", "new")],
            b"X-B: 1\r\nX-A: 1\r\nx-B: 2\r\n",
            START + b"X-A: 1\r\n" + added(extra="x-b: new\r\n"),
        )
        names = ["X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Request-Id"]
        names += ["X-Request-Start", "Connect-Time", "Total-Route-Time", "Via"]
        for name in names:
            ours = re.sub(rb"(?m)^%b: .*\r\n" % name.encode(), b"", added(extra=f"{name}: new\r\n"), count=1)
            await self._with([(name, "new")], b"", START + ours)

    async def test_host(self) -> None:
        """Rules 12 and 13: a router may give the back-end another Host; it stands there once."""
        await self.stage()
        await self._with([("Host", "inner.example")], b"", GET + added(extra="Host: inner.example\r\n"))

    async def test_cannot_be_sent(self) -> None:
        """Rule 12: what cannot be sent, or frames the message, makes the request fail as `crashed`; nothing
        is sent.
        """
        await self.stage()
        await self.each(
            {
                "CRLF in a value": [("X-A", "1\r\nX-B: 2")],
                "LF in a value": [("X-A", "1\n2")],
                "NUL in a value": [("X-A", "1\x00")],
                "CRLF in a name": [("X-A: 1\r\nX-B", "2")],
                "a space in a name": [("X A", "1")],
                "an empty name": [("", "1")],
                "no latin-1": [("X-A", "\u20ac")],
                "a number": [("X-A", 1)],
                "no pair": ["X-A"],
                "three": [("X-A", "1", "2")],
                "no iterable": 5,
                "Content-Length": [("Content-Length", "5")],
                "Transfer-Encoding": [("transfer-encoding", "chunked")],
                "Connection": [("Connection", "close")],
                "Upgrade": [("Upgrade", "x")],
            },
            self._crashes,
        )

    async def _crashes(self, pairs: Any) -> None:
        self.router.on(additional_headers={"upstream": pairs, "downstream": []})
        calls, seen = len(self.router.calls), len(self.seen)
        client = await self.front.connect()
        client.send(START + b"\r\n")
        self.assertEqual((await client.receive_response()).status, 503)
        client.close()
        self.assertEqual(await self.router.finished, "error")
        self.assertEqual(
            [(call.name, call.arguments) for call in self.router.calls[calls:]][-3:],
            [
                ("error_page", ("crashed", "example.com")),
                ("checkin_service", ("example.com", self.router.backends[0], "connected", "crashed")),
                ("terminate", ("error",)),
            ],
        )
        self.assertEqual(self.seen[seen:], [])
        logged = self.flushLoggedErrors()
        self.assertEqual(len(logged), 1)
