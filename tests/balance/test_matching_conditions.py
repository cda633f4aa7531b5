"""Conditions on method, headers and query."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import Request
from vegurtx.balance.config import MatcherConfig
from vegurtx.balance.matching import Routes


def matches(request: Request, **matcher: Any) -> bool:
    """Whether a request meets the conditions."""
    return Routes([([MatcherConfig(**matcher)], True)]).match(request) is True


class Conditions(TestCase):
    """Each kind, and all of them together."""

    def test_method(self) -> None:
        """As it is written; one of a list."""
        self.assertTrue(matches(Request(method="POST"), method="POST"))
        self.assertTrue(matches(Request(method="PUT"), method=["POST", "PUT"]))
        self.assertFalse(matches(Request(method="HEAD"), method="GET"))
        self.assertFalse(matches(Request(method="post"), method="POST"))

    def test_header(self) -> None:
        """One of its values, as it is; or any; or an expression that is found in one of them."""
        request = Request(headers=[(b"X-Team", b"red"), (b"x-team", b"blue, green"), (b"X-Empty", b"")])
        for wanted, expected in [
            ({"x-team": "red"}, True),
            ({"X-Team": "blue, green"}, True),
            ({"X-Team": "blue"}, False),
            ({"X-Team": "RED"}, False),
            ({"X-Team": {"regex": "gre+n"}}, True),
            ({"X-Team": {"regex": "^green"}}, False),
            ({"X-Empty": True}, True),
            ({"X-Empty": ""}, True),
            ({"X-None": True}, False),
            ({"X-None": ""}, False),
            ({"X-None": {"regex": ".*"}}, False),
            ({"X-Team": "red", "X-None": True}, False),
            ({"X-Team": "red", "X-Empty": True}, True),
        ]:
            self.assertEqual(matches(request, header=wanted), expected, wanted)

    def test_other_alphabets(self) -> None:
        """Text of the file is UTF-8 on the wire."""
        request = Request(
            "/?stadt=K%C3%B6ln&bad=%ff", headers=[(b"X-City", "Köln".encode()), (b"X-Bad", b"\xff")]
        )
        self.assertTrue(matches(request, header={"X-City": "Köln"}))
        self.assertTrue(matches(request, header={"X-City": {"regex": "^K.ln$"}}))
        self.assertTrue(matches(request, query={"stadt": "Köln"}))
        self.assertTrue(matches(request, header={"X-Bad": {"regex": "."}}, query={"bad": {"regex": "."}}))

    def test_query(self) -> None:
        """Decoded as forms are; one of several of that name."""
        request = Request("/?a=1&a=b+c%21&empty&%62=2")
        for wanted, expected in [
            ({"a": "1"}, True),
            ({"a": "b c!"}, True),
            ({"a": "2"}, False),
            ({"empty": ""}, True),
            ({"empty": True}, True),
            ({"b": "2"}, True),
            ({"c": True}, False),
            ({"a": {"regex": "c!$"}}, True),
            ({"a": "1", "c": True}, False),
        ]:
            self.assertEqual(matches(request, query=wanted), expected, wanted)

    def test_too_long(self) -> None:
        """What is longer than expressions are asked about does not match them; another value may."""
        long = b"a" * 5000
        self.assertFalse(matches(Request(headers=[(b"X", long)]), header={"X": {"regex": "a"}}))
        self.assertTrue(matches(Request(headers=[(b"X", long), (b"X", b"a")]), header={"X": {"regex": "a"}}))
        self.assertTrue(matches(Request(headers=[(b"X", long)]), header={"X": long.decode()}))

    def test_all_of_them(self) -> None:
        """All conditions of a matcher must hold."""
        matcher = {
            "host": "a.example",
            "prefix": "/a",
            "method": "GET",
            "header": {"X": "1"},
            "query": {"q": True},
        }
        good: dict[str, Any] = {"target": "/a?q", "host": "a.example", "headers": [(b"X", b"1")]}
        self.assertTrue(matches(Request(**good), **matcher))
        for change in (
            {"target": "/b?q"},
            {"target": "/a?r"},
            {"host": "b.example"},
            {"headers": ()},
            {"method": "PUT"},
        ):
            self.assertFalse(matches(Request(**{**good, **change}), **matcher), change)
