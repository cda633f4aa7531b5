"""Rules 2 and 13: the `Host` field and the target decide where a request goes."""

from __future__ import annotations

from tests.behaviour.recording import RecordingCase, added

GET = b"GET / HTTP/1.1\r\n"


class Hosts(RecordingCase):
    """Rule 2: exactly one `Host`, valid and not empty."""

    async def test_missing_or_empty(self) -> None:
        """Rule 2, Settled: a missing or an empty Host is `empty_host`, 400, also on HTTP/1.0."""
        await self.stage()
        await self.each(
            {
                "missing": GET + b"\r\n",
                "missing on 1.0": b"GET / HTTP/1.0\r\n\r\n",
                "missing on 1.0 with keep-alive": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                "empty": GET + b"Host:\r\n\r\n",
                "empty on 1.0": b"GET / HTTP/1.0\r\nHost:\r\n\r\n",
                "white space": GET + b"Host: \t \r\n\r\n",
                "a look-alike": GET + b"Host_: example.com\r\nX-Host: example.com\r\n\r\n",
                "missing, with an absolute target": b"GET http://example.com/ HTTP/1.1\r\n\r\n",
                "missing, with an absolute target on 1.0": b"GET http://example.com/ HTTP/1.0\r\n\r\n",
                "empty, with an absolute target": b"GET http://example.com/ HTTP/1.1\r\nHost:\r\n\r\n",
            },
            lambda request: self.refused(request, 400, "empty_host"),
        )

    async def test_several(self) -> None:
        """Rule 2, Settled: several Hosts are `bad_request`, 400, also equal ones and on HTTP/1.0."""
        await self.stage()
        await self.each(
            {
                "equal": GET + b"Host: example.com\r\nHost: example.com\r\n\r\n",
                "different": GET + b"Host: example.com\r\nHost: example.org\r\n\r\n",
                "other case": GET + b"Host: example.com\r\nX-Field: 1\r\nhOST: example.com\r\n\r\n",
                "the first empty": GET + b"Host:\r\nHost: example.com\r\n\r\n",
                "the second empty": GET + b"Host: example.com\r\nHost:\r\n\r\n",
                "both empty": GET + b"Host:\r\nHost:\r\n\r\n",
                "three": GET + b"Host: a\r\nHost: a\r\nHost: a\r\n\r\n",
                "on 1.0": b"GET / HTTP/1.0\r\nHost: example.com\r\nHost: example.com\r\n\r\n",
                "with an absolute target": b"GET http://example.com/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            },
            lambda request: self.refused(request, 400, "bad_request"),
        )

    async def test_malformed(self) -> None:
        """Rule 2, Settled: a malformed Host is `bad_request`, 400."""
        await self.stage()
        hosts = [
            b"exa mple.com", b"example.com, example.org", b"http://example.com", b"example.com/",
            b"example.com/path",
            b"user@example.com", b"example.com:port", b"example.com:-1", b"example.com:65536",
            b"example.com:0",
            b"example.com:80:80", b"example.com:999999", b"example.com:+80", b":80", b"[::1", b"::1",
            b"[::1]80",
            b"[::g]", b"[v1.a]", b"[fe80::1%25eth0]", b"[127.0.0.1]", b"example.com?", b"example.com#",
            b"ex\\ample.com",
            b"%zz.com", b"%2", b"ex\xe4mple.com", b"<script>", b"\"example.com\"", b"example.com\t80", b"@",
        ]  # fmt: skip
        await self.each(
            {host.decode("latin-1"): host for host in hosts},
            lambda host: self.refused(GET + b"Host: " + host + b"\r\n\r\n", 400, "bad_request"),
        )

    async def test_malformed_beside_an_absolute_target(self) -> None:
        """Rule 2: an absolute target does not excuse a malformed Host."""
        await self.stage()
        await self.each(
            {"user": b"user@a", "list": b"a, b", "path": b"a/b", "space": b"a b"},
            lambda host: self.refused(
                b"GET http://example.com/ HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 400, "bad_request"
            ),
        )

    async def test_good(self) -> None:
        """Rules 2 and 13: a good Host decides routing in lower case without port, and goes on once, as
        received.
        """
        await self.stage()
        hosts = {
            b"example.com": "example.com",
            b"EXAMPLE.Com": "example.com",
            b"example.com.": "example.com.",
            b"localhost": "localhost",
            b"a_b.example.com": "a_b.example.com",
            b"xn--bcher-kva.example": "xn--bcher-kva.example",
            b"127.0.0.1": "127.0.0.1",
            b"[::1]": "[::1]",
            b"[2001:DB8::1]": "[2001:db8::1]",
            b"%41.example": "%41.example",
            b"x" * 255: "x" * 255,
        }

        async def check(host: bytes) -> None:
            head = GET + b"hOsT: " + host + b"\r\nX-Field: 1\r\n"
            await self.passes(head + b"\r\n", head + added())
            (domain,) = self.router.of("lookup_domain_name")[-1].arguments
            self.assertEqual(domain, hosts[host])
            self.assertEqual(self.router.requests[-1].host, hosts[host])

        await self.each({host.decode(): host for host in hosts}, check)

    async def test_ports(self) -> None:
        """Rules 2, 12 and 13: the Host's port goes on in Host and in X-Forwarded-Port, not to the router."""
        await self.stage()
        ports = {
            b":80": (80, "http"),
            b":443": (443, "https"),
            b":8080": (8080, None),
            b":65535": (65535, None),
        }
        ports |= {b":1": (1, None), b":": (80, "http"), b":0080": (80, "http")}

        async def check(port: bytes) -> None:
            number, proto = ports[port]
            for host in (b"example.com", b"[::1]"):
                head = GET + b"Host: " + host + port + b"\r\n"
                await self.passes(head + b"\r\n", head + added(port=number, proto=proto))
                self.assertEqual(self.router.requests[-1].host, host.decode())

        await self.each({port.decode(): port for port in ports}, check)

    async def test_each_request_has_its_own(self) -> None:
        """Rule 2: requests on one connection may name one host after the other."""
        await self.stage()
        client = await self.front.connect()
        for host in ("a.example", "b.example:8080", "a.example", "A.example"):
            client.send(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
            self.assertEqual((await client.receive_response()).status, 200)
        self.assertEqual(
            [request.header("host") for request in self.seen],
            ["a.example", "b.example:8080", "a.example", "A.example"],
        )
        self.assertEqual(
            [call.arguments[0] for call in self.router.of("lookup_domain_name")],
            ["a.example", "b.example", "a.example", "a.example"],
        )
        self.assertEqual(
            [request.header("x-forwarded-port") for request in self.seen], ["80", "8080", "80", "80"]
        )


class Targets(RecordingCase):
    """Rule 2: the four forms of a request target."""

    async def test_absolute(self) -> None:
        """Rule 2: an absolute target's authority decides routing and replaces Host; the back-end gets
        origin-form.
        """
        await self.stage()
        targets = {
            b"http://example.com/path?query": (b"/path?query", b"example.com", 80, "http"),
            b"http://example.com": (b"/", b"example.com", 80, "http"),
            b"http://example.com?query": (b"/?query", b"example.com", 80, "http"),
            b"http://example.com/?": (b"/?", b"example.com", 80, "http"),
            b"http://example.com:8080/a": (b"/a", b"example.com:8080", 8080, None),
            b"HTTP://Example.COM/A": (b"/A", b"Example.COM", 80, "http"),
            b"https://example.com:443/": (b"/", b"example.com:443", 443, "https"),
            b"http://example.com//a": (b"//a", b"example.com", 80, "http"),
            b"http://[::1]:81/": (b"/", b"[::1]:81", 81, None),
            b"http://example.com/http://other/": (b"/http://other/", b"example.com", 80, "http"),
        }

        async def check(target: bytes) -> None:
            origin, host, port, proto = targets[target]
            for version in (b"1.1", b"1.0"):
                await self.passes(
                    b"GET " + target + b" HTTP/" + version + b"\r\nX-A: 1\r\nHost: other.example:99\r\n"
                    b"X-B: 2\r\n\r\n",
                    b"GET " + origin + b" HTTP/1.1\r\nX-A: 1\r\nX-B: 2\r\nHost: " + host + b"\r\n"
                    + added(port=port, proto=proto),
                )  # fmt: skip
                request = self.router.requests[-1]
                self.assertEqual(request.host, host.decode().lower().removesuffix(f":{port}"))
                self.assertEqual(self.router.of("lookup_domain_name")[-1].arguments, (request.host,))
                self.assertEqual(request.target, target.decode())
                path, _, query = origin.decode().partition("?")
                self.assertEqual((request.path, request.query), (path, query))

        await self.each({target.decode(): target for target in targets}, check)

    async def test_absolute_and_the_same_host(self) -> None:
        """Rules 2 and 13: where Host says the same as an absolute target, the back-end still gets it once."""
        await self.stage()
        await self.passes(
            b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
            GET + b"Host: example.com\r\n" + added(),
        )

    async def test_bad_absolute(self) -> None:
        """Rule 2, Settled: an absolute target without a valid authority, or of another scheme, is
        `bad_request`.
        """
        await self.stage()
        targets = [
            b"http://", b"http:///path", b"http://user@example.com/", b"http://user:word@example.com/",
            b"http://:80/",
            b"http://example.com:99999/", b"http://example.com:x/", b"http://[::1/",
            b"ftp://example.com/", b"ws://example.com/", b"file:///etc/passwd", b"http:/example.com/",
            b"http:example.com",
            b"httpx://example.com/", b"http://example.com\\@other.example/", b"http://a@b@c/",
        ]  # fmt: skip
        await self.each(
            {target.decode(): target for target in targets},
            lambda target: self.refused(
                b"GET " + target + b" HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_request"
            ),
        )

    async def test_asterisk(self) -> None:
        """Rule 2: OPTIONS may ask about the whole server, as `*` or as an absolute target without a path."""
        await self.stage()
        await self.passes(
            b"OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: example.com\r\n" + added(),
        )
        self.assertEqual((self.router.requests[-1].path, self.router.requests[-1].query), ("*", ""))
        await self.passes(
            b"OPTIONS http://example.com HTTP/1.1\r\nHost: other.example\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: example.com\r\n" + added(),
        )
        await self.passes(
            b"OPTIONS http://example.com/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
            b"OPTIONS / HTTP/1.1\r\nHost: example.com\r\n" + added(),
        )

    async def test_misplaced(self) -> None:
        """Rule 2, Settled: `*` with another method, and any other form, is `bad_request`, 400."""
        await self.stage()
        lines = [
            b"GET *", b"POST *", b"HEAD *", b"options *", b"OPTIONS **", b"OPTIONS *?a",
            b"GET example.com:80",
            b"GET example.com", b"GET path", b"GET ?query", b"GET .", b"GET :",
            b"OPTIONS example.com:443", b"GET \\path",
        ]  # fmt: skip
        await self.each(
            {line.decode(): line for line in lines},
            lambda line: self.refused(line + b" HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_request"),
        )

    async def test_origin_form_is_left_alone(self) -> None:
        """Rule 2: a path that looks like an authority or a URI is a path."""
        await self.stage()
        targets = [
            b"//other.example/",
            b"/http://other.example/",
            b"/*",
            b"/@other.example",
            b"/:80",
            b"/?",
            b"/??a#"[:-1],
        ]

        async def check(target: bytes) -> None:
            head = b"GET " + target + b" HTTP/1.1\r\nHost: example.com\r\n"
            await self.passes(head + b"\r\n", head + added())
            self.assertEqual(self.router.requests[-1].host, "example.com")

        await self.each({target.decode(): target for target in targets}, check)


class Refusals(RecordingCase):
    """Who is told, and how the connection ends."""

    async def test_the_router_writes_the_page(self) -> None:
        """Settled: what parses and is refused has the router's own page, and the connection is closed after
        it.
        """
        from vegurtx import ErrorPage

        page = ErrorPage(499, [("X-Page", "mine")], b"no such host")
        await self.stage(answers={"error_page": page})
        client = await self.front.connect()
        client.send(b"GET / HTTP/1.1\r\nHost:\r\n\r\nGET /next HTTP/1.1\r\nHost: example.com\r\n\r\n")
        response = await client.receive_response()
        self.assertEqual((response.status, response.body), (499, b"no such host"))
        self.assertEqual(
            [(name, value) for name, value in response.headers if name != "Date"],
            [("X-Page", "mine"), ("Server", "vegur"), ("Content-Length", "12"), ("Connection", "close")],
        )
        self.assertEqual(await client.receive_all(), b"")
        self.assertEqual(self.router.names, ["init", "error_page", "checkin_service", "terminate"])
        self.assertEqual(self.router.requests[0].response_code, 499)

    async def test_with_a_body_on_its_way(self) -> None:
        """Rule 2: a refused request's body is not read as a request, however long it is."""
        await self.stage()
        client = await self.front.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: 100000\r\n\r\n")
        client.send(b"GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n" * 100)
        self.assertTrue((await client.receive_all()).startswith(b"HTTP/1.1 400 Bad Request\r\n"))
        self.assertEqual(self.router.names.count("init"), 1)
        self.assertEqual(self.back.connections, [])

    async def test_head(self) -> None:
        """Rule 15: a refused HEAD gets its page's head only."""
        from vegurtx import ErrorPage

        await self.stage(answers={"error_page": ErrorPage(400, (), b"body")})
        client = await self.front.connect()
        client.send(b"HEAD / HTTP/1.1\r\n\r\n")
        response = await client.receive_response(b"HEAD")
        self.assertEqual(response.header("content-length"), "4")
        self.assertEqual(await client.receive_all(), b"")
