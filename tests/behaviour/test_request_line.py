"""Rules 1 and 4: the request line, and the grammar of the whole head."""

from __future__ import annotations

from tests.behaviour.recording import OK_TO_CLIENT, RecordingCase, added, timeless

REJECTION = b"HTTP/1.1 %b\r\nDate: #\r\nServer: vegur\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Versions(RecordingCase):
    """Rule 1: which versions are spoken."""

    async def test_1_1(self) -> None:
        """Rule 1: HTTP/1.1 goes on, and the client's connection stays open."""
        await self.stage()
        client = await self.front.connect()
        client.send(b"GET /path?query HTTP/1.1\r\nHost: example.com\r\n\r\n")
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual(
            timeless(self.seen[0].raw), b"GET /path?query HTTP/1.1\r\nHost: example.com\r\n" + added()
        )
        self.assertEqual(await self.router.finished, "normal")
        self.assertEqual(
            self.router.names,
            [
                "init",
                "lookup_domain_name",
                "checkout_service",
                "service_backend",
                "feature",
                "additional_headers",
                "additional_headers",
                "checkin_service",
                "terminate",
            ],
        )
        (checkin,) = self.router.of("checkin_service")
        self.assertEqual(checkin.arguments, ("example.com", self.router.backends[0], "connected", "normal"))
        client.send(b"GET /again HTTP/1.1\r\nHost: example.com\r\n\r\n")
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual([request.target for request in self.seen], ["/path?query", "/again"])
        self.assertEqual(client.unread, b"")

    async def test_1_0(self) -> None:
        """Rule 1: HTTP/1.0 goes on too, as HTTP/1.1."""
        await self.stage()
        await self.passes(
            b"GET / HTTP/1.0\r\nHost: example.com\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: example.com\r\n" + added(),
        )
        self.assertEqual(self.router.requests[0].version, (1, 0))

    async def test_other_versions(self) -> None:
        """Rule 1: other versions are answered 505 by the proxy itself, exactly so."""
        await self.stage()

        async def check(version: bytes) -> None:
            response = await self.refused(b"GET / " + version + b"\r\nHost: example.com\r\n\r\n", 505)
            self.assertEqual(timeless(response.raw), REJECTION % b"505 HTTP Version Not Supported")

        versions = [b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9", b"HTTP/1.2", b"HTTP/1.9"]
        await self.each({version.decode(): version for version in versions}, check)

    async def test_http2_preface(self) -> None:
        """Rule 1: a client that speaks HTTP/2 with prior knowledge gets 505."""
        await self.stage()
        await self.refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 505)

    async def test_0_9(self) -> None:
        """Rule 1: HTTP/0.9 gets 400, with and without a version."""
        await self.stage()
        await self.each(
            {
                "no version": b"GET /\r\n",
                "no version, with fields": b"GET /\r\nHost: example.com\r\n\r\n",
                "a version that never was": b"GET / HTTP/0.9\r\nHost: example.com\r\n\r\n",
            },
            lambda request: self.refused(request, 400),
        )


class Methods(RecordingCase):
    """Rule 1: which methods go on."""

    async def test_any_token(self) -> None:
        """Rule 1: every token is a method, and goes on as it is."""
        await self.stage()

        async def check(method: bytes) -> None:
            await self.passes(
                method + b" / HTTP/1.1\r\nHost: example.com\r\n\r\n",
                method + b" / HTTP/1.1\r\nHost: example.com\r\n" + added(),
            )
            self.assertEqual(self.router.requests[-1].method, method.decode())

        methods = [
            b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND", b"M-SEARCH",
            b"get",
            b"connect", b"MADE-UP", b"!#$%&'*+-.^_`|~09azAZ", b"X" * 200,
        ]  # fmt: skip
        await self.each({method.decode(): method for method in methods}, check)

    async def test_head(self) -> None:
        """Rule 1: HEAD goes on, and its answer has no body."""
        await self.stage(b"HTTP/1.1 200 OK\r\nServer: back-end\r\nContent-Length: 2\r\n\r\n")
        request, response, _ = await self.ask(b"HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        self.assertEqual(timeless(request.raw), b"HEAD / HTTP/1.1\r\nHost: example.com\r\n" + added())
        self.assertEqual(response.raw, (OK_TO_CLIENT % b"keep-alive")[: -len(b"hi")])

    async def test_connect(self) -> None:
        """Rule 1, Settled: CONNECT is `bad_request` with 405, whatever its target is."""
        await self.stage()
        targets = [
            b"example.com:443",
            b"example.com",
            b"/",
            b"*",
            b"http://example.com:80",
            b"http://example.com/",
        ]
        await self.each(
            {target.decode(): target for target in targets},
            lambda target: self.refused(
                b"CONNECT " + target + b" HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 405, "bad_request"
            ),
        )


def with_line(line: bytes) -> bytes:
    """A request with this request line."""
    return line + b"\r\nHost: example.com\r\n\r\n"


def with_fields(fields: bytes) -> bytes:
    """A request with these field lines (and a good Host)."""
    return b"GET / HTTP/1.1\r\nHost: example.com\r\n" + fields + b"\r\n"


BAD_LINES = {
    "two spaces before the target": with_line(b"GET  / HTTP/1.1"),
    "two spaces before the version": with_line(b"GET /  HTTP/1.1"),
    "a tab before the target": with_line(b"GET\t/ HTTP/1.1"),
    "a tab before the version": with_line(b"GET /\tHTTP/1.1"),
    "a space before the method": with_line(b" GET / HTTP/1.1"),
    "a space behind the version": with_line(b"GET / HTTP/1.1 "),
    "a fourth part": with_line(b"GET / HTTP/1.1 HTTP/1.1"),
    "no target": with_line(b"GET HTTP/1.1"),
    "an empty target": with_line(b"GET  HTTP/1.1"),
    "no method": with_line(b"/ HTTP/1.1"),
    "an empty method": with_line(b" / HTTP/1.1"),
    "a method that is no token": with_line(b"GE(T / HTTP/1.1"),
    "a method with a colon": with_line(b"GET: / HTTP/1.1"),
    "a method with a byte above ASCII": with_line(b"G\xc9T / HTTP/1.1"),
    "a NUL in the method": with_line(b"GE\x00T / HTTP/1.1"),
    "a space inside the target": with_line(b"GET /a b HTTP/1.1"),
    "a NUL in the target": with_line(b"GET /\x00 HTTP/1.1"),
    "a bell in the target": with_line(b"GET /\x07 HTTP/1.1"),
    "a DEL in the target": with_line(b"GET /\x7f HTTP/1.1"),
    "a bare CR in the target": with_line(b"GET /\r HTTP/1.1"),
    "a bare LF in the target": with_line(b"GET /\n HTTP/1.1"),
    "a form feed for a space": with_line(b"GET\x0c/ HTTP/1.1"),
    "a vertical tab for a space": with_line(b"GET /\x0bHTTP/1.1"),
    "a byte above ASCII in the target": with_line(b"GET /\xe9 HTTP/1.1"),
    "a no-break space for a space": with_line(b"GET\xa0/ HTTP/1.1"),
    "a fragment": with_line(b"GET /#fragment HTTP/1.1"),
    "a lower-case version": with_line(b"GET / http/1.1"),
    "a version without minor": with_line(b"GET / HTTP/1"),
    "a version with a long minor": with_line(b"GET / HTTP/1.10"),
    "a version with a long major": with_line(b"GET / HTTP/11.1"),
    "a version with a sign": with_line(b"GET / HTTP/+1.1"),
    "a version with a comma": with_line(b"GET / HTTP/1,1"),
    "another protocol": with_line(b"GET / ICAP/1.1"),
    "a request line that ends with LF": b"GET / HTTP/1.1\nHost: example.com\r\n\r\n",
    "a request line that ends with CR": b"GET / HTTP/1.1\rHost: example.com\r\n\r\n",
    "a request line that ends with CRCRLF": b"GET / HTTP/1.1\r\r\nHost: example.com\r\n\r\n",
    "two empty lines before it": b"\r\n\r\n" + with_line(b"GET / HTTP/1.1"),
    "a bare LF before it": b"\n" + with_line(b"GET / HTTP/1.1"),
    "a bare CR before it": b"\r" + with_line(b"GET / HTTP/1.1"),
    "a byte order mark": b"\xef\xbb\xbf" + with_line(b"GET / HTTP/1.1"),
    "a TLS hello": bytes.fromhex("16030100c4010000c00303") + bytes(185),
    "an SSH greeting": b"SSH-2.0-OpenSSH_9.6\r\n",
    "only fields": b"Host: example.com\r\n\r\n",
}

BAD_FIELDS = {
    "a space before the colon": with_fields(b"X-Field : 1\r\n"),
    "a tab before the colon": with_fields(b"X-Field\t: 1\r\n"),
    "a space inside the name": with_fields(b"X Field: 1\r\n"),
    "a space before the name": with_fields(b" X-Field: 1\r\n"),
    "an empty name": with_fields(b": 1\r\n"),
    "no colon": with_fields(b"X-Field\r\n"),
    "a name that is no token": with_fields(b"X-F(ield: 1\r\n"),
    "a name with a slash": with_fields(b"X/Field: 1\r\n"),
    "a name with a byte above ASCII": with_fields(b"X-F\xc9eld: 1\r\n"),
    "a NUL in a name": with_fields(b"X-\x00Field: 1\r\n"),
    "a NUL in a value": with_fields(b"X-Field: a\x00b\r\n"),
    "an escape in a value": with_fields(b"X-Field: a\x1bb\r\n"),
    "a DEL in a value": with_fields(b"X-Field: a\x7fb\r\n"),
    "a bare CR in a value": with_fields(b"X-Field: a\rb\r\n"),
    "a bare LF in a value": with_fields(b"X-Field: a\nX-Other: b\r\n"),
    "a bare CR at a value's end": with_fields(b"X-Field: a\r\r\n"),
    "a line that ends with LF": with_fields(b"X-Field: a\n"),
    "a line that ends with CR": with_fields(b"X-Field: a\r"),
    "a fold with a space": with_fields(b"X-Field: a\r\n b\r\n"),
    "a fold with a tab": with_fields(b"X-Field: a\r\n\tb\r\n"),
    "a fold of nothing": with_fields(b"X-Field: a\r\n \r\n"),
    "a fold before the first field": b"GET / HTTP/1.1\r\n Host: example.com\r\n\r\n",
    "an empty line of a space": with_fields(b" \r\n"),
    "an empty line of LF": b"GET / HTTP/1.1\r\nHost: example.com\r\n\n",
    "only LFs": b"GET / HTTP/1.1\nHost: example.com\n\n",
    "a request inside a value, behind LFs": with_fields(b"X-Field: a\n\nGET /smuggled HTTP/1.1\nHost: b\r\n"),
    "an empty line of CR": b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\r\n",
}


class Grammar(RecordingCase):
    """Rule 4: what breaks the grammar is answered 400 by the proxy itself, and nothing behind it is read."""

    async def test_bad_lines(self) -> None:
        """Rule 4: request lines, whole. Settled: no router sees them."""
        await self.stage()

        async def check(request: bytes) -> None:
            response = await self.refused(request, 400)
            self.assertEqual(timeless(response.raw), REJECTION % b"400 Bad Request")

        await self.each(BAD_LINES, check)
        self.assertEqual(self.router.calls, [])

    async def test_bad_fields(self) -> None:
        """Rule 4: field lines, whole. Settled: no router sees them."""
        await self.stage()
        await self.each(BAD_FIELDS, lambda request: self.refused(request, 400))
        self.assertEqual(self.router.calls, [])

    async def test_in_two_pieces(self) -> None:
        """Rule 4: the same vectors are refused wherever the network cuts them."""
        await self.stage()

        async def check(request: bytes) -> None:
            client = await self.front.connect()
            for at in (request[:9], request[9:-5], request[-5:]):
                client.send(at)
                await self.turns(1)
            self.assertTrue((await client.receive_all()).startswith(b"HTTP/1.1 400 Bad Request\r\n"))
            client.close()

        await self.each({**BAD_LINES, **BAD_FIELDS}, check)
        self.assertEqual(self.router.calls, [])
        self.assertEqual(self.back.connections, [])

    async def test_at_the_first_bad_byte(self) -> None:
        """Rule 4: the answer comes with the first byte that cannot be right; no line's end is waited for."""
        await self.stage()
        await self.each(
            {
                "in the method": b"GE\x00",
                "in the target": b"GET /\x01",
                "in the version": b"GET / HTTX",
                "in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX ",
                "in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00",
                "a fold": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n ",
                "a bare LF": b"GET / HTTP/1.1\n",
            },
            self._cut_short,
        )

    async def _cut_short(self, request: bytes) -> None:
        client = await self.front.connect()
        client.send(request)
        raw = await client.receive_all()
        client.close()
        self.assertEqual(timeless(raw), REJECTION % b"400 Bad Request")

    async def test_behind_a_good_request(self) -> None:
        """Rule 4: a bad request on a kept connection is answered behind the good one's answer."""
        await self.stage()
        client = await self.front.connect()
        client.send(
            b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\nGET  / HTTP/1.1\r\nHost: example.com\r\n\r\n"
        )
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual(timeless(await client.receive_all()), REJECTION % b"400 Bad Request")
        self.assertEqual(len(self.seen), 1)
        self.assertEqual(self.router.names.count("init"), 1)

    async def test_one_empty_line_before(self) -> None:
        """Rule 4: one empty line before a request line is skipped, before the first and before later ones."""
        await self.stage()
        client = await self.front.connect()
        client.send(b"\r\nPOST /1 HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc")
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        client.send(
            b"\r\nGET /2 HTTP/1.1\r\nHost: example.com\r\n\r\n\r\nGET /3 HTTP/1.1\r\nHost: example.com\r\n"
            b"\r\n"
        )
        await client.expect(OK_TO_CLIENT % b"keep-alive" * 2)
        self.assertEqual([request.target for request in self.seen], ["/1", "/2", "/3"])

    async def test_empty_line_byte_by_byte(self) -> None:
        """Rule 4: the empty line and the request may come a byte at a time."""
        await self.stage()
        client = await self.front.connect()
        for byte in b"\r\nGET / HTTP/1.1\r\nHost: example.com\r\n\r\n":
            client.send(bytes((byte,)))
            await self.turns(1)
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual(timeless(self.seen[0].raw), b"GET / HTTP/1.1\r\nHost: example.com\r\n" + added())

    async def test_unusual_but_right(self) -> None:
        """Rules 4 and 11: what is unusual and right goes on, byte for byte."""
        await self.stage()
        await self.each(
            {
                "a percent-encoded target": b"GET /%00%0d%0a?a=%20 HTTP/1.1\r\nHost: example.com\r\n",
                "every byte a target may have": b"GET /!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~ HTTP/1.1\r\n"
                b"Host: example.com\r\n",
                "two slashes": b"GET //example.org/a/../b HTTP/1.1\r\nHost: example.com\r\n",
                "dots": b"GET /../../etc/passwd HTTP/1.1\r\nHost: example.com\r\n",
                "an empty value": b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Field:\r\n",
                "white space around a value": b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Field: \t 1 \t\r\n",
                "no space behind the colon": b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Field:1\r\n",
                "colons in a value": b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Field: a:b: c\r\n",
                "a tab in a value": b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Field: a\tb\r\n",
                "bytes above ASCII in a value": b"GET / HTTP/1.1\r\nHost: example.com\r\n"
                b"X-Field: \xe9\xff\x80\r\n",
                "every byte a name may have": b"GET / HTTP/1.1\r\nHost: example.com\r\n"
                b"!#$%&'*+-.^_`|~09azAZ: 1\r\n",
            },
            lambda head: self.passes(head + b"\r\n", head + added()),
        )

    async def test_a_client_that_goes_on_talking(self) -> None:
        """Rule 4: the answer reaches a client that is still sending when it is refused; there is no reset."""
        await self.stage()
        client = await self.front.connect()
        client.send(b"GET  / HTTP/1.1\r\n" + b"x" * 200_000)
        client.send(b"y" * 200_000)
        self.assertEqual(timeless(await client.receive_all()), REJECTION % b"400 Bad Request")
