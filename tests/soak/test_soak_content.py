"""The soak finds each byte of a body that is wrong, lost or doubled."""

from __future__ import annotations

from hashlib import sha256

from twisted.trial.unittest import TestCase

from soak.content import Received, body, chunk, digest, pieces

KEY = 123456789
SIZE = 300000


class Bodies(TestCase):
    """What a body is follows from its key alone."""

    def received(self, data: bytes, step: int = 4096) -> Received:
        """Take `data` in pieces."""
        taken = Received(KEY)
        for begin in range(0, len(data), step):
            taken.feed(data[begin : begin + step])
        return taken

    def test_pieces(self) -> None:
        """In pieces of any size it is the same body, and the digest is SHA-256 of it."""
        whole = body(KEY, SIZE)
        self.assertEqual(b"".join(pieces(KEY, SIZE, 777)), whole)
        self.assertEqual(digest(KEY, SIZE), sha256(whole).hexdigest())

    def test_good(self) -> None:
        """A body as it must be has no problem, in whatever pieces it comes."""
        for step in (1000, 65536, SIZE):
            taken = self.received(body(KEY, SIZE), step)
            self.assertEqual(taken.problem(SIZE, digest(KEY, SIZE)), "")

    def test_corrupted_byte(self) -> None:
        """One bit is enough, and its offset is told."""
        data = bytearray(body(KEY, SIZE))
        for at in (0, 4095, 4096, SIZE - 1):
            data[at] ^= 1
            taken = self.received(bytes(data))
            self.assertEqual(taken.wrong_at, at)
            self.assertIn(f"byte {at} of the body is wrong", taken.problem(SIZE))
            data[at] ^= 1

    def test_lost_doubled_swapped(self) -> None:
        """A piece that is lost, comes twice, or out of place is found."""
        data = body(KEY, SIZE)
        for wrong in (
            data[:4096] + data[8192:],
            data[:8192] + data[4096:],
            data[4096:8192] + data[:4096] + data[8192:],
        ):
            self.assertNotEqual(self.received(wrong).problem(None), "")

    def test_length(self) -> None:
        """A body that is too short by a byte has a problem, unless it may be cut short."""
        taken = self.received(body(KEY, SIZE - 1))
        self.assertIn("not 300000", taken.problem(SIZE))
        self.assertEqual(taken.problem(None), "")

    def test_digest(self) -> None:
        """What the other end says that it has sent must be what came."""
        self.assertIn("digest", self.received(body(KEY, SIZE)).problem(SIZE, digest(KEY + 1, SIZE)))

    def test_of_another(self) -> None:
        """The body of another key is wrong from the first bytes on."""
        self.assertLess(self.received(body(KEY + 1, SIZE)).wrong_at or 0, 10)

    def test_chunk(self) -> None:
        """A chunk is its size in hexadecimal, and the data."""
        self.assertEqual(chunk(b"x" * 26), b"1a\r\n" + b"x" * 26 + b"\r\n")
