"""Header rules: set, add and remove, as the pairs that the proxy takes."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from vegurtx.balance.config import HeaderRulesConfig, HeadersConfig
from vegurtx.balance.header_rules import HeaderRules, rules
from vegurtx.message import Headers

PRESENT = Headers([(b"X-A", b"1"), (b"x-a", b"2"), (b"Set-Cookie", b"theirs=1")])


def pairs(**config: Any) -> list[tuple[str, str | None]]:
    """What the rules make of a message with the fields `PRESENT`."""
    return list(HeaderRules(HeaderRulesConfig(**config)).pairs(PRESENT))


class Rules(TestCase):
    """One direction."""

    def test_set_and_remove(self) -> None:
        """A set field is a pair, a removed one a pair without value."""
        self.assertEqual(pairs(set={"X-A": "3"}, remove=["X-B"]), [("X-A", "3"), ("X-B", None)])

    def test_add(self) -> None:
        """Pairs replace all of their name: to add means to repeat what is there."""
        self.assertEqual(pairs(add={"X-a": "3"}), [("X-a", "1"), ("X-a", "2"), ("X-a", "3")])
        self.assertEqual(pairs(add={"X-New": ["1", "2"]}), [("X-New", "1"), ("X-New", "2")])

    def test_set_cookie(self) -> None:
        """A Set-Cookie stands beside the others anyway, and is not repeated."""
        self.assertEqual(pairs(add={"Set-Cookie": "ours=1"}), [("Set-Cookie", "ours=1")])

    def test_nothing_is_made_for_fixed_rules(self) -> None:
        """Rules that do not depend on the message cost nothing for each."""
        fixed = HeaderRules(HeaderRulesConfig(set={"X-A": "3"}))
        self.assertIs(fixed.pairs(PRESENT), fixed.pairs(Headers()))

    def test_directions(self) -> None:
        """Each direction has its own; one without rules has none at all."""
        config = HeadersConfig(request=HeaderRulesConfig(set={"X-A": "3"}))
        self.assertIsNotNone(rules(config, "request"))
        self.assertIsNone(rules(config, "response"))
        self.assertIsNone(rules(None, "request"))
