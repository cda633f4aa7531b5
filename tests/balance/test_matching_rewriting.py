"""What of a path a replica gets."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import repeatable
from vegurtx.balance.config import RewriteConfig
from vegurtx.balance.matching import Rewrite, rewrite_target
from vegurtx.errors import RouteError


def rewritten(target: str, prefixes: tuple[str, ...] = (), **rules: Any) -> str:
    """The target that the replica gets."""
    return rewrite_target(target, RewriteConfig(**rules), prefixes)


class Rewriting(TestCase):
    """Each rule, and their order."""

    def test_strip_prefix(self) -> None:
        """In whole segments; the query stays; without the prefix, everything stays."""
        for target, expected in [
            ("/api/x?y=/api", "/x?y=/api"),
            ("/api", "/"),
            ("/api/", "/"),
            ("/api?x", "/?x"),
            ("/apix", "/apix"),
            ("/x/api", "/x/api"),
            ("/api/a%20b%2Fc", "/a%20b%2Fc"),
            ("/api/x//y", "/x//y"),
            ("//api/x", "/x"),
            ("/%61pi/x", "/x"),
            ("/b/../api/x", "/x"),
            ("/api/b/../../api/x", "/x"),
            ("/api/a/./b", "/a/b"),
            ("*", "*"),
        ]:
            for prefix in ("/api", "/api/"):
                self.assertEqual(rewritten(target, strip_prefix=prefix), expected, target)

    def test_matchers_prefix(self) -> None:
        """`true` takes the longest of the matchers' prefixes that fits."""
        prefixes = ("/a", "/a/b", "/c/", "/")
        for target, expected in [("/a/x", "/x"), ("/a/b/x", "/x"), ("/c/x", "/x"), ("/d/x", "/d/x")]:
            self.assertEqual(rewritten(target, prefixes, strip_prefix=True), expected)

    def test_add_prefix(self) -> None:
        """Before what is left."""
        self.assertEqual(rewritten("/x?y", add_prefix="/v1"), "/v1/x?y")
        self.assertEqual(rewritten("/x", add_prefix="/v1/"), "/v1/x")
        self.assertEqual(rewritten("/x", add_prefix="/"), "/x")
        self.assertEqual(rewritten("/api", strip_prefix="/api", add_prefix="/v1"), "/v1/")

    def test_regex(self) -> None:
        """Everywhere in the path, with groups; behind the stripping, before the adding; never in the query."""
        self.assertEqual(
            rewritten("/u/7/u/8?u/9", regex="u/([0-9])", replacement=r"user-\1"), "/user-7/user-8?u/9"
        )
        self.assertEqual(
            rewritten("/api/v1/x", strip_prefix="/api", regex="^/v1", replacement="/v2", add_prefix="/app"),
            "/app/v2/x",
        )
        self.assertEqual(rewritten("/x", regex="^/", replacement=""), "/x")
        self.assertEqual(rewritten("/%61", regex="^/a$", replacement="/b"), "/b")

    def test_no_other_host(self) -> None:
        """No reference to another host comes out, and nothing that leads out of the added prefix."""
        self.assertEqual(rewritten("/api//evil.example/x", strip_prefix="/api"), "/evil.example/x")
        self.assertEqual(
            rewritten("/r//evil.example", regex="^/r/(.*)", replacement=r"//\1"), "/evil.example"
        )
        self.assertEqual(rewritten("/a/.x./b", regex="x", replacement="", add_prefix="/t"), "/t/b")
        for target in ("/../x", "/..%2fx", "/a/..;/x", "/%2e%2e/x", "/%zz"):
            with self.assertRaises(RouteError) as caught:
                rewritten(target, add_prefix="/tenant")
            self.assertEqual(caught.exception.reason, "bad_request")
        with self.assertRaises(RouteError):
            rewritten("/.x./b", regex="x", replacement="", add_prefix="/tenant")

    def test_what_no_target_has(self) -> None:
        """Whatever a replacement puts in that no target may have is percent-encoded."""
        config: Any = SimpleNamespace(
            strip_prefix=None, add_prefix=None, regex="a", replacement="b c\r\n?#é\x7f"
        )
        self.assertEqual(Rewrite(config).apply("/a?q"), "/b%20c%0D%0A%3F%23%C3%A9%7F?q")

    def test_too_long(self) -> None:
        """A path beyond what expressions are asked about is refused, and so is a result that has no end."""
        for target, rules in [
            ("/" + "a" * 5000, {"regex": "b", "replacement": "c"}),
            ("/" + "a" * 4000, {"regex": "a", "replacement": "aaaa"}),
        ]:
            with self.assertRaises(RouteError) as caught:
                rewritten(target, **rules)
            self.assertEqual(caught.exception.code, 414)
        self.assertEqual(len(rewritten("/" + "a" * 5000, strip_prefix="/b")), 5001)

    def test_nonsense(self) -> None:
        """Expressions and replacements that do not fit are refused."""
        for regex, replacement in [("(", "x"), ("a", r"\1"), ("a", r"\g<b>")]:
            with self.assertRaises(ValueError):
                Rewrite(
                    SimpleNamespace(strip_prefix=None, add_prefix=None, regex=regex, replacement=replacement)
                )

    @repeatable
    @given(
        st.text(st.sampled_from("/./.%2feEa5c\\;?x&=b"), max_size=30),
        st.sampled_from([None, "/a", True]),
        st.sampled_from([None, "/t/u"]),
        st.sampled_from([(None, None), ("a", ""), ("x", "./."), ("[^/]+", ".."), ("b", "//"), ("^", r"\\")]),
    )
    def test_always_an_origin_form(
        self, rest: str, strip: Any, add: str | None, rule: tuple[str | None, str | None]
    ) -> None:
        """Whatever comes: an origin-form within the added prefix, or a refusal."""
        config = RewriteConfig(strip_prefix=strip, add_prefix=add, regex=rule[0], replacement=rule[1])
        try:
            target = rewrite_target("/" + rest, config, ("/a", "/x"))
        except RouteError:
            return
        self.assertIsNotNone(re.fullmatch(r'/[!"$-~]*', target), target)
        self.assertFalse(target.startswith("//"))
        path = target.partition("?")[0]
        if add:
            self.assertTrue(path.startswith(add + "/"), target)
        self.assertFalse(
            {".", ".."} & set(re.split(r"/|\\|%2[fF]|%5[cC]", path.replace("%2e", ".").replace("%2E", "."))),
            target,
        )
