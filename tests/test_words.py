"""The words that all rooms share: headers, back-ends, reasons, pending values."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.trial.unittest import TestCase

import vegurtx
from vegurtx import Backend, ErrorPage, Headers, RouteError
from vegurtx.errors import REASONS, UNKNOWN, entry
from vegurtx.pending import PENDING, then


class HeadersTests(TestCase):
    """Order, case and duplicates stay; lookups do not mind the case."""

    def setUp(self) -> None:
        """Three fields, two of one name."""
        self.headers = Headers([(b"X-A", b"1"), (b"B", b"\xe9"), (b"x-a", b"2")])

    def test_lookup(self) -> None:
        """What comes back has the name's type."""
        self.assertEqual((self.headers.get("x-A"), self.headers.get(b"X-a")), ("1", b"1"))
        self.assertEqual(
            (self.headers.getall("x-a"), self.headers.getall(b"x-a")), (["1", "2"], [b"1", b"2"])
        )
        self.assertEqual((self.headers.get("b"), self.headers.get(b"b")), ("\xe9", b"\xe9"))

    def test_missing(self) -> None:
        """None, the default, or an empty list."""
        self.assertIsNone(self.headers.get("c"))
        self.assertEqual((self.headers.get("c", "d"), self.headers.getall(b"c")), ("d", []))
        self.assertNotIn("\u20ac", self.headers)
        self.assertNotIn(7, self.headers)
        self.assertIn("b", self.headers)

    def test_pairs(self) -> None:
        """Iteration gives the raw pairs."""
        self.assertEqual(list(self.headers), [(b"X-A", b"1"), (b"B", b"\xe9"), (b"x-a", b"2")])
        self.assertEqual((len(self.headers), self.headers), (3, Headers(list(self.headers))))


class Backends(TestCase):
    """What makes a back-end."""

    def test_misuse(self) -> None:
        """A keepalive or a port that is none."""
        for arguments in ({"keepalive": "yes"}, {"port": 0}, {"port": 65536}, {"port": "80"}, {"port": True}):
            with self.assertRaises(ValueError):
                Backend(**{"host": "h", "port": 80, **arguments})

    def test_key(self) -> None:
        """Rule 23: all that makes a connection different is in the key, and nothing else."""
        self.assertEqual(Backend("h", 1, keepalive="new").key, Backend("h", 1).key)
        keys = {Backend("h", 1).key, Backend("i", 1).key, Backend("h", 2).key, Backend("h", 1, tls=True).key}
        self.assertEqual(len({*keys, Backend.unix("/h").key}), 5)
        self.assertEqual(Backend("h", 1), Backend("h", 1))
        self.assertNotEqual(Backend("h", 1), Backend("h", 1, keepalive="new"))
        self.assertIn("/h", repr(Backend.unix("/h")))


class Reasons(TestCase):
    """Reasons and their table."""

    def test_route_error(self) -> None:
        """A reason is a str, or a tuple that begins with one."""
        for reason in ("a", ("a",), ("downstream", ("bad_chunk", "x"))):
            self.assertEqual(RouteError(reason).reason, reason)
        for reason in (None, 7, (), (7, "a"), ["a"]):
            with self.assertRaises(TypeError):
                RouteError(reason)  # type: ignore[arg-type]

    def test_entry(self) -> None:
        """The table is found by the reason, or by what of it is fixed; all else is a 503."""
        self.assertEqual(entry("not_found").status, 404)
        self.assertEqual(entry(("upstream", ("bad_chunk", "size"))).status, 400)
        self.assertEqual(entry(("downstream", "invalid_status")).status, 502)
        for reason in ("mine", ("mine", []), ("mine", ()), ("a", "b", "c")):
            self.assertIs(entry(reason), UNKNOWN)

    def test_page_by_default(self) -> None:
        """The base router's page has the table's status, for each reason."""
        router: Any = vegurtx.Router()
        for reason, line in REASONS.items():
            page = router.error_page(reason, None, None, None)
            self.assertIsInstance(page, ErrorPage)
            self.assertEqual(page.code, line.status)


class Pending(TestCase):
    """Plain values are used at once."""

    def test_kinds(self) -> None:
        """Deferreds, their subclasses and coroutines are pending; nothing else is."""

        async def coroutine() -> int:
            return 7

        running = coroutine()
        for value in (Deferred(), DeferredList([]), running):
            self.assertTrue(PENDING[value.__class__], value)
        for plain in (None, False, 7, "x", (), object(), coroutine):
            self.assertFalse(PENDING[plain.__class__], plain)
        running.close()

    def test_then(self) -> None:
        """Used at once, or when it comes; a failure passes by."""

        async def coroutine() -> int:
            return 7

        self.assertEqual(then(7, lambda value, more: (value, more), 8), (7, 8))
        for value in (succeed(7), coroutine()):
            self.assertEqual(self.successResultOf(then(value, lambda value, more: (value, more), 8)), (7, 8))
        self.failureResultOf(then(fail(ValueError()), lambda value: value), ValueError)


class Names(TestCase):
    """The public names."""

    def test_all_are_there(self) -> None:
        """DESIGN.md section 1: every public name can be had from the package."""
        for name in vegurtx.__all__:
            self.assertIsNotNone(getattr(vegurtx, name), name)
        with self.assertRaises(AttributeError):
            _ = vegurtx.nothing

    def test_importing_chooses_no_reactor(self) -> None:
        """Importing all public names installs no reactor: twistd's choice comes later."""
        program = (
            "import sys, vegurtx\n"
            "for name in vegurtx.__all__: getattr(vegurtx, name)\n"
            "sys.exit('twisted.internet.reactor' in sys.modules)"
        )
        self.assertEqual(subprocess.run([sys.executable, "-c", program], check=False).returncode, 0)
