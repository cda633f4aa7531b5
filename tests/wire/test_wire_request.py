"""Request heads: vectors in all segmentations; limits; known fields (rules 1, 3, 4, 7)."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.wire.vectors import BAD_REQUESTS, GOOD_REQUESTS, TRAILING, GoodRequest
from vegurtx.wire.errors import BadHead
from vegurtx.wire.fields import fields
from vegurtx.wire.limits import DEFAULT_REQUEST_LIMITS, RequestLimits
from vegurtx.wire.partial import RequestHeadBuffer
from vegurtx.wire.request import RequestHead, RequestParser

SMALL = RequestLimits(line=30, name=10, value=12, fields=3, head=100)
LINE = b"GET / HTTP/1.1\r\n"


def bytewise(raw: bytes, limits: RequestLimits = DEFAULT_REQUEST_LIMITS) -> bytes | None:
    """Feed a head a byte at a time; return what the buffer hands out with the last one."""
    buffer = RequestHeadBuffer(limits)
    for at in range(len(raw)):
        gathered = buffer.feed(raw[at : at + 1])
        if gathered is not None:
            assert at == len(raw) - 1, "handed out before the head's end"
            return gathered
    return None


class GoodRequestTests(TestCase):
    """Heads that are to be accepted."""

    def check(self, vector: GoodRequest, head: RequestHead | None, end: int) -> None:
        """Compare a parsed head with its vector."""
        assert head is not None, vector.label
        read = (head.method, head.target, head.minor, fields(head.block), head.end)
        self.assertEqual(read, (vector.method, vector.target, vector.minor, vector.fields, end), vector.label)
        self.assertIn(head.block + b"\r\n", vector.raw)

    def test_whole_with_anything_behind(self) -> None:
        """A head reads the same whatever follows it in the same segment (rule 7)."""
        for vector in GOOD_REQUESTS:
            for trailing in TRAILING:
                self.check(vector, RequestParser().parse(vector.raw + trailing), len(vector.raw))

    def test_every_beginning_is_incomplete(self) -> None:
        """No beginning of a good head is taken for a head or for an error."""
        for vector in GOOD_REQUESTS:
            for end in range(len(vector.raw)):
                self.assertIsNone(RequestParser().parse(vector.raw[:end]), vector.label)

    def test_byte_by_byte(self) -> None:
        """The buffer hands out exactly what it was fed, once the empty line is there."""
        for vector in GOOD_REQUESTS:
            gathered = bytewise(vector.raw)
            self.assertEqual(gathered, vector.raw, vector.label)
            self.check(vector, RequestParser().parse(vector.raw), len(vector.raw))

    def test_buffer_keeps_what_follows(self) -> None:
        """Bytes behind the head in the last segment are handed out with it, and the buffer is fresh after."""
        for vector in GOOD_REQUESTS:
            for trailing in TRAILING:
                buffer = RequestHeadBuffer()
                for cut in (1, len(vector.raw) // 2, len(vector.raw) - 1):
                    self.assertIsNone(buffer.feed(vector.raw[:cut]))
                    self.assertEqual(len(buffer), cut)
                    self.assertEqual(buffer.feed(vector.raw[cut:] + trailing), vector.raw + trailing)
                    self.assertEqual(len(buffer), 0)


class BadRequestTests(TestCase):
    """Heads that are to be refused."""

    def refusal(self, label: str, act: object, *args: object) -> tuple[str, int]:
        """Return how `act` refuses."""
        assert callable(act)
        try:
            result = act(*args)
        except BadHead as error:
            return error.what, error.status
        return self.fail(f"{label}: accepted as {result!r}")

    def test_whole_with_anything_behind(self) -> None:
        """A bad head is refused with its word and status, whatever follows."""
        for vector in BAD_REQUESTS:
            for trailing in TRAILING:
                got = self.refusal(vector.label, RequestParser().parse, vector.raw + trailing)
                self.assertEqual(got, (vector.what, vector.status), vector.label)

    def test_byte_by_byte(self) -> None:
        """The buffer refuses with the same word, and never hands the head out first."""
        for vector in BAD_REQUESTS:
            got = self.refusal(vector.label, bytewise, vector.raw)
            self.assertEqual(got, (vector.what, vector.status), vector.label)

    def test_refused_again(self) -> None:
        """A buffer that refused refuses again instead of going on behind the bad byte."""
        buffer = RequestHeadBuffer()
        for data in (b"GET /\0 HTTP/1.1\r\n", b"Host: h\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
            self.assertRaises(BadHead, buffer.feed, data)

    def test_refused_at_once(self) -> None:
        """What can be known at a byte is said at that byte, not at the line's end."""
        for beginning, last in (
            (b"", b"\x16"),
            (b"GET /", b"\r"),
            (b"GET / ", b"h"),
            (b"GET / HTTP/1.1", b"\n"),
            (LINE, b" "),
            (LINE + b"Host", b" "),
            (LINE + b"Host: a", b"\n"),
            (LINE + b"Host: a\r", b"b"),
            (LINE + b"Host: a", b"\0"),
        ):
            buffer = RequestHeadBuffer()
            if beginning:
                self.assertIsNone(buffer.feed(beginning))
            self.assertRaises(BadHead, buffer.feed, last)


class RequestLimitTests(TestCase):
    """Limits hold exactly, whole and while bytes arrive (rule 3)."""

    def check(self, good: bytes, bad: bytes, what: str, status: int, limits: RequestLimits = SMALL) -> None:
        """Check that one head is just within a limit, and one just over it."""
        assert RequestParser(limits).parse(good) is not None
        self.assertEqual(bytewise(good, limits), good)
        for act in (RequestParser(limits).parse, lambda data: bytewise(data, limits)):
            error = self.assertRaises(BadHead, act, bad)
            self.assertEqual((error.what, error.status), (what, status))

    def test_request_line(self) -> None:
        """The line's limit leaves its CRLF out: 414 for one more byte."""
        line = b"GET /%s HTTP/1.1\r\n\r\n"
        self.check(line % (b"a" * 16), line % (b"a" * 17), "line_length", 414)

    def test_default_line_limit(self) -> None:
        """8192 bytes are fine, 8193 are not."""
        line = b"GET /%s HTTP/1.1\r\n\r\n"
        self.check(line % (b"a" * 8178), line % (b"a" * 8179), "line_length", 414, RequestLimits())

    def test_name(self) -> None:
        """A name over its limit: 431."""
        head = LINE + b"%s: b\r\n\r\n"
        self.check(head % (b"n" * 10), head % (b"n" * 11), "header_length", 431)

    def test_default_name_limit(self) -> None:
        """1000 bytes are fine, 1001 are not."""
        head = LINE + b"%s: b\r\n\r\n"
        self.check(head % (b"n" * 1000), head % (b"n" * 1001), "header_length", 431, RequestLimits())

    def test_value_without_its_white_space(self) -> None:
        """The value's limit leaves white space around it out, inside of it not."""
        head = LINE + b"A: \t    %s   \t   \r\n\r\n"
        self.check(
            head % (b"v" * 6 + b" " + b"v" * 5), head % (b"v" * 6 + b"  " + b"v" * 5), "header_length", 431
        )

    def test_default_value_limit(self) -> None:
        """8192 bytes are fine, 8193 are not."""
        for head in (LINE + b"A: %s \r\n\r\n", LINE + b"B: c\r\nA:%s\r\n\r\n"):
            self.check(head % (b"v" * 8192), head % (b"v" * 8193), "header_length", 431, RequestLimits())

    def test_count(self) -> None:
        """One field too many: 431."""
        for line in (LINE, b"G / HTTP/1.1\r\n"):
            good, bad = line + b"a:\r\n" * 3 + b"\r\n", line + b"a:\r\n" * 4 + b"\r\n"
            self.check(good, bad, "header_length", 431)
            self.check(good, bad, "header_length", 431, RequestLimits(fields=3))

    def test_default_count(self) -> None:
        """1000 fields are fine, 1001 are not."""
        head = LINE + b"A: b\r\n" * 1000
        self.check(head + b"\r\n", head + b"A: b\r\n\r\n", "header_length", 431, RequestLimits())

    def test_whole_head(self) -> None:
        """The sum is bounded too."""
        limits = RequestLimits(head=100)
        head = LINE + b"A: %s\r\n\r\n"
        self.check(head % (b"v" * 77), head % (b"v" * 78), "header_length", 431, limits)

    def test_open_lines(self) -> None:
        """A line that never ends is refused at its limit, and no more than that was held."""
        for endless, what in (
            (b"M", "line_length"),
            (b"GET /" + b"a" * 8188, "line_length"),
            (LINE + b"n" * 1001, "header_length"),
            (LINE + b"A: " + b"v" * 8193, "header_length"),
        ):
            buffer = RequestHeadBuffer()
            with self.assertRaises(BadHead) as caught:
                buffer.feed(endless)
                for _ in range(9000):
                    self.assertIsNone(buffer.feed(b"a"))
            self.assertEqual(caught.exception.what, what)
            self.assertLessEqual(len(buffer), len(LINE) + 8200)

    def test_endless_white_space(self) -> None:
        """White space around a value has no limit of its own, but the head has."""
        buffer = RequestHeadBuffer(RequestLimits(head=5000))
        self.assertIsNone(buffer.feed(LINE + b"A:" + b" " * 4000))
        self.assertRaises(BadHead, buffer.feed, b" " * 1000)


class KnownFieldTests(TestCase):
    """What is picked out, and what is left as it came (rule 11)."""

    RAW = (
        LINE
        + b"hOsT:  h \r\nAccept: */*\r\nX-a: 1\r\n"
        + b"Connection: close\r\nVia: x\r\nconnection:\tX-B \r\nX-B: 2\r\n\r\n"
    )

    def parse(self, take: tuple[bytes, ...], read: tuple[bytes, ...]) -> RequestHead:
        """Parse the head above."""
        head = RequestParser(take=take, read=read).parse(self.RAW)
        assert head is not None
        return head

    def test_taken_and_read(self) -> None:
        """Taken lines leave the rest, read ones stay; every other byte is as it came."""
        head = self.parse((b"connection", b"te"), (b"host", b"via"))
        self.assertEqual(head.known, {b"host": b"h", b"connection": b"close, X-B", b"via": b"x"})
        self.assertEqual(head.repeated, {b"connection": [b"close", b"X-B"]})
        self.assertEqual(head.rest, b"hOsT:  h \r\nAccept: */*\r\nX-a: 1\r\nVia: x\r\nX-B: 2\r\n")

    def test_all_taken(self) -> None:
        """A head of nothing but taken fields leaves an empty rest."""
        names = (b"host", b"accept", b"x-a", b"x-b", b"connection", b"via")
        self.assertEqual(self.parse(names, ()).rest, b"")

    def test_all_read(self) -> None:
        """A head of nothing but read fields is left whole."""
        head = self.parse((), (b"host", b"accept", b"x-a", b"x-b", b"connection", b"via"))
        self.assertEqual(head.rest, head.block)

    def test_none_wanted(self) -> None:
        """Without wanted names, nothing is known and all is left."""
        head = self.parse((), ())
        self.assertEqual((head.known, head.rest), ({}, head.block))

    def test_in_both(self) -> None:
        """A name that is to be taken and read is taken."""
        self.assertNotIn(b"Via", self.parse((b"via",), (b"via",)).rest)

    def test_nothing_repeated(self) -> None:
        """Heads without repeated fields share one empty mapping, which nobody can write to."""
        first, second = (RequestParser().parse(vector.raw) for vector in GOOD_REQUESTS[:2])
        assert first is not None and second is not None
        self.assertIs(first.repeated, second.repeated)
        self.assertRaises(TypeError, setattr_item, first.repeated)

    def test_names_that_share_beginnings(self) -> None:
        """A wanted name is found whole only: not its beginning, not as a beginning."""
        raw = LINE + b"X-F: 1\r\nX-Fo: 2\r\nX-Foo: 3\r\nX-Fooo: 4\r\nX: 5\r\n\r\n"
        head = RequestParser(take=(b"x-f", b"x-foo"), read=(b"x-fo",)).parse(raw)
        assert head is not None
        self.assertEqual(head.known, {b"x-f": b"1", b"x-fo": b"2", b"x-foo": b"3"})
        self.assertEqual(head.rest, b"X-Fo: 2\r\nX-Fooo: 4\r\nX: 5\r\n")

    def test_many_repeats(self) -> None:
        """A thousand lines of one known field are joined, in order."""
        raw = LINE + b"".join(b"Via: %d\r\n" % n for n in range(1000)) + b"\r\n"
        head = RequestParser(take=(b"via",)).parse(raw)
        assert head is not None
        self.assertEqual(head.known[b"via"], b", ".join(b"%d" % n for n in range(1000)))


def setattr_item(mapping: object) -> None:
    """Try to write into a mapping."""
    mapping[b"x"] = [b"y"]  # type: ignore[index]
