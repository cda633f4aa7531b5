"""Field lines, lists in their values, and trailers (rules 6, 9, 11; RFC 9110 sections 5.6, 6.5, 7.8)."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from vegurtx.wire.fields import fields, token_list, upgrade_list, valid_field, without
from vegurtx.wire.trailers import DROPPED, forwardable_trailers

BLOCK = b"A:  1 \r\nbB: x:y\r\nConnection: close\r\nBB: 2\r\nB: \r\n"


class FieldLineTests(TestCase):
    """Blocks of lines."""

    def test_fields(self) -> None:
        """Names as spelled, values stripped, in order."""
        pairs = [(b"A", b"1"), (b"bB", b"x:y"), (b"Connection", b"close"), (b"BB", b"2"), (b"B", b"")]
        self.assertEqual(fields(BLOCK), pairs)
        self.assertEqual(fields(b""), [])

    def test_without(self) -> None:
        """All lines of the names go, in any case; the others keep every byte."""
        self.assertEqual(without(BLOCK, frozenset({b"bb", b"zz"})), b"A:  1 \r\nConnection: close\r\nB: \r\n")
        self.assertEqual(
            without(BLOCK, frozenset({b"a", b"b"})), b"bB: x:y\r\nConnection: close\r\nBB: 2\r\n"
        )
        self.assertEqual(without(BLOCK, frozenset({b"a", b"b", b"bb", b"connection"})), b"")
        self.assertEqual(without(BLOCK, frozenset()), BLOCK)
        self.assertEqual(without(b"", frozenset({b"a"})), b"")

    def test_names_are_no_patterns(self) -> None:
        """A name that a peer nominates is taken literally."""
        for name in (b".", b"a|b", b".*", b"b+", b"^", b"", b":", b"\r\n"):
            self.assertEqual(without(BLOCK, frozenset({name})), BLOCK)


class ListTests(TestCase):
    """Lists inside values."""

    def test_tokens(self) -> None:
        """Lower-cased, empty members skipped."""
        for value, wanted in (
            (b"close", (b"close",)),
            (b"Keep-Alive , \tX-Foo", (b"keep-alive", b"x-foo")),
            (b",, a,,b ,", (b"a", b"b")),
            (b"", ()),
            (b" , ", ()),
            (b"a" * 100 + b",B", (b"a" * 100, b"b")),
        ):
            self.assertEqual(token_list(value), wanted)

    def test_no_tokens(self) -> None:
        """A member that is no token spoils the list."""
        for value in (b"a b", b"a;q=1", b'"a"', b"a, (", b"\xe9", b"a\0", b"a=b", b"a\n", b"x" * 100 + b" y"):
            self.assertRaises(ValueError, token_list, value)

    def test_protocols(self) -> None:
        """Names with or without a version, case kept."""
        for value, wanted in (
            (b"websocket", (b"websocket",)),
            (b"WebSocket, HTTP/2.0 ,,x", (b"WebSocket", b"HTTP/2.0", b"x")),
        ):
            self.assertEqual(upgrade_list(value), wanted)

    def test_no_protocols(self) -> None:
        """None at all is no list of protocols."""
        for value in (b"", b" ,", b"a b", b"a/", b"/1", b"a/b/c", b"websocket;x", b"a, b c"):
            self.assertRaises(ValueError, upgrade_list, value)


class ValidFieldTests(TestCase):
    """What a router may add."""

    def test_valid(self) -> None:
        """A token and a value."""
        for name, value in ((b"X-A", b""), (b"a!", b"b c\td"), (b"A", b"\xe9: ,")):
            self.assertTrue(valid_field(name, value), (name, value))

    def test_invalid(self) -> None:
        """Nothing that would end the line, split it, or be read differently."""
        for name, value in (
            (b"", b"x"),
            (b"a b", b"x"),
            (b"a:", b"x"),
            (b"a\n", b"x"),
            (b"\xe9", b"x"),
            (b"a", b"x\r\ny: z"),
            (b"a", b"x\n"),
            (b"a", b"x\r"),
            (b"a", b"\0"),
            (b"a", b"\x7f"),
            (b"a", b" x"),
            (b"a", b"x\t"),
        ):
            self.assertFalse(valid_field(name, value), (name, value))


class TrailerTests(TestCase):
    """Which trailers go on (rule 6)."""

    def test_dropped(self) -> None:
        """Framing, routing, hop-by-hop, credentials and content fields stop here, in any case."""
        for name in (*DROPPED, b"Proxy-Authorization", b"X-FORWARDED-For", b"proxy-x"):
            for spelled in (name, name.title(), name.upper()):
                block = b"A: 1\r\n" + spelled + b": x\r\nB:2\r\n"
                self.assertEqual(forwardable_trailers(block), b"A: 1\r\nB:2\r\n", spelled)

    def test_kept(self) -> None:
        """Everything else keeps every byte, look-alikes included."""
        block = b"eTag: x\r\nDigest:  y \r\nCache-Control: a\r\nHosts: b\r\nX-Te: c\r\nX-Forwarded: d\r\n"
        self.assertEqual(forwardable_trailers(block), block)
        self.assertEqual(forwardable_trailers(b""), b"")

    def test_nothing_left(self) -> None:
        """A block of nothing but dropped fields is empty after."""
        self.assertEqual(forwardable_trailers(b"Host: a\r\nTransfer-Encoding: chunked\r\n"), b"")

    def test_values_do_not_count(self) -> None:
        """A name inside of a value drops nothing."""
        block = b"A: Host: x\r\nB: \r\n"
        self.assertEqual(forwardable_trailers(block), block)
