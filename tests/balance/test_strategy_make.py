"""Strategies by their names, and one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import Request, replicas, strategy
from vegurtx.balance.strategies import STRATEGIES, Strategy


class First:
    """A strategy of one's own, with `choose` alone."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        if "wrong" in options:
            raise ValueError("wrong is wrong")
        self.broken = {}["x"] if "broken" in options else None

    def choose(self, replicas: Sequence[Any], request: Any, now: float) -> Any:
        """The first one."""
        return replicas[0]


class Told(First):
    """One that wants to know how tries end."""

    def finished(self, replica: Any, seconds: float | None, ok: bool, now: float) -> None:
        """Nothing."""


class Unchoosy:
    """No strategy."""


not_a_class = First({})


class Names(TestCase):
    """What the file calls them."""

    def test_known(self) -> None:
        """In any case, with or without underscores."""
        for name, kind in STRATEGIES.items():
            self.assertIs(type(strategy(name)), kind)
            self.assertIs(type(strategy(name.lower())), kind)
        self.assertIs(type(strategy("weighted_round_robin")), STRATEGIES["WeightedRoundRobin"])

    def test_unknown(self) -> None:
        """What there is, and what may have been meant."""
        with self.assertRaisesRegex(
            ValueError, "'LeastConections' is no strategy.*did you mean LeastConnections"
        ):
            strategy("LeastConections")
        with self.assertRaisesRegex(ValueError, "it must be RoundRobin, WeightedRoundRobin"):
            strategy("xyz")

    def test_options(self) -> None:
        """Unknown and wrong ones are refused, by name."""
        for name, options, said in [
            ("RoundRobin", {"on": "path"}, "RoundRobin does not know the option 'on'; it has no options"),
            ("ConsistentHash", {"of": "path"}, "its options are bounded_load, on"),
            ("ConsistentHash", {"on": "moon"}, "ConsistentHash: on is client_address.*, not 'moon'"),
            ("IPHash", {"on": "path"}, "IPHash does not know the option 'on'"),
            ("ConsistentHash", {"bounded_load": 1}, "bounded_load is 0 or a number above 1"),
            ("ConsistentHash", {"bounded_load": True}, "bounded_load"),
            ("PowerOfTwo", {"decay": "x"}, "decay is seconds from 0.1 to 3600, not 'x'"),
            ("PowerOfTwo", {"decay": 0}, "decay"),
        ]:
            with self.assertRaisesRegex(ValueError, said):
                strategy(name, options)

    def test_ip_hash(self) -> None:
        """The same as ConsistentHash on the client's address."""
        all_of = replicas(1, 1, 1)
        one, two = strategy("IPHash"), strategy("ConsistentHash")
        self.assertIs(one.choose(all_of, Request(), 0.0), two.choose(all_of, Request(), 0.0))


class OnesOwn(TestCase):
    """A class by its dotted name."""

    def test_choose_alone(self) -> None:
        """`choose` is enough, and whoever asks finds that it wants to know of no ends."""
        one = strategy(f"{__name__}.First", {"anything": 1})
        all_of = replicas(1, 1)
        self.assertIs(one.choose(all_of, Request(), 0.0), all_of[0])
        one.finished(all_of[0], None, False, 0.0)
        self.assertIs(type(one).finished, Strategy.finished)

    def test_with_ends(self) -> None:
        """One with `finished` is taken as it is."""
        self.assertIs(type(strategy(f"{__name__}.Told")), Told)

    def test_ours(self) -> None:
        """Our own classes have dotted names too."""
        dotted = "vegurtx.balance.strategies.round_robin.RoundRobin"
        self.assertIs(type(strategy(dotted)), STRATEGIES["RoundRobin"])

    def test_not_to_be_had(self) -> None:
        """One line says what is wrong."""
        for name, options, said in [
            ("nosuchpackage.Strategy", {}, "nosuchpackage.Strategy cannot be imported: ModuleNotFoundError"),
            (f"{__name__}.Missing", {}, "has no Missing"),
            (f"{__name__}.not_a_class", {}, "is 'First', not a class"),
            (f"{__name__}.Unchoosy", {}, r"has no method choose\(replicas, request, now\)"),
            (f"{__name__}.First", {"wrong": 1}, "First: wrong is wrong"),
            (f"{__name__}.First", {"broken": 1}, "cannot be made from its options: KeyError"),
        ]:
            with self.assertRaisesRegex(ValueError, said):
                strategy(name, options)
