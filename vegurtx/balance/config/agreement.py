"""What has to go together in a file: names, splits, waiting times, strategies.

These checks see the services that are in order by themselves, and of the others only the names, as plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vegurtx.balance.config.fields import as_text
from vegurtx.balance.config.problems import Path, Problems, did_you_mean, shown
from vegurtx.balance.config.services import ServiceConfig, SplitConfig
from vegurtx.balance.config.strategy import StrategyConfig, complaint
from vegurtx.settings import Settings, SettingsError


def names_of(data: Mapping[str, Any], key: str) -> dict[int, str]:
    """The names of the list `key`, by their place in it; what has none is left out."""
    several = data.get(key)
    if not isinstance(several, list):
        return {}
    return {
        index: as_text(one["name"])
        for index, one in enumerate(several)
        if isinstance(one, dict) and isinstance(as_text(one.get("name")), str)
    }


def check_names(problems: Problems, data: Mapping[str, Any]) -> None:
    """Services and splits share one set of names: logs and metrics tell them apart by nothing else."""
    first: dict[str, str] = {}
    for key in ("services", "splits"):
        for index, name in names_of(data, key).items():
            place = first.setdefault(name, f"{key}[{index}]")
            if place != f"{key}[{index}]":
                problems.add(
                    (key, index, "name"), f"{shown(name)} is the name of {place} already; names are unique"
                )


def check_splits(
    problems: Problems,
    data: Mapping[str, Any],
    services: Mapping[int, ServiceConfig],
    splits: Mapping[int, SplitConfig],
) -> None:
    """A split names services that are there, and each service can be reached."""
    names = dict.fromkeys(names_of(data, "services").values())
    reached = set()
    for index, split in splits.items():
        for name in split.services:
            reached.add(name)
            if name not in names:
                text = f"there is no such service{did_you_mean(name, names)}"
                problems.add(("splits", index, "services", name), text)
    given = data.get("splits")
    if given is not None and len(splits) != (len(given) if isinstance(given, list) else -1):
        return  # those that are not in order may name anything
    for index, service in services.items():
        if not service.matcher and service.name not in reached:
            text = "is missing; it must be a path prefix such as /, or conditions (or a split must name the service)"
            problems.add(("services", index, "matcher"), text)


def check_queues(
    problems: Problems, services: Mapping[int, ServiceConfig], settings: Mapping[str, Any]
) -> None:
    """A wait in the queue has to end before the proxy stops waiting for the router."""
    values = {name: value for name, value in settings.items() if name == "router_timeout"}
    try:
        limit = Settings.from_mapping(values).router_timeout / 1000
    except SettingsError:
        return  # it is a problem of its own
    for index, service in services.items():
        if service.queue is not None and limit and service.queue.timeout >= limit:
            problems.add(
                ("services", index, "queue", "timeout"),
                f"{service.queue.timeout:g} seconds is not allowed; it must be shorter than the setting "
                f"router_timeout, which is {limit:g} seconds ({limit * 1000:g} ms)",
            )


def check_strategies(
    problems: Problems, default: StrategyConfig | None, services: Mapping[int, ServiceConfig]
) -> None:
    """Each strategy is known, and can be made with its options."""
    places: list[tuple[Path, StrategyConfig]] = []
    if default is not None:
        places.append((("strategy",), default))
    for index, service in services.items():
        if service.strategy is not None:
            places.append((("services", index, "strategy"), service.strategy))
    for path, strategy in places:
        text = complaint(strategy)
        if text is not None:
            problems.add(path, text)
