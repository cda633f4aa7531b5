"""The form of a path that matchers look at."""

from __future__ import annotations

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import repeatable
from vegurtx.balance.matching import normal_form

#: what paths are made of that are meant to be read differently
pieces = st.sampled_from(
    [
        "/",
        "/",
        ".",
        "..",
        "%2e",
        "%2E%2e",
        "%2f",
        "%2F",
        "\\",
        "%5c",
        ";",
        "%3b",
        "%25",
        "%",
        "%00",
        "a",
        "%61",
        "api",
    ]
)
paths = st.lists(pieces, max_size=12).map(lambda parts: "/" + "".join(parts))


class NormalForm(TestCase):
    """RFC 3986 section 6.2.2, and what goes beyond it."""

    def test_unchanged(self) -> None:
        """Ordinary paths, and what looks like dots and is none."""
        for path in (
            "/",
            "/a",
            "/a/b/",
            "/.well-known/x",
            "/a/...",
            "/a/.b/c.",
            "/a;x=1/b",
            "/a%20b%2Fc",
            "*",
            "/a:@!$&'()*+,=",
        ):
            self.assertEqual(normal_form(path), path)

    def test_escapes(self) -> None:
        """Unreserved characters are decoded, others keep their escapes, in capitals. Decoding happens once."""
        for path, expected in [
            ("/%61pi", "/api"),
            ("/%7Euser/%2d%5F", "/~user/-_"),
            ("/a%2fb", "/a%2Fb"),
            ("/%e2%82%ac", "/%E2%82%AC"),
            ("/%2561", "/%2561"),
            ("/a%5cb", "/a%5Cb"),
        ]:
            self.assertEqual(normal_form(path), expected)

    def test_dot_segments(self) -> None:
        """Resolved, also where they are escaped (RFC 3986 section 5.2.4)."""
        for path, expected in [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/.%2E/b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/..", "/"),
            ("/./", "/"),
            ("/a/b/c/./../../g", "/a/g"),
        ]:
            self.assertEqual(normal_form(path), expected)

    def test_repeated_slashes(self) -> None:
        """Count as one."""
        for path, expected in [
            ("//", "/"),
            ("//api///x//", "/api/x/"),
            ("//a/./b", "/a/b"),
            ("/a/..//b", "/b"),
        ]:
            self.assertEqual(normal_form(path), expected)

    def test_read_in_different_ways(self) -> None:
        """These have no normal form."""
        for path in (
            "/api/..%2fadmin",
            "/api/..%2Fadmin",
            "/api%2f..%2fadmin",
            "/api/%2e%2e%2fadmin",
            "/api/..\\admin",
            "/api\\..\\admin",
            "/api/..%5cadmin",
            "/api/..%5Cadmin",
            "/api%5c..",
            "/api/.%2fx",
            "/api/..;/admin",
            "/api/..;x=1/admin",
            "/api/..%3b/admin",
            "/api/%2e%2e;/admin",
            "/../admin",
            "/a/../../b",
            "/%2e%2e",
            "/api//../admin",
            "/a%",
            "/a%4",
            "/a%zz",
            "/%%34%31",
            "/admin%00.png",
        ):
            self.assertIsNone(normal_form(path), path)

    @repeatable
    @given(paths)
    def test_stable(self, path: str) -> None:
        """The normal form of a normal form is itself; it has no dot segments and no repeated slashes."""
        normal = normal_form(path)
        if normal is not None:
            self.assertEqual(normal_form(normal), normal)
            self.assertNotIn("//", normal)
            self.assertFalse({".", ".."} & set(normal.split("/")))

    @repeatable
    @given(paths)
    def test_all_readings_agree(self, path: str) -> None:
        """Who decodes all escapes, takes a backslash for a slash and cuts at semicolons ends in the same place."""
        normal = normal_form(path)
        if normal is not None:
            self.assertEqual(resolved(lenient(path)), resolved(lenient(normal)))
            self.assertEqual(resolved(unquote(path)), resolved(unquote(normal)))


def lenient(path: str) -> str:
    """As the most easy-going back-end reads it."""
    parts = unquote(path).replace("\\", "/").split("/")
    return "/".join(part.partition(";")[0] for part in parts)


def resolved(path: str) -> list[str]:
    """Segments without empty ones and dots, each reading's way."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept[-1:] = []
        elif segment not in ("", "."):
            kept.append(segment)
    return kept
