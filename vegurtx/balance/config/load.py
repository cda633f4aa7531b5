"""From the text of a file to a `Config`, or to all that is wrong with it.

Each service and each split is validated by itself, so that one that is wrong does not keep the others, and what lies
between them, from being looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from vegurtx.balance.config.agreement import check_names, check_queues, check_splits, check_strategies
from vegurtx.balance.config.fields import Section
from vegurtx.balance.config.findings import add_error
from vegurtx.balance.config.problems import Path, Problems, did_you_mean, found
from vegurtx.balance.config.services import MOST_SECTIONS, Config, ServiceConfig, SplitConfig
from vegurtx.balance.config.source import Source
from vegurtx.balance.config.strategy import DEFAULT_STRATEGY, StrategyConfig
from vegurtx.settings import Settings, SettingsError

_S = TypeVar("_S", bound=Section)


def load(
    text: str,
    filename: str,
    *,
    services_required: bool = True,
    overrides: Mapping[str, Any] | None = None,
) -> Config:
    """Read a configuration file.

    :param text: the file's text, YAML.
    :param filename: what problems call it.
    :param services_required: whether a file without services is a problem; a file of settings alone has none.
    :param overrides: settings that win over the file's (from options and the environment). What the file says of a
        queue has to go together with them.
    :raises ConfigError: the file cannot be used; its ``problems`` say all that is wrong, a line for each.
    """
    source = Source(text, filename)
    data = {} if source.data is None else source.data
    problems = Problems(filename, source.lines, data)
    for path, line, first in source.repeated:
        problems.add(path, f"is there twice; the first one is in line {first}", line)
    if not isinstance(data, dict):
        problems.add((), f"{found((), data)} is not allowed; the file must be a mapping with services: in it")
        raise problems.error()

    settings = _settings(problems, data.get("settings"))
    services = _several(problems, ServiceConfig, data, "services")
    splits = _several(problems, SplitConfig, data, "splits")
    given = data.get("strategy")
    strategy = _section(problems, StrategyConfig, DEFAULT_STRATEGY if given is None else given, ("strategy",))
    # The rest are keys that nobody knows.
    _section(problems, Config, {key: one for key, one in data.items() if key not in Config.model_fields}, ())
    if services_required and data.get("services") in (None, []):
        problems.add(("services",), "is missing; a file must have one service at least")

    check_names(problems, data)
    check_splits(problems, data, services, splits)
    check_queues(problems, services, {**settings, **(overrides or {})})
    check_strategies(problems, None if given is None else strategy, services)
    if problems or strategy is None:
        raise problems.error()
    with_strategy = (
        service if service.strategy else service.model_copy(update={"strategy": strategy})
        for service in services.values()
    )
    return Config(
        settings=settings, strategy=strategy, services=tuple(with_strategy), splits=tuple(splits.values())
    )


def _section(problems: Problems, section: type[_S], value: Any, path: Path) -> _S | None:
    try:
        return section.model_validate(value)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            add_error(problems, section, path, details)
        return None


def _several(problems: Problems, section: type[_S], data: dict[str, Any], key: str) -> dict[int, _S]:
    """The sections of a list that are in order, by their place in it."""
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, list):
        problems.add((key,), f"{found((key,), value)} is not allowed; it must be a list")
        return {}
    if len(value) > MOST_SECTIONS:
        problems.add((key,), f"has {len(value)}; it must have {MOST_SECTIONS} at most")
        return {}
    good = {}
    for index, one in enumerate(value):
        made = _section(problems, section, one, (key, index))
        if made is not None:
            good[index] = made
    return good


def _settings(problems: Problems, value: Any) -> dict[str, Any]:
    """The settings as they stand in the file, after `Settings` has looked at each."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.add(("settings",), f"{found((), value)} is not allowed; it must be a mapping")
        return {}
    given = {name: one for name, one in value.items() if one is not None or name not in Settings.model_fields}
    for name in given:
        if name not in Settings.model_fields:
            hint = did_you_mean(name, Settings.model_fields)
            problems.add(("settings", name), f"there is no such setting{hint}")

    try:  # together: some must differ from each other
        Settings.from_mapping({name: one for name, one in given.items() if name in Settings.model_fields})
    except SettingsError as error:
        for line in error.problems:
            name, _, text = line.partition(": ")
            problems.add(("settings", name), text)
    return given
