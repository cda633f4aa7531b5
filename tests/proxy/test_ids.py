"""Request ids (rule 12; Heroku's rules)."""

from __future__ import annotations

import uuid

from twisted.trial.unittest import TestCase

from vegurtx.proxy.ids import RequestIds, acceptable


class Ids(TestCase):
    """Which are taken over, and what new ones look like."""

    def test_acceptable(self) -> None:
        """Rule 12: 20 to the limit's bytes, letters, digits and + / = -."""
        for given in (b"a" * 20, b"a" * 200, b"0123456789abcdefghijABCDEF+/=-"):
            self.assertTrue(acceptable(given, 200), given)
        for given in (
            b"",
            b"a" * 19,
            b"a" * 201,
            b"a" * 20 + b"\n",
            b"a" * 20 + b" ",
            b"_" * 20,
            b"\xe9" * 20,
        ):
            self.assertFalse(acceptable(given, 200), given)

    def test_new(self) -> None:
        """New ids are random UUIDs, and acceptable themselves."""
        new = RequestIds().new
        ids = [new() for _ in range(1000)]
        self.assertEqual(len(set(ids)), 1000)
        for each in ids:
            self.assertEqual((uuid.UUID(each).version, str(uuid.UUID(each))), (4, each))
            self.assertEqual(uuid.UUID(each).variant, uuid.RFC_4122)
            self.assertTrue(acceptable(each.encode(), 200))
