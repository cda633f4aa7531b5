"""How a service chooses one of its replicas: one small class each, behind `Strategy`.

`make` finds the class by its name in the file, or a class of one's own by its dotted name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from vegurtx.balance.strategies.base import Strategy
from vegurtx.balance.strategies.consistent_hash import ConsistentHash, IPHash
from vegurtx.balance.strategies.least_connections import LeastConnections
from vegurtx.balance.strategies.power_of_two import PowerOfTwo
from vegurtx.balance.strategies.round_robin import RoundRobin
from vegurtx.balance.strategies.weighted_random import WeightedRandom
from vegurtx.balance.strategies.weighted_round_robin import WeightedRoundRobin

__all__ = ["STRATEGIES", "Strategy", "make"]

#: by the names that the file has for them
STRATEGIES: Mapping[str, type[Strategy]] = {
    "RoundRobin": RoundRobin,
    "WeightedRoundRobin": WeightedRoundRobin,
    "LeastConnections": LeastConnections,
    "PowerOfTwo": PowerOfTwo,
    "Random": WeightedRandom,
    "ConsistentHash": ConsistentHash,
    "IPHash": IPHash,
}


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


_BY_PLAIN_NAME = {_plain(name): strategy for name, strategy in STRATEGIES.items()}


def make(config: Any) -> Strategy:
    """The strategy that a `vegurtx.balance.config.StrategyConfig` asks for.

    :param config: has ``name``, in any case and with or without ``_``, or the dotted name of a class; and
        ``options``.
    :raises ValueError: there is no such strategy, it cannot be imported, or it cannot use its options; the text says
        which.
    """
    name: str = config.name
    known = _BY_PLAIN_NAME.get(_plain(name))
    if known is not None:
        return known(config.options)
    if "." in name:
        return _own(name, config.options)
    near = get_close_matches(_plain(name), _BY_PLAIN_NAME, 1)
    hint = f"; did you mean {_BY_PLAIN_NAME[near[0]].__name__}?" if near else ""
    raise ValueError(
        f"{name[:60]!a} is no strategy; it must be {', '.join(STRATEGIES)}, or the dotted name of a class{hint}"
    )


def _own(name: str, options: Mapping[str, Any]) -> Strategy:
    """A strategy that is not ours."""
    found = _imported(name)
    if not isinstance(found, type):
        raise ValueError(f"{name} is {type(found).__name__!r}, not a class")
    if not callable(getattr(found, "choose", None)):
        raise ValueError(f"{name} has no method choose(replicas, request, now)")
    try:
        own: Any = found(options)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    except Exception as error:
        raise ValueError(
            f"{name} cannot be made from its options: {type(error).__name__}: {error}"
        ) from error
    return own if callable(getattr(own, "finished", None)) else _Chooser(own)


def _imported(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except AttributeError:
        raise ValueError(f"{name}: the module {module} has no {attribute}") from None
    except Exception as error:  # a module of one's own may raise anything
        raise ValueError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


class _Chooser(Strategy):
    """A class of one's own that has no `finished`."""

    choose: Callable[..., Any]

    def __init__(self, own: Any) -> None:
        self.own = own
        self.choose = own.choose
