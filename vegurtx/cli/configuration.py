"""``--config FILE``: read for its settings, and for the balancer that its services make.

Imported only where there is such a file: the balancer's modules, and a user's strategies, may ask for the reactor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vegurtx.balance.config import Config, ConfigError
from vegurtx.balance.reload import read
from vegurtx.balance.router import Balancer
from vegurtx.cli.dotted import search_here
from vegurtx.settings import Given

__all__ = ["ConfigError", "balancer_of", "overriding", "read_config"]


def read_config(path: str, sources: Sequence[Mapping[str, Given]], *, services: bool) -> Config:
    """The configuration in the file at `path`.

    :param sources: settings that win over the file's, the first source first.
    :param services: whether it must have services; otherwise it must not, since a router was named.
    :raises ConfigError: it cannot be read, or not be used.
    """
    search_here()  # a service may name a strategy of the user's own
    config = read(path, services_required=services, overrides=overriding(sources))
    if not services and (config.services or config.splits):
        raise ConfigError([f"{path}: services are not used with --router; leave one of the two out"])
    return config


def overriding(sources: Sequence[Mapping[str, Given]]) -> dict[str, Any]:
    """The values that win over the file's: those of `sources`, the first source first."""
    return {name: given.value for source in reversed(sources) for name, given in source.items()}


def balancer_of(config: Config, path: str, secret: bytes | None = None) -> Any:
    """The router that `config` describes.

    :param secret: signs sticky cookies, as for `Balancer`.
    :raises ConfigError: a strategy, or what else only shows when it is made, cannot be used.
    """
    from twisted.internet import reactor

    try:
        return Balancer(config, reactor=reactor, secret=secret)
    except ValueError as problem:
        raise ConfigError([f"{path}: {problem}"]) from None
    except Exception as problem:  # a strategy of one's own may raise anything
        raise ConfigError([f"{path}: {type(problem).__name__}: {problem}"]) from problem
