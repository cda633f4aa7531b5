"""Response heads: vectors whole, byte by byte and with bytes behind; limits and their words (rule 14)."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.wire.vectors import BAD_RESPONSES, GOOD_RESPONSES, TRAILING, GoodResponse
from vegurtx.wire.errors import BadHead
from vegurtx.wire.fields import fields
from vegurtx.wire.limits import DEFAULT_RESPONSE_LIMITS, ResponseLimits
from vegurtx.wire.partial import ResponseHeadBuffer
from vegurtx.wire.response import ResponseHead, ResponseParser

SMALL = ResponseLimits(status_line=20, field_line=24, cookie=10, fields=3, head=120)
LINE = b"HTTP/1.1 200 OK\r\n"


def bytewise(raw: bytes, limits: ResponseLimits = DEFAULT_RESPONSE_LIMITS) -> bytes | None:
    """Feed a head a byte at a time; return what the buffer hands out with the last one."""
    buffer = ResponseHeadBuffer(limits)
    for at in range(len(raw)):
        gathered = buffer.feed(raw[at : at + 1])
        if gathered is not None:
            assert at == len(raw) - 1, "handed out before the head's end"
            return gathered
    return None


class GoodResponseTests(TestCase):
    """Heads that are to be accepted."""

    def check(self, vector: GoodResponse, head: ResponseHead | None) -> None:
        """Compare a parsed head with its vector."""
        assert head is not None, vector.label
        read = (head.minor, head.status, head.reason, fields(head.block), head.end)
        wanted = (vector.minor, vector.status, vector.reason, vector.fields, len(vector.raw))
        self.assertEqual(read, wanted, vector.label)

    def test_whole_with_anything_behind(self) -> None:
        """A head reads the same whatever follows it in the same segment."""
        for vector in GOOD_RESPONSES:
            for trailing in TRAILING:
                self.check(vector, ResponseParser().parse(vector.raw + trailing))

    def test_every_beginning_is_incomplete(self) -> None:
        """No beginning of a good head is taken for a head or for an error."""
        for vector in GOOD_RESPONSES:
            for end in range(len(vector.raw)):
                self.assertIsNone(ResponseParser().parse(vector.raw[:end]), vector.label)

    def test_byte_by_byte(self) -> None:
        """The buffer hands out exactly what it was fed, with what follows, and is fresh after."""
        for vector in GOOD_RESPONSES:
            self.assertEqual(bytewise(vector.raw), vector.raw, vector.label)
            buffer = ResponseHeadBuffer()
            for trailing in TRAILING:
                self.assertIsNone(buffer.feed(vector.raw[:-1]))
                self.assertEqual(len(buffer), len(vector.raw) - 1)
                self.assertEqual(buffer.feed(vector.raw[-1:] + trailing), vector.raw + trailing)
                self.assertEqual(len(buffer), 0)

    def test_known_fields(self) -> None:
        """Framing and hop-by-hop lines leave the rest; the server's name is read and stays."""
        raw = LINE + b"Server: x\r\nContent-Length: 3\r\nETag: y\r\nConnection: close\r\n\r\n"
        head = ResponseParser().parse(raw)
        assert head is not None
        self.assertEqual(head.known, {b"server": b"x", b"content-length": b"3", b"connection": b"close"})
        self.assertEqual(head.rest, b"Server: x\r\nETag: y\r\n")


class BadResponseTests(TestCase):
    """Heads that are to be refused."""

    def test_whole_with_anything_behind(self) -> None:
        """A bad head is refused with its word, whatever follows."""
        for vector in BAD_RESPONSES:
            for trailing in TRAILING:
                with self.assertRaises(BadHead, msg=vector.label) as caught:
                    ResponseParser().parse(vector.raw + trailing)
                self.assertEqual(caught.exception.what, vector.what, vector.label)

    def test_byte_by_byte(self) -> None:
        """The buffer refuses with the same word, and never hands the head out first."""
        for vector in BAD_RESPONSES:
            with self.assertRaises(BadHead, msg=vector.label) as caught:
                bytewise(vector.raw)
            self.assertEqual(caught.exception.what, vector.what, vector.label)


class ResponseLimitTests(TestCase):
    """Limits hold exactly, whole and while bytes arrive."""

    def check(self, good: bytes, bad: bytes, what: str, limits: ResponseLimits = SMALL) -> None:
        """Check that one head is just within a limit, and one just over it."""
        assert ResponseParser(limits).parse(good) is not None
        self.assertEqual(bytewise(good, limits), good)
        for act in (ResponseParser(limits).parse, lambda data: bytewise(data, limits)):
            self.assertEqual(self.assertRaises(BadHead, act, bad).what, what)

    def test_status_line(self) -> None:
        """The status line's limit leaves its CRLF out."""
        line = b"HTTP/1.1 200 %s\r\n\r\n"
        self.check(line % (b"x" * 7), line % (b"x" * 8), "status_length")

    def test_default_status_line(self) -> None:
        """8192 bytes are fine, 8193 are not."""
        line = b"HTTP/1.1 200 %s\r\n\r\n"
        self.check(line % (b"x" * 8179), line % (b"x" * 8180), "status_length", ResponseLimits())

    def test_field_line(self) -> None:
        """A field line's limit counts name, colon, white space and value."""
        head = LINE + b"Name:  %s \r\n\r\n"
        self.check(head % (b"v" * 16), head % (b"v" * 17), "header_length")

    def test_default_field_line(self) -> None:
        """512 KiB are fine, a byte more is not."""
        for size, good in ((524288, True), (524289, False)):
            raw = LINE + b"A: " + b"v" * (size - 3) + b"\r\n\r\n"
            for act in (ResponseParser().parse, ResponseHeadBuffer().feed):
                if good:
                    self.assertIsNotNone(act(raw))
                else:
                    self.assertEqual(self.assertRaises(BadHead, act, raw).what, "header_length")

    def test_cookie(self) -> None:
        """A cookie's own limit counts its value, in any spelling of the name."""
        head = LINE + b"A: b\r\nsEt-CookIe: %s \r\n\r\n"
        self.check(head % (b"v" * 10), head % (b"v" * 11), "cookie_length")

    def test_default_cookie(self) -> None:
        """8192 bytes are fine, 8193 are not; other fields may be longer."""
        head = LINE + b"X: " + b"y" * 9000 + b"\r\nSet-Cookie: %s\r\nZ: 1\r\n\r\n"
        self.check(head % (b"v" * 8192), head % (b"v" * 8193), "cookie_length", ResponseLimits())

    def test_two_cookies(self) -> None:
        """The limit is for each cookie, not for their sum."""
        raw = LINE + (b"Set-Cookie: " + b"v" * 8000 + b"\r\n") * 4 + b"\r\n"
        self.assertIsNotNone(ResponseParser().parse(raw))

    def test_count(self) -> None:
        """One field too many."""
        self.check(LINE + b"a:\r\n" * 3 + b"\r\n", LINE + b"a:\r\n" * 4 + b"\r\n", "header_length")

    def test_default_count(self) -> None:
        """1000 fields are fine, 1001 are not."""
        head = LINE + b"A: b\r\n" * 1000
        self.check(head + b"\r\n", head + b"A: b\r\n\r\n", "header_length", ResponseLimits())

    def test_whole_head(self) -> None:
        """The sum is bounded too."""
        limits = ResponseLimits(head=100)
        head = LINE + b"A: %s\r\n\r\n"
        self.check(head % (b"v" * 76), head % (b"v" * 77), "header_length", limits)
