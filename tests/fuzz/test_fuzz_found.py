"""What fuzzing has found, each as small as it can be said; the inputs themselves are in the corpora (`found-…`)."""

from __future__ import annotations

import struct

from twisted.trial.unittest import TestCase

from vegurtx.wire.chunked import ChunkedDecoder
from vegurtx.wire.errors import BadChunk, BadHead
from vegurtx.wire.limits import BodyLimits, RequestLimits, ResponseLimits
from vegurtx.wire.partial import RequestHeadBuffer, ResponseHeadBuffer
from vegurtx.wire.proxy_protocol import ProxyHeader, parse_proxy_header

_FOUR = bytes((192, 0, 2, 1, 198, 51, 100, 1)) + struct.pack("!HH", 40000, 443)
_SIX = bytes(32) + struct.pack("!HH", 1, 2)


def version_2(kind: int, block: bytes) -> bytes:
    """A binary PROXY header with this byte for family and protocol."""
    return b"\r\n\r\n\0\r\nQUIT\n\x21" + bytes((kind,)) + struct.pack("!H", len(block)) + block


class PROXYHeader(TestCase):
    """Found by: Twisted's parser sees no addresses there."""

    def test_unspecified_protocol(self) -> None:
        """Rule 25: where family or protocol is UNSPEC, the addresses do not count; the connection's own do."""
        for kind, block in ((0x10, _FOUR), (0x20, _SIX), (0x00, b"")):
            raw = version_2(kind, block)
            self.assertEqual(parse_proxy_header(raw), ProxyHeader(len(raw), None, None, None))
        raw = version_2(0x11, _FOUR)
        self.assertEqual(
            parse_proxy_header(raw),
            ProxyHeader(len(raw), ("192.0.2.1", 40000), ("198.51.100.1", 443), None),
        )


def bytewise(raw: bytes) -> list[bytes]:
    """The same bytes, one by one."""
    return [raw[at : at + 1] for at in range(len(raw))]


class FirstFault(TestCase):
    """Found by: other segments, another word."""

    def fault(self, segments: list[bytes]) -> str:
        """What is wrong with a body."""
        decoder = ChunkedDecoder(BodyLimits(chunk_line=8, trailer=20, value=5))
        for segment in segments:
            try:
                decoder.feed(segment)
            except BadChunk as error:
                return error.what
        return ""

    def test_size_line(self) -> None:
        """Rule 6: of a size line that is too long, and bad behind that, the length is what is wrong."""
        for line, what in [
            (b"5;345678\0", "extension"),
            (b"5;3456789\0", "length"),
            (b"5;3456789\n", "length"),
            (b"5;34567890\0", "length"),
            (b"5;345678\r\0", "extension"),
            (b"5;3456789\r\n", "length"),
            (b"5x", "size"),
        ]:
            self.assertEqual(self.fault([line]), what, line)
            self.assertEqual(self.fault(bytewise(line)), what, line)

    def test_trailers(self) -> None:
        """Rule 6: where the section is too long before a trailer is bad, its length is what is wrong."""
        for trailers, what in [
            (b"A: b\r\nAbcdefghijkl:1234567\r\n", "length"),
            (b"A: b\r\nAbcdef:1234567\r\n", "trailer"),
            (b"A: b\r\nAbcdefghijklm\0", "trailer"),
            (b"A: b\r\nAbcdefghijklmno\0", "length"),
        ]:
            self.assertEqual(self.fault([b"0\r\n" + trailers]), what, trailers)
            self.assertEqual(self.fault(bytewise(b"0\r\n" + trailers)), what, trailers)

    def refused(self, buffer: RequestHeadBuffer | ResponseHeadBuffer, segments: list[bytes]) -> str:
        """What is wrong with a head."""
        for segment in segments:
            try:
                buffer.feed(segment)
            except BadHead as error:
                return f"{error.what} {error.status}"
        return ""

    def test_request_line(self) -> None:
        """Rules 3, 4: a request line that is too long before its version is bad is too long."""
        for line, what in [
            (b"GET /123456 HTTP~", "line_length 414"),
            (b"GET /1234567~ HTTP~", "line_length 414"),
            (b"GET /12345 HT~", "bad_request_line 400"),
            (b"GET /123456 HT~", "bad_request_line 400"),
            (b"GET /1234567 HT~", "line_length 414"),
        ]:
            for segments in ([line], bytewise(line)):
                found = self.refused(RequestHeadBuffer(RequestLimits(line=14)), segments)
                self.assertEqual(found, what, (line, len(segments)))

    def test_heads(self) -> None:
        """Rules 3, 4, 14: a head that is too long before a field is bad is too long."""
        line, status = b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n"
        for field, request, response in [
            (b"Abcdefgh: 12\0", "bad_byte 400", "header_length 502"),
            (b"Abcdefghijklmn\0", "bad_byte 400", "header_length 502"),
            (b"Abcdefghijklmno\0", "header_length 431", "header_length 502"),
            (b"Set-Cookie:1234", "header_length 431", "cookie_length 502"),
            (b"A:1\r\nSet-Cookie:1234", "header_length 431", "header_length 502"),
        ]:
            for cut in (lambda raw: [raw], bytewise):
                buffer = RequestHeadBuffer(RequestLimits(head=len(line) + 14, value=3))
                self.assertEqual(self.refused(buffer, cut(line + field)), request, field)
                answers = ResponseHeadBuffer(ResponseLimits(head=len(status) + 15, cookie=3))
                self.assertEqual(self.refused(answers, cut(status + field)), response, field)
