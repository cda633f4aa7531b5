"""Rule 3: how long a request line, a header, a head and a chunk's line may be, also while they are still
arriving.
"""

from __future__ import annotations

from tests.behaviour.recording import OK_TO_CLIENT, SMUGGLED, RecordingCase, added, timeless
from vegurtx.testing import parse_response_head

GET = b"GET / HTTP/1.1\r\nHost: example.com\r\n"
REJECTION = b"HTTP/1.1 %b\r\nDate: #\r\nServer: vegur\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
TOO_LONG_LINE = REJECTION % b"414 URI Too Long"
TOO_LONG_HEADER = REJECTION % b"431 Request Header Fields Too Large"


def line(length: int, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    """A request line of `length` bytes without its line end."""
    return method + b" /" + b"a" * (length - len(method) - len(version) - 3) + b" " + version


class LimitCase(RecordingCase):
    """What the tests of limits share."""

    async def whole(self, request: bytes) -> bytes:
        """Send a whole request that is too big, and another one behind it; return all that comes home."""
        client = await self.front.connect()
        client.send(request + SMUGGLED)
        raw = await client.receive_all()
        client.close()
        return timeless(raw)

    async def trickled(self, request: bytes, step: int) -> bytes:
        """Send `request`, which does not end, in segments of `step` bytes; return all that comes home."""
        client = await self.front.connect()
        for at in range(0, len(request), step):
            client.send(request[at : at + step])
            await self.turns(1)
        raw = await client.receive_all()
        client.close()
        return timeless(raw)

    def nobody_was_told(self) -> None:
        """Assert that neither a router nor a back-end has heard of anything."""
        self.assertEqual(self.router.calls, [])
        self.assertEqual(self.back.connections, [])


class RequestLines(LimitCase):
    """The request line: 8192 bytes, CRLF not counted; beyond it 414."""

    async def test_longest(self) -> None:
        """Rule 3, Settled: a request line of exactly 8192 bytes goes on whole, in one piece or in several."""
        await self.stage()
        for method, version in ((b"GET", b"HTTP/1.1"), (b"GET", b"HTTP/1.0"), (b"X" * 4000, b"HTTP/1.1")):
            first = line(8192, method, version)
            await self.passes(
                first + b"\r\nHost: example.com\r\n\r\n",
                first[:-1] + b"1\r\nHost: example.com\r\n" + added(),
            )
        client = await self.front.connect()
        request = line(8192) + b"\r\nHost: example.com\r\n\r\n"
        for at in (request[:4000], request[4000:8192], request[8192:8193], request[8193:]):
            client.send(at)
            await self.turns(1)
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual(self.seen[-1].target, request.split()[1].decode())

    async def test_one_more(self) -> None:
        """Rule 3: one byte more is 414 and the end of the connection, wherever the byte is."""
        await self.stage()
        await self.each(
            {
                "in the target": line(8193),
                "in the method": b"X" * 8200 + b" / HTTP/1.1",
                "on 1.0": line(8193, version=b"HTTP/1.0"),
                "in an absolute target": b"GET http://example.com/" + line(8193)[23:],
                "far more": line(100_000),
            },
            self._too_long,
        )
        self.nobody_was_told()

    async def _too_long(self, first: bytes) -> None:
        self.assertEqual(await self.whole(first + b"\r\nHost: example.com\r\n\r\n"), TOO_LONG_LINE)

    async def test_while_it_arrives(self) -> None:
        """Rule 3: the answer comes with the byte that is too many; the line's end is not waited for."""
        await self.stage()
        await self.each(
            {
                "a target": b"GET /" + b"a" * 8188,
                "a method": b"X" * 8193,
                "a target of one query": b"GET /?" + b"a" * 8187,
                "behind an empty line": b"\r\nGET /" + b"a" * 8188,
            },
            self._endless_line,
        )
        self.nobody_was_told()

    async def _endless_line(self, beginning: bytes) -> None:
        self.assertEqual(await self.trickled(beginning, 2000), TOO_LONG_LINE)
        self.assertEqual(await self.trickled(beginning, len(beginning)), TOO_LONG_LINE)

    async def test_on_a_kept_connection(self) -> None:
        """Rule 3: the limit holds for later requests too; the one before has its answer."""
        await self.stage()
        client = await self.front.connect()
        client.send(GET + b"\r\n" + line(8193) + b"\r\nHost: example.com\r\n\r\n")
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual(timeless(await client.receive_all()), TOO_LONG_LINE)
        self.assertEqual(len(self.seen), 1)

    async def test_setting(self) -> None:
        """Rule 3: `max_request_line_length` sets the limit."""
        await self.stage(max_request_line_length=100)
        first = line(100)
        await self.passes(
            first + b"\r\nHost: example.com\r\n\r\n", first + b"\r\nHost: example.com\r\n" + added()
        )
        self.assertEqual(await self.whole(line(101) + b"\r\nHost: example.com\r\n\r\n"), TOO_LONG_LINE)


class Headers(LimitCase):
    """Names of 1000 bytes, values of 8192, 1000 of them; beyond it 431."""

    async def test_longest(self) -> None:
        """Rule 3: a name of 1000 bytes, a value of 8192, and 1000 headers go on, all of it at once too."""
        await self.stage()
        name, value = b"n" * 1000, b"v" * 8192
        heads = {
            "a name": GET + name + b": 1\r\n",
            "a value": GET + b"X-Field: " + value + b"\r\n",
            "white space is not counted": GET + b"X-Field:" + b" " * 500 + value + b"\t" * 500 + b"\r\n",
            "spaces inside are": GET + b"X-Field: v" + b" " * 8190 + b"v\r\n",
            "a name and a value": GET + name + b": " + value + b"\r\n",
            "1000 headers": GET + b"".join(b"X-%d: 1\r\n" % number for number in range(999)),
            "1000 equal headers": GET + b"X: 1\r\n" * 999,
            "100 long ones": GET + b"".join(b"X-%d: %b\r\n" % (number, value) for number in range(100)),
        }
        await self.each(heads, lambda head: self.passes(head + b"\r\n", head + added()))

    async def test_one_more(self) -> None:
        """Rule 3: one byte, or one header, more is 431 and the end of the connection."""
        await self.stage()
        await self.each(
            {
                "a name": GET + b"n" * 1001 + b": 1\r\n\r\n",
                "the first name": b"GET / HTTP/1.1\r\n" + b"n" * 1001 + b": 1\r\nHost: example.com\r\n\r\n",
                "a value": GET + b"X-Field: " + b"v" * 8193 + b"\r\n\r\n",
                "a value with spaces inside": GET + b"X-Field: v" + b" " * 8191 + b"v\r\n\r\n",
                "the Host": b"GET / HTTP/1.1\r\nHost: " + b"h" * 8193 + b"\r\n\r\n",
                "a Cookie": GET + b"Cookie: " + b"c" * 8193 + b"\r\n\r\n",
                "a name far longer": GET + b"n" * 100_000 + b": 1\r\n\r\n",
                "1001 headers": GET + b"X: 1\r\n" * 1000 + b"\r\n",
                "1001 headers of different names": GET
                + b"".join(b"X-%d: 1\r\n" % n for n in range(1000))
                + b"\r\n",
                "5000 headers": GET + b"X: 1\r\n" * 5000 + b"\r\n",
            },
            self._too_long,
        )
        self.nobody_was_told()

    async def _too_long(self, request: bytes) -> None:
        self.assertEqual(await self.whole(request), TOO_LONG_HEADER)

    async def test_while_they_arrive(self) -> None:
        """Rule 3: the answer comes with the byte that is too many; no line's end and no empty line is waited
        for.
        """
        await self.stage()
        await self.each(
            {
                "a name": GET + b"n" * 1001,
                "a value": GET + b"X: " + b"v" * 8193,
                "a header": GET + b"X: 1\r\n" * 999 + b"X",
            },
            self._endless,
        )
        self.nobody_was_told()

    async def _endless(self, beginning: bytes) -> None:
        self.assertEqual(await self.trickled(beginning, 1000), TOO_LONG_HEADER)
        self.assertEqual(await self.trickled(beginning, len(beginning)), TOO_LONG_HEADER)

    async def test_byte_by_byte(self) -> None:
        """Rule 3: the limits hold when a head comes a byte at a time."""
        await self.stage(
            max_request_line_length=64, max_header_name_length=16, max_header_value_length=64, max_headers=2
        )
        good = GET + b"N" * 16 + b": " + b"v" * 64 + b"\r\n"
        self.assertEqual(await self.trickled(GET + b"N" * 17, 1), TOO_LONG_HEADER)
        self.assertEqual(await self.trickled(GET + b"X: " + b"v" * 65, 1), TOO_LONG_HEADER)
        self.assertEqual(await self.trickled(good + b"Y", 1), TOO_LONG_HEADER)
        self.assertEqual(await self.trickled(b"GET /" + b"a" * 60, 1), TOO_LONG_LINE)
        self.nobody_was_told()
        client = await self.front.connect()
        for byte in good + b"\r\n":
            client.send(bytes((byte,)))
            await self.turns(1)
        await client.expect(OK_TO_CLIENT % b"keep-alive")

    async def test_a_whole_head(self) -> None:
        """Rule 3: a head whose parts are all within their limits has a limit of its own (1 MiB by
        default).
        """
        await self.stage()
        much = GET + b"".join(b"X-%d: %b\r\n" % (number, b"v" * 8000) for number in range(200))
        self.assertEqual(await self.whole(much + b"\r\n"), TOO_LONG_HEADER)
        spaces = GET + b"X:" + b" " * 1_100_000
        self.assertEqual(await self.trickled(spaces, len(spaces)), TOO_LONG_HEADER)
        self.nobody_was_told()

    async def test_settings(self) -> None:
        """Rule 3: `max_header_name_length`, `max_header_value_length`, `max_headers`, `max_head_length` set
        limits.
        """
        await self.stage(
            max_header_name_length=16, max_header_value_length=64, max_headers=3, max_head_length=256
        )
        for good in (b"n" * 16 + b": 1\r\n", b"X: " + b"v" * 64 + b"\r\n", b"X: 1\r\nY: 1\r\n"):
            await self.passes(GET + good + b"\r\n", GET + good + added())
        much = b"X:" + b" " * 256 + b"\r\n"
        for bad in (b"n" * 17 + b": 1\r\n", b"X: " + b"v" * 65 + b"\r\n", b"X: 1\r\nY: 1\r\nZ: 1\r\n", much):
            self.assertEqual(await self.whole(GET + bad + b"\r\n"), TOO_LONG_HEADER)

    async def test_on_a_kept_connection(self) -> None:
        """Rule 3: the limits hold for later requests too; the one before has its answer."""
        await self.stage()
        client = await self.front.connect()
        client.send(GET + b"\r\n" + GET + b"n" * 1001 + b": 1\r\n\r\n")
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual(timeless(await client.receive_all()), TOO_LONG_HEADER)
        self.assertEqual(len(self.seen), 1)


CHUNKED = b"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"


class Chunks(LimitCase):
    """What a client may send between the bytes of a chunked body."""

    async def test_longest(self) -> None:
        """Settled: a size line of 4096 bytes and trailers within the headers' limits are read."""
        await self.stage()
        await self.each(
            {
                "a size line": b"2;" + b"x" * 4094 + b"\r\nhi\r\n0\r\n\r\n",
                "the last size line": b"2\r\nhi\r\n0;" + b"x" * 4094 + b"\r\n\r\n",
                "a trailer's name": b"2\r\nhi\r\n0\r\n" + b"n" * 1000 + b": 1\r\n\r\n",
                "a trailer's value": b"2\r\nhi\r\n0\r\nX: " + b"v" * 8192 + b"\r\n\r\n",
                "1000 trailers": b"2\r\nhi\r\n0\r\n" + b"X: 1\r\n" * 1000 + b"\r\n",
            },
            self._read,
        )

    async def _read(self, body: bytes) -> None:
        request, response, client = await self.ask(CHUNKED + body)
        self.assertEqual((request.body, response.status), (b"hi", 200))
        # what the back-end gets of it is written afresh: a size line of no more than the size
        self.assertIn(b"\r\n\r\n2\r\nhi\r\n0\r\n", request.raw)
        client.close()

    async def test_one_more(self) -> None:
        """Settled: one byte, or one line, more is `("upstream", ("bad_chunk", …))`, 400, also while it
        arrives.
        """
        await self.stage()
        await self.each(
            {
                "a size line": (b"2;" + b"x" * 4095, "length"),
                "a size line that ends": (b"2;" + b"x" * 4095 + b"\r\nhi\r\n0\r\n\r\n", "length"),
                "the last size line": (b"2\r\nhi\r\n0;" + b"x" * 4095, "length"),
                "a trailer's name": (b"2\r\nhi\r\n0\r\n" + b"n" * 1001, "trailer"),
                "a trailer's value": (b"2\r\nhi\r\n0\r\nX: " + b"v" * 8193, "trailer"),
                "1001 trailers": (b"2\r\nhi\r\n0\r\n" + b"X: 1\r\n" * 1000 + b"X", "trailer"),
            },
            self._too_long,
        )
        self.assertEqual(self.seen, [])

    async def _too_long(self, vector: tuple[bytes, str]) -> None:
        body, what = vector
        calls = len(self.router.calls)
        client = await self.front.connect()
        for at in range(0, len(CHUNKED + body), 3000):
            client.send((CHUNKED + body)[at : at + 3000])
            await self.turns(1)
        response = parse_response_head(await client.receive_all())
        client.close()
        self.assertEqual((response.status, response.header("connection")), (400, "close"))
        self.assertEqual(await self.router.finished, "error")
        told = [call.arguments for call in self.router.calls[calls:] if call.name == "error_page"]
        self.assertEqual(told, [(("upstream", ("bad_chunk", what)), "example.com")])

    async def test_setting(self) -> None:
        """Settled: `max_chunk_line_length` sets the size line's limit."""
        await self.stage(max_chunk_line_length=16)
        await self._read(b"2;" + b"x" * 14 + b"\r\nhi\r\n0\r\n\r\n")
        await self._too_long((b"2;" + b"x" * 15, "length"))
