"""Chunked bodies: every vector whole, byte by byte and with bytes behind it; limits; writing (rule 6)."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from vegurtx.wire.chunked import LAST_CHUNK, ChunkedDecoder, Piece, encode_chunks, last_chunk
from vegurtx.wire.errors import BadChunk
from vegurtx.wire.limits import BodyLimits

GOOD: list[tuple[bytes, bytes, bytes]] = [
    (b"0\r\n\r\n", b"", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    (b"5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", b"hello world", b""),
    (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, b""),
    (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", b""),
    (b"5;a=b\r\nhello\r\n0;last\r\n\r\n", b"hello", b""),
    (b'5;\ta="q;\xe9 "\t\r\nhello\r\n0\r\n\r\n', b"hello", b""),
    (b"5;\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    (b"1\r\nx\r\n0\r\nA: b\r\nC:  d \r\n\r\n", b"x", b"A: b\r\nC:  d \r\n"),
    (b"800\r\n" + b"x" * 2048 + b"\r\n0\r\n\r\n", b"x" * 2048, b""),
]
"""Raw, body, trailers."""

BAD: list[tuple[bytes, bytes, str]] = [
    (b"\r\n", b"", "size"),
    (b";a\r\n", b"", "size"),
    (b" 5\r\nhello", b"", "size"),
    (b"g\r\n", b"", "size"),
    (b"5g\r\n", b"", "size"),
    (b"-5\r\n", b"", "size"),
    (b"+5\r\n", b"", "size"),
    (b"0x5\r\n", b"", "size"),
    (b"5_0\r\n", b"", "size"),
    (b"5.\r\n", b"", "size"),
    (b"5,5\r\n", b"", "size"),
    (b"\xb2\r\n", b"", "size"),
    (b"5\nhello", b"", "size"),
    (b"5\0\r\n", b"", "size"),
    (b"8000000000000000\r\n", b"", "size"),
    (b"ffffffffffffffff\r\n", b"", "size"),
    (b"00000000000000005\r\n", b"", "size"),
    (b"10000000000000005\r\n", b"", "size"),
    (b"5\rhello", b"", "extension"),
    (b"5 \r\nhello", b"", "extension"),
    (b"5 ;a\r\nhello", b"", "extension"),
    (b"5\t;a\r\nhello", b"", "extension"),
    (b"5 5\r\nhello", b"", "extension"),
    (b"5;a\nhello", b"", "extension"),
    (b"5;a\rb\r\n", b"", "extension"),
    (b"5;a\0b\r\n", b"", "extension"),
    (b"5;a\x7f\r\n", b"", "extension"),
    (b"5\r\nhelloX", b"hello", "delimiter"),
    (b"5\r\nhello\n0\r\n\r\n", b"hello", "delimiter"),
    (b"5\r\nhello\rX", b"hello", "delimiter"),
    (b"5\r\nhello6\r\n world\r\n", b"hello", "delimiter"),
    (b"5\r\nhello\r\n\r\n", b"hello", "size"),
    (b"5\r\nhello\r\nzz\r\n", b"hello", "size"),
    (b"0\r\nX", b"", ""),
    (b"0\r\n\n", b"", "trailer"),
    (b"0\r\n\rX", b"", "trailer"),
    (b"0\r\nA : b\r\n\r\n", b"", "trailer"),
    (b"0\r\nA: b\r\n c\r\n\r\n", b"", "trailer"),
    (b"0\r\nA: b\nC: d\r\n\r\n", b"", "trailer"),
    (b"0\r\nA: \0\r\n\r\n", b"", "trailer"),
    (b"1\r\nx\r\n0\r\nGET / HTTP/1.1\r\n\r\n", b"x", "trailer"),
]
"""Raw, the body before the bad byte, the word ("": only incomplete)."""

SMALL = BodyLimits(chunk_line=8, name=3, value=4, fields=2, trailer=20)


def decode(segments: list[bytes], decoder: ChunkedDecoder) -> tuple[bytes, str]:
    """Feed segments; return the body and, if it broke, the word."""
    pieces: list[Piece] = []
    for segment in segments:
        try:
            pieces += decoder.feed(segment)
        except BadChunk as error:
            return b"".join([*pieces, *error.pieces]), error.what
    return b"".join(pieces), ""


def bytes_of(raw: bytes) -> list[bytes]:
    """Cut into single bytes."""
    return [raw[at : at + 1] for at in range(len(raw))]


class DecoderTests(TestCase):
    """What comes in."""

    def test_good(self) -> None:
        """Whole, byte by byte and cut anywhere: same body, same trailers, done at the last byte only."""
        for raw, body, trailers in GOOD:
            cuts = [[raw], bytes_of(raw), *([raw[:at], raw[at:]] for at in range(1, min(len(raw), 60)))]
            for segments in cuts:
                decoder = ChunkedDecoder()
                self.assertEqual(decode(segments[:-1], decoder)[1], "")
                self.assertFalse(decoder.done)
                decoder = ChunkedDecoder()
                self.assertEqual(decode(segments, decoder), (body, ""), raw)
                self.assertEqual(
                    (decoder.done, decoder.trailers, decoder.surplus), (True, trailers, b""), raw
                )

    def test_surplus(self) -> None:
        """What follows the end is kept apart, also when it comes later."""
        for raw, body, _ in GOOD:
            decoder = ChunkedDecoder()
            self.assertEqual(decode([raw + b"GET ", b"/ "], decoder), (body, ""))
            self.assertEqual(decoder.surplus, b"GET / ")

    def test_bad(self) -> None:
        """Bad bytes break the body at the same place with the same word, however they come, and for good."""
        for raw, body, what in BAD:
            for segments in ([raw], bytes_of(raw), [raw + b"0\r\n\r\n" * 3 if what else raw]):
                decoder = ChunkedDecoder()
                self.assertEqual(decode(segments, decoder), (body, what), raw)
                self.assertFalse(decoder.done)
                if what:
                    self.assertEqual(self.assertRaises(BadChunk, decoder.feed, b"0\r\n\r\n").what, what)

    def test_never_done_early(self) -> None:
        """No beginning of a good body is taken for its end (rule 21)."""
        for raw, _, _ in GOOD:
            for end in range(len(raw)):
                decoder = ChunkedDecoder()
                decoder.feed(raw[:end])
                self.assertFalse(decoder.done, raw[:end])

    def test_big_pieces_are_views(self) -> None:
        """From 1 KiB up a piece is a view of the segment; a segment that is all body is itself the piece."""
        decoder = ChunkedDecoder()
        segment = b"1000\r\n" + b"x" * 2000
        (piece,) = decoder.feed(segment)
        assert isinstance(piece, memoryview)
        self.assertIs(piece.obj, segment)
        segment = b"y" * 2096
        self.assertIs(decoder.feed(segment)[0], segment)
        self.assertEqual(decoder.feed(b"\r\n3\r\nabc\r\n0\r\n\r\n"), [b"abc"])

    def test_size_line_limit(self) -> None:
        """The size line is bounded, CRLF left out, also before it ends."""
        for segments_of in (lambda raw: [raw], bytes_of):
            good, bad = b"1;345678\r\nx\r\n", b"1;3456789\r\nx\r\n"
            self.assertEqual(decode(segments_of(good), ChunkedDecoder(SMALL)), (b"x", ""))
            self.assertEqual(decode(segments_of(bad), ChunkedDecoder(SMALL)), (b"", "length"))
        self.assertEqual(decode([b"1;" + b"x" * 4095], ChunkedDecoder()), (b"", "length"))
        self.assertEqual(decode([b"1;" + b"x" * 4094], ChunkedDecoder()), (b"", ""))

    def test_trailer_limits(self) -> None:
        """Names, values, their number and their sum are bounded."""
        for trailers, what in (
            (b"abc: wxyz\r\nd:\r\n\r\n", ""),
            (b"abcd: wxyz\r\n\r\n", "trailer"),
            (b"abc: vwxyz\r\n\r\n", "trailer"),
            (b"a:\r\nb:\r\nc:\r\n\r\n", "trailer"),
            (b"a:                  b\r\n\r\n", "length"),
        ):
            for segments_of in (lambda raw: [raw], bytes_of):
                got = decode(segments_of(b"0\r\n" + trailers), ChunkedDecoder(SMALL))
                self.assertEqual(got, (b"", what), trailers)


class EncoderTests(TestCase):
    """What goes out."""

    def test_one_chunk_of_all_pieces(self) -> None:
        """The pieces make one chunk and are not copied."""
        pieces: list[Piece] = [b"hello", memoryview(b" big world")]
        buffers = encode_chunks(pieces)
        self.assertEqual(b"".join(buffers), b"f\r\nhello big world\r\n")
        self.assertIs(buffers[1], pieces[0])
        self.assertIs(buffers[2], pieces[1])

    def test_no_bytes_no_chunk(self) -> None:
        """No bytes must never make a chunk: it would be the last one."""
        self.assertEqual(encode_chunks([]), [])
        self.assertEqual(encode_chunks([b"", memoryview(b"")]), [])

    def test_last_chunk(self) -> None:
        """The end, with and without trailers."""
        self.assertEqual(last_chunk(b""), LAST_CHUNK)
        self.assertEqual(last_chunk(b"A: b\r\n"), b"0\r\nA: b\r\n\r\n")

    def test_round_trip(self) -> None:
        """What is written is read back."""
        raw = b"".join([*encode_chunks([b"a" * 5000, b"b"]), *encode_chunks([b"c"]), last_chunk(b"T: u\r\n")])
        decoder = ChunkedDecoder()
        self.assertEqual(b"".join(decoder.feed(raw)), b"a" * 5000 + b"bc")
        self.assertEqual((decoder.done, decoder.trailers), (True, b"T: u\r\n"))
