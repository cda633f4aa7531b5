"""``docs/settings.md`` says what the code does."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.cli_case import ROOT, outcome_of
from vegurtx.cli.main import main
from vegurtx.settings import Settings


class SettingsPage(SynchronousTestCase):
    """The page is generated."""

    def test_up_to_date(self) -> None:
        """Whoever changes a setting runs ``make docs-settings``."""
        page = outcome_of(partial(main, ["settings-docs"])).out
        self.assertEqual((ROOT / "docs/settings.md").read_text("utf-8"), page)

    def test_complete(self) -> None:
        """A row for each setting, with default, unit, bounds and meaning, in a table that stays one."""
        page = outcome_of(partial(main, ["settings-docs"])).out
        rows = [line for line in page.splitlines() if line.startswith("| `")]
        self.assertEqual([row.split("`")[1] for row in rows], [entry.name for entry in Settings.entries()])
        self.assertEqual({row.replace("\\|", "").count("|") for row in rows}, {6})
        self.assertIn("| `idle_timeout` | 55 | s | a number from 0 to 86400 | No byte either way", page)
