"""YAML text to plain values with their lines: what is text, what is a number, and where the bounds are."""

from __future__ import annotations

from typing import Any
from unittest import mock

import yaml
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.config import ConfigError, load
from vegurtx.balance.config import source as source_module
from vegurtx.balance.config.source import MOST_BYTES, Source


def read(text: str) -> Any:
    return Source(text, "f.yaml").data


class Values(SynchronousTestCase):
    """What plain scalars are."""

    def test_scalars(self) -> None:
        """Null, truth values and numbers, written as in YAML 1.2; whatever would not read back stays text."""
        for text, value in {
            "5": 5,
            "-5": -5,
            "0": 0,
            "0.5": 0.5,
            "true": True,
            "False": False,
            "null": None,
            "~": None,
            "on": "on",
            "yes": "yes",
            "007": "007",
            "1.10": "1.10",
            "1:30": "1:30",
            "1_000": "1_000",
            "0x10": "0x10",
            ".inf": ".inf",
            "1e3": "1e3",
            "2001-01-01": "2001-01-01",
            "'5'": "5",
            '"true"': "true",
            "! 5": "5",
            "!!str 5": "5",
            "9" * 5000: "9" * 5000,
        }.items():
            data = read(f"a: {text}")
            self.assertEqual(data, {"a": value}, text[:50])
            self.assertIs(type(data["a"]), type(value), text[:50])

    def test_keys(self) -> None:
        """Every key is text: ``on`` is a strategy's option, ``1`` may be a service's name."""
        self.assertEqual(read("{on: 1, 1: 2, true: 3, ~: 4}"), {"on": 1, "1": 2, "true": 3, "~": 4})

    def test_both_parsers(self) -> None:
        """PyYAML's own parser says the same as libyaml's."""
        text = "a: &x {b: [1, 'c', ~], <<: {d: 2.5}}\ne: *x\nf: |\n  5\n"
        fast = Source(text, "f")
        with mock.patch.object(source_module, "_Parser", yaml.SafeLoader):
            slow = Source(text, "f")
        self.assertEqual(fast.data, slow.data)
        self.assertEqual(fast.lines, slow.lines)
        self.assertEqual(fast.data["f"], "5\n")

    def test_empty(self) -> None:
        """Nothing is nothing, comments too."""
        for text in ("", "# nothing\n", "---\n", "---\n...\n"):
            self.assertIsNone(read(text))


class Lines(SynchronousTestCase):
    """Where things are."""

    def test_places(self) -> None:
        """A key's line is its own, not its value's; an item's is where it begins."""
        lines = Source("a:\n\n  - b: 1\n    c:\n      2\n  - 3\n", "f").lines
        self.assertEqual(
            lines,
            {(): 1, ("a",): 1, ("a", 0): 3, ("a", 0, "b"): 3, ("a", 0, "c"): 4, ("a", 1): 6},
        )

    def test_aliases(self) -> None:
        """What comes from an anchor is where the anchor is: there it has to be put right."""
        source = Source("x: &x\n  a: 1\ny:\n  <<: *x\n  b: 2\nz: *x\n", "f")
        self.assertEqual(source.data, {"x": {"a": 1}, "y": {"b": 2, "a": 1}, "z": {"a": 1}})
        self.assertEqual(source.lines["y", "a"], 2)
        self.assertEqual((source.lines["z",], source.lines["z", "a"]), (6, 2))

    def test_merge(self) -> None:
        """A mapping's own keys win over merged ones, and the first of several merged mappings over the next."""
        text = "a: &a {k: 1, l: 1}\nb: &b {k: 2, m: 2}\nc: {l: 3, <<: [*a, *b]}\n"
        self.assertEqual(read(text)["c"], {"l": 3, "k": 1, "m": 2})


class Refused(SynchronousTestCase):
    """What is no configuration, however it is meant. One line, with the place."""

    def refused(self, text: str) -> str:
        error = self.assertRaises(ConfigError, Source, text, "f.yaml")
        self.assertEqual(len(error.problems), 1)
        self.assertEqual(str(error), error.problems[0])
        return str(error)

    def test_syntax(self) -> None:
        """Line, column, and the parser's words."""
        self.assertEqual(
            self.refused("a:\n  - b\n c: d\n").partition(": is not YAML: ")[0], "f.yaml:3: column 2"
        )
        self.assertIn("is not YAML", self.refused("a: [b"))
        self.assertIn("is not YAML", self.refused("a: *"))

    def test_characters(self) -> None:
        """Control characters and halves of surrogates."""
        self.assertEqual(
            self.refused("a: 1\nb: \x00"), "f.yaml:2: is not YAML: the character U+0000 is not allowed"
        )
        self.assertEqual(self.refused("a: 1\nb: \ud800"), "f.yaml:2: is not Unicode text")

    def test_characters_without_libyaml(self) -> None:
        """The other parser names the character too."""
        with mock.patch.object(source_module, "_Parser", yaml.SafeLoader):
            self.assertIn("f.yaml:2: is not YAML: the character U+0007", self.refused("a: 1\nb: \x07"))

    def test_size(self) -> None:
        """Bytes, not characters."""
        self.assertIn("it must have 1048576 at most", self.refused("# " + "ä" * (MOST_BYTES // 2)))
        self.assertIsNone(read("# " + "ä" * (MOST_BYTES // 2 - 1)))

    def test_depth(self) -> None:
        """Nesting ends before Python's own stack does."""
        self.assertIn("deeper than 32", self.refused("[" * 100_000))
        self.assertIn("deeper than 32", self.refused("{a: " * 40))
        chain = ["a0: &a0 [1]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 50)]
        self.assertIn("deeper than 32", self.refused("\n".join(chain)))

    def test_alias_bomb(self) -> None:
        """Aliases of aliases stand for more than memory has."""
        bomb = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
        self.assertIn("stands for more than", self.refused("\n".join(bomb)))
        wide = "a: &a {" + ", ".join(f"k{n}" for n in range(1000)) + "}\n"
        self.assertIn("stands for more than", self.refused(wide + f"b: {{<<: [{', '.join(['*a'] * 300)}]}}"))

    def test_circle(self) -> None:
        """An alias within what it names."""
        self.assertEqual(
            self.refused("a: &a\n  - 1\n  - *a\n"),
            "f.yaml:3: a[1]: an alias of something that it is in itself",
        )

    def test_alias_of_nothing(self) -> None:
        """An anchor comes first."""
        self.assertEqual(self.refused("a: 1\nb: *c\n"), "f.yaml:2: there is no anchor &c before this")

    def test_tags(self) -> None:
        """No tag makes anything but text."""
        for tag in ("!!python/object/apply:os.system", "!!binary", "!!set", "!x"):
            self.assertIn("tags are not allowed", self.refused(f"a: {tag} [b]"))

    def test_documents(self) -> None:
        """One file, one document."""
        self.assertEqual(
            self.refused("a: 1\n---\nb: 2\n"), "f.yaml:2: a second document; the file must have one"
        )

    def test_keys(self) -> None:
        """A list is no key."""
        self.assertEqual(self.refused("? [a]\n: 1\n"), "f.yaml:1: a key must be text")

    def test_merge(self) -> None:
        """``<<`` wants mappings."""
        self.assertIn("it must be the alias of a mapping", self.refused("a: {<<: 5}"))


class Repeated(SynchronousTestCase):
    """A key that is there twice."""

    def test_reported(self) -> None:
        """With both lines, and beside all other problems."""
        text = "settings:\n  timeout: 1\n  acceptors: x\n  timeout: 2\n"
        error = self.assertRaises(ConfigError, load, text, "f.yaml", services_required=False)
        self.assertEqual(
            error.problems,
            [
                "f.yaml:3: settings.acceptors: 'x' is not allowed; it must be a whole number from 1 to 2147483647",
                "f.yaml:4: settings.timeout: is there twice; the first one is in line 2",
            ],
        )
