"""The table that maps each rule to its tests, `docs/behaviour.md`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.behaviour.table import PAGE, RULES, page, rule_table, rules_of


class Table(TestCase):
    """Every rule has tests, and the page says which."""

    def test_every_rule_is_tested(self) -> None:
        """No rule is without a test, and no test names a rule that there is not."""
        self.assertEqual(set(rule_table()), set(RULES))

    def test_the_code_is_where_the_page_says(self) -> None:
        """Each file named beside a rule exists."""
        package = Path(PAGE).parent.parent / "vegurtx"
        for _, where in RULES.values():
            for place in where.split(", "):
                self.assertTrue((package / place).is_file(), place)

    def test_page_is_up_to_date(self) -> None:
        """`make docs-behaviour` would change nothing."""
        self.assertEqual(PAGE.read_text("utf-8"), page(), "run make docs-behaviour")

    def test_names(self) -> None:
        """How a docstring names its rules."""
        for docstring, rules in {
            "Rule 9: x": {9},
            "Rules 9, 21 and 26: x": {9, 21, 26},
            "Rules 14-16: x": {14, 15, 16},
            "Rule 12, Settled: x": {12},
            "No rule 7": set(),
        }.items():
            self.assertEqual(rules_of(docstring), rules, docstring)
