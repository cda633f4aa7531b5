"""Configuration files: any bytes give a configuration, or lines that say what is wrong; nothing else, and soon.

Claims:

- What is refused is refused with `ConfigError`: one printable line a problem, each with file and line, 51 at most.
- The values of a file that is YAML are the same when they are written as YAML again and read.
- A configuration that is accepted is loaded again, as its models have it, as the same one.
- A balancer can be made of it, or says in a `ValueError` why not; what it routes by does not fail on a request.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import yaml
from twisted.internet.task import Clock

from fuzz.findings import hold, same
from vegurtx.balance.config import Config, ConfigError, load
from vegurtx.balance.config.problems import MOST_LINES
from vegurtx.balance.config.source import Source
from vegurtx.balance.router import Balancer
from vegurtx.errors import RouteError
from vegurtx.message import Headers

_NAME = "f.yaml"
#: aliases of aliases stand for many; writing all of them takes a second
_MOST_VALUES = 2000
_SECRET = b"a secret for the fuzzer, which signs cookies"


def check(data: bytes) -> None:
    """All claims, for one file."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return  # `read` says so
    _values(text)
    try:
        config = load(text, _NAME)
    except ConfigError as error:
        _problems(error)
        return
    _again(config)
    _routes(config)


def _problems(error: ConfigError) -> None:
    hold(0 < len(error.problems) <= MOST_LINES + 1, "how many problems", len(error.problems))
    for line in error.problems:
        hold(line.isprintable(), "a problem that is no line", line)
        if not line.startswith("... and "):
            name, number, said = line.split(":", 2)
            hold(name == _NAME and number.isdigit() and said.strip(), "a problem without its place", line)
        hold(len(line) < 2000, "a problem that is too long to read", len(line))


def _values(text: str) -> None:
    try:
        source = Source(text, _NAME)
    except ConfigError as error:
        _problems(error)
        return
    data = source.data
    if len(source.lines) > _MOST_VALUES:
        return
    again = yaml.safe_dump(data, sort_keys=False, width=1 << 20)
    same(Source(again, _NAME).data, data, "values that are written again are others", again)


def _again(config: Config) -> None:
    """As models have them, from JSON, which is YAML too."""
    dumped = config.model_dump(mode="json", exclude_defaults=True)
    for section in ("services", "splits"):
        for one in dumped.get(section, ()):
            # what is off is none in a model, and false in a file
            one.update({key: False for key, value in one.items() if value is None})
    same(load(json.dumps(dumped), _NAME), config, "a configuration that is written again is another", dumped)


def _routes(config: Config) -> None:
    try:
        balancer = Balancer(config, reactor=Clock(), secret=_SECRET)
    except ValueError as error:
        hold(str(error).isprintable(), "a reason that is no line", str(error))
        return
    request: Any = SimpleNamespace(
        path="/api/v1/x",
        query="a=b",
        forward_target="/api/v1/x?a=b",
        host="a.example",
        method="GET",
        headers=Headers([(b"A", b"b")]),
        peer=None,
        meta={},
    )
    try:
        balancer.lookup_domain_name("a.example", request, balancer.init(0.0, request))
    except RouteError as error:
        hold(error.reason == "not_found" or error.code is not None, "another reason", error.reason)
