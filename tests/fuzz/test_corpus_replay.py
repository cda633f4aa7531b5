"""Every input of every corpus, once: seeds, known attacks, and all that was ever found."""

from __future__ import annotations

import re

import pytest
from twisted.trial.unittest import TestCase

from fuzz.registry import HERE, TARGETS

pytestmark = pytest.mark.once

#: bytes of all corpora together
MOST = 500_000
_word = re.compile(r'"(?:[^"\\]|\\x[0-9a-f]{2})+"').fullmatch


class Corpora(TestCase):
    """What is in the folders."""

    def test_replay(self) -> None:
        """All claims hold for every input."""
        broken = []
        for target in TARGETS.values():
            check = target.check()
            for path in target.inputs():
                try:
                    check(path.read_bytes())
                except Exception as error:
                    broken.append(f"{target.name}/{path.name}: {type(error).__name__}: {error}")
        self.assertEqual(broken, [])

    def test_folders(self) -> None:
        """Each target has seeds, and each folder a target; none has more than it can use."""
        self.assertEqual({path.name for path in (HERE / "corpus").iterdir()}, set(TARGETS))
        for target in TARGETS.values():
            inputs = target.inputs()
            self.assertGreater(len(inputs), 15, target.name)
            for path in inputs:
                self.assertLessEqual(path.stat().st_size, 2 * target.longest, path)

    def test_size(self) -> None:
        """The corpora stay small enough to be read."""
        sizes = [path.stat().st_size for target in TARGETS.values() for path in target.inputs()]
        self.assertLess(sum(sizes), MOST)

    def test_dictionaries(self) -> None:
        """Each target has words, in libFuzzer's form."""
        for target in TARGETS.values():
            lines = target.dictionary.read_text("ascii").splitlines()
            words = [line for line in lines if line and not line.startswith("#")]
            self.assertGreater(len(words), 10, target.name)
            for word in words:
                self.assertTrue(_word(word), f"{target.name}: {word}")
