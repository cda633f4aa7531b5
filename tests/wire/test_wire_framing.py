"""How long a body is, and what must not be guessed at (rules 5, 14 to 16; RFC 9112 sections 6.3, 11.2)."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from vegurtx.wire.errors import BadFraming
from vegurtx.wire.framing import CHUNKED, UNTIL_CLOSE, request_framing, response_framing
from vegurtx.wire.request import RequestParser
from vegurtx.wire.response import ResponseParser

CL, TE = b"Content-Length: ", b"Transfer-Encoding: "

GOOD_REQUESTS: list[tuple[list[bytes], int]] = [
    ([], 0),
    ([CL + b"0"], 0),
    ([CL + b"5"], 5),
    ([CL + b"  5\t "], 5),
    ([CL + b"005"], 5),
    ([CL + b"9223372036854775807"], 2**63 - 1),
    ([CL + b"5", b"content-length:5"], 5),
    ([CL + b"5"] * 3, 5),
    ([TE + b"chunked"], CHUNKED),
    ([TE + b"CHUNKed "], CHUNKED),
    ([b"Transfer-Encoding:\t chunked", b"A: chunked\t", b"X-Transfer-Encoding: chunked\t"], CHUNKED),
    ([b"Content_Length: 5"], 0),
    ([b"Content-Lengt: 5"], 0),
    ([b"X-Content-Length: 5", b"Transfer_Encoding: chunked", b"TransferEncoding: chunked"], 0),
    ([b"X: y", CL + b"7", b"Content_Length: 5"], 7),
]

BAD_REQUESTS: list[tuple[list[bytes], str]] = [
    ([CL], "content_length"),
    ([CL + b"-1"], "content_length"),
    ([CL + b"+5"], "content_length"),
    ([CL + b"5 5"], "content_length"),
    ([CL + b"5,5"], "content_length"),
    ([CL + b"5, 6"], "content_length"),
    ([CL + b"5,"], "content_length"),
    ([CL + b"0x5"], "content_length"),
    ([CL + b"5_0"], "content_length"),
    ([CL + b"1e3"], "content_length"),
    ([CL + b"5.0"], "content_length"),
    ([CL + b"\xb2"], "content_length"),
    ([CL + b"\xd9\xa5"], "content_length"),
    ([CL + b"9223372036854775808"], "content_length"),
    ([CL + b"99999999999999999999999"], "content_length"),
    ([CL + b"0" * 19 + b"5"], "content_length"),
    ([CL + b"5", CL + b"6"], "content_length"),
    ([CL + b"5", CL + b"05"], "content_length"),
    ([CL + b"5", CL], "content_length"),
    ([CL, CL], "content_length"),
    ([CL + b"5,5", CL + b"5,5"], "content_length"),
    ([TE + b"chunked", CL + b"5"], "transfer_encoding"),
    ([CL + b"5", TE + b"chunked"], "transfer_encoding"),
    ([CL + b"x", TE + b"chunked"], "transfer_encoding"),
    ([CL + b"5", TE + b"foo"], "transfer_encoding"),
    ([TE + b"chunked", TE + b"chunked"], "transfer_encoding"),
    ([TE + b"chunked", TE], "transfer_encoding"),
    ([TE + b"chunked, chunked"], "transfer_encoding"),
    ([TE + b"gzip, chunked"], "transfer_encoding"),
    ([TE + b"gzip", TE + b"chunked"], "transfer_encoding"),
    ([TE + b"chunked, gzip"], "transfer_encoding"),
    ([TE + b"chunked, identity"], "transfer_encoding"),
    ([TE + b"identity"], "transfer_encoding"),
    ([TE + b"gzip"], "transfer_encoding"),
    ([TE + b"X-GZip"], "transfer_encoding"),
    ([TE + b"deflate"], "transfer_encoding"),
    ([TE + b"compress"], "transfer_encoding"),
    ([TE], "transfer_encoding"),
    ([TE + b","], "transfer_encoding"),
    ([TE + b"chunked,"], "transfer_encoding"),
    ([TE + b",chunked"], "transfer_encoding"),
    ([TE + b"chunked;q=1"], "transfer_encoding"),
    ([TE + b'"chunked"'], "transfer_encoding"),
    ([TE + b"foo,"], "transfer_encoding"),
    ([TE + b"foo, b ar"], "transfer_encoding"),
    ([TE + b"chun ked"], "transfer_encoding"),
    ([TE + b"chunked\xa0"], "transfer_encoding"),
    ([TE + b"chunked\t"], "transfer_encoding"),
    ([b"X: y", b"transfer-encoding:\tChunked \t "], "transfer_encoding"),
    ([TE + b"xchunked"], "unknown_coding"),
    ([TE + b"chunked-"], "unknown_coding"),
    ([TE + b"foo"], "unknown_coding"),
    ([TE + b"foo;a=b"], "unknown_coding"),
    ([TE + b"foo, chunked"], "unknown_coding"),
    ([TE + b"chunked", TE + b"foo"], "unknown_coding"),
]

GOOD_RESPONSES: list[tuple[list[bytes], int]] = [
    ([], UNTIL_CLOSE),
    ([CL + b"0"], 0),
    ([CL + b"12"], 12),
    ([CL + b"12", CL + b"12"], 12),
    ([TE + b"Chunked"], CHUNKED),
]

BAD_RESPONSES: list[tuple[list[bytes], str]] = [
    ([CL + b"x"], "content_length"),
    ([CL], "content_length"),
    ([CL + b"5,5"], "content_length"),
    ([CL + b"5", CL + b"6"], "content_length"),
    ([CL + b"-5"], "content_length"),
    ([TE + b"gzip"], "invalid_transfer_encoding"),
    ([TE + b"identity"], "invalid_transfer_encoding"),
    ([TE + b"foo"], "invalid_transfer_encoding"),
    ([TE + b"gzip, chunked"], "invalid_transfer_encoding"),
    ([TE + b"chunked, chunked"], "invalid_transfer_encoding"),
    ([TE + b"chunked", TE + b"chunked"], "invalid_transfer_encoding"),
    ([TE], "invalid_transfer_encoding"),
    ([TE + b"chunked", CL + b"5"], "invalid_transfer_encoding"),
    ([TE + b"chunked\t"], "invalid_transfer_encoding"),
]


def request(lines: list[bytes], minor: int = 1) -> int:
    """Return the framing of a request with these field lines."""
    raw = b"POST / HTTP/1.%d\r\nHost: h\r\n%s\r\n" % (minor, b"".join(line + b"\r\n" for line in lines))
    head = RequestParser().parse(raw)
    assert head is not None
    return request_framing(head)


def response(lines: list[bytes], status: int = 200, minor: int = 1, method: bytes = b"GET") -> int:
    """Return the framing of a response with these field lines."""
    raw = b"HTTP/1.%d %d X\r\n%s\r\n" % (minor, status, b"".join(line + b"\r\n" for line in lines))
    head = ResponseParser().parse(raw)
    assert head is not None
    return response_framing(head, method)


class RequestFramingTests(TestCase):
    """Bodies of requests (rule 5)."""

    def test_good(self) -> None:
        """Digits, equal lines, chunked; look-alikes never frame."""
        for lines, wanted in GOOD_REQUESTS:
            self.assertEqual(request(lines), wanted, lines)

    def test_bad(self) -> None:
        """Everything else is refused with its word."""
        for lines, what in BAD_REQUESTS:
            with self.assertRaises(BadFraming, msg=lines) as caught:
                request(lines)
            self.assertEqual(caught.exception.what, what, lines)

    def test_http_10(self) -> None:
        """A 1.0 request may have a length, but no coding."""
        self.assertEqual(request([CL + b"5"], minor=0), 5)
        error = self.assertRaises(BadFraming, request, [TE + b"chunked"], minor=0)
        self.assertEqual(error.what, "transfer_encoding")


class ResponseFramingTests(TestCase):
    """Bodies of responses (rules 14 to 16)."""

    def test_good(self) -> None:
        """Digits, equal lines, chunked, or until the end of the connection."""
        for lines, wanted in GOOD_RESPONSES:
            self.assertEqual(response(lines), wanted, lines)

    def test_bad(self) -> None:
        """Everything else is refused with its word."""
        for lines, what in BAD_RESPONSES:
            with self.assertRaises(BadFraming, msg=lines) as caught:
                response(lines)
            self.assertEqual(caught.exception.what, what, lines)

    def test_no_body(self) -> None:
        """After HEAD, and with 1xx, 204 and 304, there is none whatever the fields say (rule 15)."""
        for lines, _ in GOOD_RESPONSES:
            self.assertEqual(response(lines, method=b"HEAD"), 0)
            for status in (100, 101, 103, 199, 204, 304):
                self.assertEqual(response(lines, status=status), 0)
        for lines, _ in BAD_RESPONSES:
            self.assertEqual(response(lines, status=304), 0)

    def test_head_is_case_sensitive(self) -> None:
        """A method named "head" is not HEAD."""
        self.assertEqual(response([CL + b"5"], method=b"head"), 5)

    def test_http_10(self) -> None:
        """A 1.0 response may have a length or end by close, but has no coding."""
        self.assertEqual(response([CL + b"5"], minor=0), 5)
        self.assertEqual(response([], minor=0), UNTIL_CLOSE)
        error = self.assertRaises(BadFraming, response, [TE + b"chunked"], minor=0)
        self.assertEqual(error.what, "invalid_transfer_encoding")
