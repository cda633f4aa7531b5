"""Rule 5, and every shape of request smuggling: where a request ends is never in doubt, or it is refused.

The back-end records. It must never see a second request that the client did not send as one; each vector is
followed by a good request that nobody may read where the framing before it is refused.
"""

from __future__ import annotations

from tests.behaviour.recording import OK_TO_CLIENT, SMUGGLED, RecordingCase, added, timeless
from vegurtx.testing import router_to

POST = b"POST / HTTP/1.1\r\nHost: example.com\r\n"
BAD_CODING = ("upstream", "invalid_transfer_encoding")
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def lines(fields: bytes, body: bytes = b"", start: bytes = POST) -> bytes:
    """A request with these field lines, and what follows its head."""
    return start + fields + b"\r\n" + body


class Lengths(RecordingCase):
    """`Content-Length`: digits, once or equal."""

    async def test_one(self) -> None:
        """Rule 5: a length frames the body, and goes on as it came."""
        await self.stage()
        await self.each(
            {
                "five": (b"Content-Length: 5\r\n", b"hello"),
                "none": (b"Content-Length: 0\r\n", b""),
                "another case": (b"cOnTeNt-LeNgTh: 5\r\n", b"hello"),
                "white space around": (b"Content-Length: \t 5 \t\r\n", b"hello"),
                "no white space": (b"Content-Length:5\r\n", b"hello"),
                "a body like a request": (b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
                "a body like chunks": (b"Content-Length: 12\r\n", b"2\r\nhi\r\n0\r\n\r\n"),
                "a megabyte": (b"Content-Length: 1000000\r\n", b"m" * 1_000_000),
            },
            self._framed,
        )

    async def _framed(self, vector: tuple[bytes, bytes]) -> None:
        field, body = vector
        await self.passes(lines(field, body), POST + field + added() + body)

    async def test_any_method(self) -> None:
        """Rule 5: a length frames the body of any method."""
        await self.stage()
        for method in (b"GET", b"DELETE", b"OPTIONS", b"MADE-UP", b"PATCH", b"PUT"):
            head = method + b" / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n"
            await self.passes(head + b"\r\nhello", head + added() + b"hello")

    async def test_no_length(self) -> None:
        """Rule 5: without a length there is no body, and none is claimed to the back-end."""
        await self.stage()
        client = await self.front.connect()
        client.send(
            lines(b"") + lines(b"Content-Length: 0\r\n", start=b"PUT / HTTP/1.1\r\nHost: example.com\r\n")
        )
        await client.expect((OK_TO_CLIENT % b"keep-alive") * 2)
        self.assertEqual(timeless(self.seen[0].raw), POST + added())
        self.assertEqual([request.method for request in self.seen], ["POST", "PUT"])

    async def test_equal_ones(self) -> None:
        """Rule 5: several equal lengths are merged into one."""
        await self.stage()
        merged = b"X-A: 1\r\nX-B: 2\r\nContent-Length: 5\r\n"
        await self.each(
            {
                "two": b"X-A: 1\r\nContent-Length: 5\r\nContent-Length: 5\r\nX-B: 2\r\n",
                "apart": b"Content-Length: 5\r\nX-A: 1\r\ncontent-length:5\r\nX-B: 2\r\n"
                b"CONTENT-LENGTH: \t5\r\n",
            },
            lambda fields: self.passes(lines(fields, b"hello"), POST + merged + added() + b"hello"),
        )
        client = await self.front.connect()
        client.send(lines(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello") + SMUGGLED)
        await client.expect((OK_TO_CLIENT % b"keep-alive") * 2)
        self.assertEqual(
            [request.target for request in self.seen[-2:]], ["/", "/smuggled"]
        )  # it was sent as one

    async def test_equal_zeros(self) -> None:
        """Rule 5: equal lengths of 0 are merged as well."""
        await self.stage()
        await self.passes(
            lines(b"Content-Length: 0\r\nContent-Length: 0\r\n"), POST + b"Content-Length: 0\r\n" + added()
        )

    async def test_bad(self) -> None:
        """Rule 5, Settled: any other length is `bad_request`, 400."""
        await self.stage()
        values = [
            b"", b"+5", b"-5", b"-0", b"5,", b",5", b"5, 5", b"5,5", b"5, 6", b"5;", b"5 5", b"5 hello",
            b"0x5", b"5h",
            b"five", b"5.0", b"5e0", b"1_0", b"\"5\"", b"\xb2", b"\xd9\xa5", b"9" * 20, b"9" * 1000,
            b"9223372036854775808",
            b"18446744073709551621", b"chunked", b"identity", b"5\t5", b"0,",
        ]  # fmt: skip
        await self.each(
            {value[:30].decode("latin-1"): value for value in values},
            lambda value: self.refused(
                lines(b"Content-Length: " + value + b"\r\n", b"hello"), 400, "bad_request"
            ),
        )

    async def test_different_ones(self) -> None:
        """Rule 5, Settled: several lengths that differ in any way are `bad_request`, 400."""
        await self.stage()
        pairs = [(b"5", b"6"), (b"6", b"5"), (b"0", b"5"), (b"5", b"0"), (b"5", b"05"), (b"5",
        b"+5"), (b"5", b""),
                 (b"", b"5"), (b"", b""), (b"5", b"5, 5"), (b"5", b"x"), (b"x", b"x"), (b"5,5",
                 b"5,5")]  # fmt: skip
        vectors = {
            f"{first!r} and {second!r}": b"Content-Length: "
            + first
            + b"\r\nX: 1\r\ncontent-length: "
            + second
            + b"\r\n"
            for first, second in pairs
        }
        vectors["the third"] = b"Content-Length: 5\r\n" * 2 + b"Content-Length: 6\r\n"
        await self.each(
            vectors,
            lambda fields: self.refused(lines(fields, b"hello"), 400, "bad_request"),
        )

    async def test_bad_on_1_0(self) -> None:
        """Rule 5: lengths are judged alike on HTTP/1.0."""
        await self.stage()
        start = b"POST / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n"
        await self.each(
            {"list": b"Content-Length: 5, 5\r\n", "sign": b"Content-Length: +5\r\n"},
            lambda fields: self.refused(lines(fields, b"hello", start), 400, "bad_request"),
        )

    async def test_largest(self) -> None:
        """Rule 5: the largest sane length is believed, and its body waited for; what comes of it is body."""
        back = await self.backend()
        front = await self.proxy(router := router_to(back))
        client = await front.connect()
        client.send(lines(b"Content-Length: 9223372036854775807\r\n", SMUGGLED))
        server = await back.accept()
        head = await server.receive_head()
        self.assertIn(b"\r\nContent-Length: 9223372036854775807\r\n", head)
        await server.expect(SMUGGLED)
        client.close()
        self.assertEqual(await router.finished, "error")
        await server.closed()
        self.assertEqual(router.names.count("init"), 1)


class Codings(RecordingCase):
    """`Transfer-Encoding`: `chunked`, once, alone, on HTTP/1.1."""

    async def test_chunked(self) -> None:
        """Rules 5 and 6: a chunked body is read, and written out afresh."""
        await self.stage()
        await self.each(
            {
                "as usual": CHUNKED,
                "upper case": b"Transfer-Encoding: CHUNKED\r\n",
                "mixed case": b"tRANSFER-eNCODING: chUNKed\r\n",
                "no white space": b"Transfer-Encoding:chunked\r\n",
                "white space": b"Transfer-Encoding: \tchunked  \r\n",
            },
            self._chunked,
        )

    async def _chunked(self, field: bytes) -> None:
        await self.passes(
            lines(field, b"2\r\nhi\r\n0\r\n\r\n"), POST + field + added() + b"2\r\nhi\r\n0\r\n\r\n"
        )

    async def test_what_follows_is_the_next_request(self) -> None:
        """Rule 5: the request behind a chunked body's end is the client's own, and is answered."""
        await self.stage()
        client = await self.front.connect()
        client.send(lines(CHUNKED, b"0\r\n\r\n") + SMUGGLED)
        await client.expect((OK_TO_CLIENT % b"keep-alive") * 2)
        self.assertEqual(timeless(self.seen[0].raw), POST + CHUNKED + added() + b"0\r\n\r\n")
        self.assertEqual([request.target for request in self.seen], ["/", "/smuggled"])

    async def test_a_body_like_a_request(self) -> None:
        """Rule 5: a request inside a chunk is body, whatever the segments."""
        await self.stage()
        chunk = b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED)
        client = await self.front.connect()
        for at in (POST, CHUNKED + b"\r\n", chunk[:3], chunk[3:20], chunk[20:], b"0", b"\r", b"\n\r", b"\n"):
            client.send(at)
            await self.turns(2)
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual([request.body for request in self.seen], [SMUGGLED])
        self.assertEqual(self.router.names.count("init"), 1)

    async def test_other_final_coding(self) -> None:
        """Rule 5, Settled: what is no single `chunked` is `("upstream", "invalid_transfer_encoding")`,
        400.
        """
        await self.stage()
        values = [
            b"", b",", b"chunked,", b",chunked", b"chunked, chunked", b"chunked,chunked", b"gzip",
            b"gzip, chunked",
            b"chunked, gzip", b"deflate", b"compress", b"identity", b"identity, chunked",
            b"chunked, identity",
            b"chunked;a=b", b"chunked ;a", b"chunked chunked", b"chunked gzip", b"\"chunked\"",
            b"chunked;", b"chunked\xa0", b"\xefchunked", b"(chunked)", b"chunked:", b"=chunked", b"[chunked]",
        ]  # fmt: skip
        await self.each(
            {value.decode("latin-1"): value for value in values},
            lambda value: self.refused(
                lines(b"Transfer-Encoding: " + value + b"\r\n", b"0\r\n\r\n"), 400, BAD_CODING
            ),
        )

    async def test_unknown_coding(self) -> None:
        """Rule 5: a coding that nobody knows is 501."""
        await self.stage()
        values = [b"xchunked", b"chunkedx", b"chunk", b"cow", b"cow, chunked", b"chunked, cow",
        b"cow;a=b", b"'chunked",
                  b"chunked-", b"Chunked1", b"x"]  # fmt: skip
        await self.each(
            {value.decode(): value for value in values},
            lambda value: self.refused(
                lines(b"Transfer-Encoding: " + value + b"\r\n", b"0\r\n\r\n"), 501, BAD_CODING
            ),
        )

    async def test_several(self) -> None:
        """Rule 5: several Transfer-Encoding fields are refused, equal ones too."""
        await self.stage()
        await self.each(
            {
                "equal": CHUNKED + CHUNKED,
                "equal in other cases": CHUNKED + b"X: 1\r\ntransfer-encoding: CHUNKED\r\n",
                "identity first": b"Transfer-Encoding: identity\r\n" + CHUNKED,
                "identity second": CHUNKED + b"Transfer-Encoding: identity\r\n",
                "gzip first": b"Transfer-Encoding: gzip\r\n" + CHUNKED,
                "empty first": b"Transfer-Encoding:\r\n" + CHUNKED,
                "empty second": CHUNKED + b"Transfer-Encoding:\r\n",
            },
            lambda fields: self.refused(lines(fields, b"0\r\n\r\n"), 400, BAD_CODING),
        )
        await self.refused(lines(CHUNKED + b"Transfer-Encoding: cow\r\n", b"0\r\n\r\n"), 501, BAD_CODING)

    async def test_beside_a_length(self) -> None:
        """Rule 5: Transfer-Encoding with Content-Length is 400 in any order and case, whatever they say."""
        await self.stage()
        length = b"Content-Length: 5\r\n"
        await self.each(
            {
                "coding first": CHUNKED + length,
                "length first": length + CHUNKED,
                "apart": length + b"X: 1\r\n" + CHUNKED,
                "another case": b"CONTENT-LENGTH: 5\r\ntransfer-encoding: Chunked\r\n",
                "a length of 0": CHUNKED + b"Content-Length: 0\r\n",
                "an empty length": CHUNKED + b"Content-Length:\r\n",
                "a bad length": CHUNKED + b"Content-Length: x\r\n",
                "two lengths": CHUNKED + length + b"Content-Length: 6\r\n",
                "identity": b"Transfer-Encoding: identity\r\n" + length,
                "an unknown coding": b"Transfer-Encoding: cow\r\n" + length,
                "an empty coding": b"Transfer-Encoding:\r\n" + length,
            },
            lambda fields: self.refused(lines(fields, b"0\r\n\r\n"), 400, BAD_CODING),
        )

    async def test_on_1_0(self) -> None:
        """Rule 5: Transfer-Encoding on HTTP/1.0 is 400, with keep-alive and a length too."""
        await self.stage()
        start = b"POST / HTTP/1.0\r\nHost: example.com\r\n"
        await self.each(
            {
                "alone": CHUNKED,
                "kept alive": CHUNKED + b"Connection: keep-alive\r\n",
                "with a length": CHUNKED + b"Content-Length: 5\r\n",
                "identity": b"Transfer-Encoding: identity\r\n",
                "unknown": b"Transfer-Encoding: cow\r\n",
            },
            lambda fields: self.refused(lines(fields, b"0\r\n\r\n", start), 400, BAD_CODING),
        )


class LookAlikes(RecordingCase):
    """Fields that somebody might take for framing."""

    async def test_they_frame_nothing(self) -> None:
        """Rule 5: a look-alike frames nothing, and a back-end does not get those that it might take for
        one.
        """
        await self.stage()
        names = [b"Content_Length", b"content_length", b"CONTENT_LENGTH"]
        names += [b"Transfer_Encoding", b"transfer_encoding", b"TRANSFER_ENCODING"]

        async def check(name: bytes) -> None:
            value = b"chunked" if name[:1] in b"Tt" else b"5"
            await self.passes(lines(name + b": " + value + b"\r\nX: 1\r\n"), POST + b"X: 1\r\n" + added())
            await self.passes(
                lines(name + b": " + value + b"\r\nContent-Length: 2\r\n", b"hi"),
                POST + b"Content-Length: 2\r\n" + added() + b"hi",
            )

        await self.each({name.decode(): name for name in names}, check)

    async def test_other_names(self) -> None:
        """Rule 5: fields whose names only resemble go on as what they are, and frame nothing."""
        await self.stage()
        names = [b"X-Content-Length", b"Content-Length-X", b"Content.Length", b"ContentLength",
        b"Content-Lengt",
                 b"X-Transfer-Encoding", b"Transfer-Encodin", b"Transfer.Encoding",
                 b"'Content-Length'"]  # fmt: skip
        for name in names:
            field = name + b": 5\r\n"
            await self.passes(lines(field), POST + field + added())

    async def test_what_follows_is_a_request(self) -> None:
        """Rule 5: the bytes behind a request with a look-alike are the next request; here they are none."""
        await self.stage()
        for field in (b"Content_Length: 5\r\n", b"X-Content-Length: 5\r\n"):
            client = await self.front.connect()
            client.send(lines(field, b"hello\r\n\r\n"))
            await client.expect(OK_TO_CLIENT % b"keep-alive")
            self.assertTrue((await client.receive_all()).startswith(b"HTTP/1.1 400 Bad Request\r\n"))

    async def test_broken_names(self) -> None:
        """Rules 4 and 5: a framing field with a broken name, or a fold, is 400 before any router."""
        await self.stage()
        await self.each(
            {
                "space before the colon": b"Content-Length : 5\r\n",
                "tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
                "space before the name": b" Transfer-Encoding: chunked\r\n",
                "fold before the value": b"Transfer-Encoding:\r\n chunked\r\n",
                "fold behind the value": b"Transfer-Encoding: chunked\r\n , identity\r\n",
                "fold of a length": b"Content-Length: 1\r\n 0\r\n",
                "LF before it": b"X: 1\nTransfer-Encoding: chunked\r\n",
                "CR before it": b"X: 1\rTransfer-Encoding: chunked\r\n",
                "LF behind it": b"Transfer-Encoding: chunked\n\r\n",
                "NUL behind the name": b"Content-Length\x00: 5\r\n",
                "NUL behind the value": b"Content-Length: 5\x00\r\n",
                "NUL before the coding": b"Transfer-Encoding: \x00chunked\r\n",
                "vertical tab before the coding": b"Transfer-Encoding: \x0bchunked\r\n",
                "form feed behind the coding": b"Transfer-Encoding: chunked\x0c\r\n",
                "backspace in the name": b"Content\x08-Length: 5\r\n",
                "DEL behind the coding": b"Transfer-Encoding: chunked\x7f\r\n",
                "CR behind the length": b"Content-Length: 5\r\r\n",
                "non-ASCII in the name": b"Transfer\x96Encoding: chunked\r\n",
            },
            lambda fields: self.refused(lines(fields, b"0\r\n\r\n"), 400),
        )
        self.assertEqual(self.router.calls, [])

    async def test_nominated(self) -> None:
        """Rules 5 and 11: a Connection field that names the framing fields does not take them away."""
        await self.stage()
        await self.passes(
            lines(b"Connection: Content-Length\r\nContent-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
            POST + b"Content-Length: %d\r\n" % len(SMUGGLED) + added() + SMUGGLED,
        )
        await self.passes(
            lines(b"Connection: close, transfer-encoding, HOST\r\n" + CHUNKED, b"2\r\nhi\r\n0\r\n\r\n"),
            POST + CHUNKED + added() + b"2\r\nhi\r\n0\r\n\r\n",
        )
        await self.refused(
            lines(b"Connection: Content-Length\r\n" + CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
            400,
            BAD_CODING,
        )


class Pooled(RecordingCase):
    """The same on a back-end connection that others share: the place where smuggling does its harm."""

    async def test_the_next_request_is_the_next_clients(self) -> None:
        """Rules 5 and 7: refused requests leave nothing on a pooled connection; the next client gets its own
        answer.
        """

        await self.stage(
            lambda request: (
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
                % (len(request.target), request.target.encode("ascii"))
            )
        )
        attacks = {
            "length and coding": lines(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
            "two lengths": lines(b"Content-Length: 5\r\nContent-Length: 0\r\n", b"hello"),
            "two codings": lines(CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
            "a bad chunk": lines(CHUNKED, b"2\r\nhi\r\nx\r\n"),
            "a bare LF": b"GET /a HTTP/1.1\nHost: example.com\r\n\r\n",
            "two hosts": b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        }

        async def check(attack: bytes) -> None:
            for each in (attack + SMUGGLED, lines(b"", start=b"GET /good HTTP/1.1\r\nHost: good\r\n")):
                client = await self.front.connect()
                client.send(each)
                response = await client.receive_response()
                if each is not attack + SMUGGLED and response.status == 200:
                    self.assertEqual(response.body, b"/good")
                self.assertEqual(client.unread, b"")
                client.close()
            self.assertEqual(self.seen[-1].target, "/good")
            self.assertNotIn("/smuggled", [request.target for request in self.seen])

        await self.each(attacks, check)
        self.assertEqual(len(self.seen), len(attacks))

    async def test_a_body_that_is_a_request(self) -> None:
        """Rule 5: a GET's and a HEAD's body reaches the back-end as a body, on a connection that is used
        again.
        """
        await self.stage()
        for _ in range(2):
            request, _, client = await self.ask(
                lines(
                    b"Content-Length: %d\r\n" % len(SMUGGLED),
                    SMUGGLED,
                    b"GET / HTTP/1.1\r\nHost: example.com\r\n",
                )
            )
            self.assertEqual(request.body, SMUGGLED)
            client.close()
        self.assertEqual(len(self.back.connections), 1)
        self.assertEqual([request.target for request in self.seen], ["/", "/"])

    async def test_head_that_names_framing_twice_for_no_body(self) -> None:
        """Rule 5: refused framing on GET and HEAD, where a body is rare, is refused alike."""
        await self.stage()
        for method in (b"GET", b"DELETE", b"OPTIONS"):
            start = method + b" / HTTP/1.1\r\nHost: example.com\r\n"
            await self.refused(
                lines(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n", start), 400, BAD_CODING
            )
            await self.refused(lines(b"Content-Length: 5, 5\r\n", b"hello", start), 400, "bad_request")

    async def test_upgrade_with_bad_framing(self) -> None:
        """Rules 5 and 9: an upgrade does not excuse bad framing."""
        await self.stage()
        await self.refused(
            lines(
                b"Connection: upgrade\r\nUpgrade: websocket\r\n" + CHUNKED + b"Content-Length: 5\r\n",
                b"0\r\n\r\n",
            ),
            400,
            BAD_CODING,
        )

    async def test_expect_with_bad_framing(self) -> None:
        """Rules 5 and 8: nobody is told to continue with a body whose framing is refused."""
        await self.stage()
        await self.refused(
            lines(b"Expect: 100-continue\r\nContent-Length: 5, 5\r\n", b"hello"), 400, "bad_request"
        )
