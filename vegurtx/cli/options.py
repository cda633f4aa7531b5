"""The options of ``twistd vegur`` and ``python -m vegurtx``: a user's words become settings and a router.

Settings are not listed here: their options, bounds and help come from `Settings`. What the command line does not say,
the environment may (``VEGURTX_IDLE_TIMEOUT``), and else the default holds.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.python import usage

from vegurtx.cli.misuse import StrictOptions
from vegurtx.cli.reactor import install_fastest_reactor, install_named_reactor
from vegurtx.cli.router import RouterError, load_router
from vegurtx.cli.settings_docs import default_text
from vegurtx.service import ANYWHERE
from vegurtx.settings import ENVIRONMENT_PREFIX, Entry, Settings, SettingsError, from_environment

Parameter = list[Any]

_ENTRIES = tuple(Settings.entries())


def _setting_parameter(entry: Entry) -> Parameter:
    # No default here: what is None was not given, and the environment's turn comes.
    unit = f" {entry.unit}" if entry.unit and entry.default != [] else ""
    return [entry.option, None, None, f"{entry.description} [default: {default_text(entry.default)}{unit}]"]


class Options(StrictOptions):
    """Options of ``twistd vegur``. After parsing, `settings` and `router` are there, and a reactor is installed."""

    synopsis = "[options] --router DOTTED.NAME"
    longdesc = "An HTTP proxy that asks your router where each request goes."
    optParameters = [
        ["port", "p", "8080", "The port to listen on; 0: the kernel chooses, and the log says which."],
        ["interface", "i", ANYWHERE, 'The IP address to listen on; "::" for all, IPv6 too.'],
        [
            "router",
            "r",
            None,
            "The router: a class, a function that makes one, or an instance, e.g. mymodule.MyRouter.",
        ],
        *map(_setting_parameter, _ENTRIES),
    ]

    settings: Settings
    router: Any

    def postOptions(self) -> None:
        """Check everything, then load the router.

        :raises usage.UsageError: something cannot be used.
        """
        self.port()
        self.settings = self._read_settings()
        if self["router"] is None:
            raise usage.UsageError("no router given: --router DOTTED.NAME says where requests go")
        # Before a line of the user's module runs: it may import the global reactor, and that installs one.
        self.choose_reactor()
        try:
            self.router = load_router(self["router"])
        except RouterError as problem:
            raise usage.UsageError(str(problem)) from None

    def choose_reactor(self) -> None:
        """Install the fastest reactor, unless twistd's --reactor has installed another."""
        install_fastest_reactor()

    def _read_settings(self) -> Settings:
        given = {entry.name: self[entry.option] for entry in _ENTRIES if self[entry.option] is not None}
        try:
            return Settings.from_mapping({**from_environment(os.environ), **given})
        except SettingsError as error:
            problems = [_named_as_given(problem, given) for problem in error.problems]
            raise usage.UsageError("; ".join(problems)) from None


def _named_as_given(problem: str, given: dict[str, Any]) -> str:
    """The problem's line, with the setting's name as the user wrote it."""
    name, colon, rest = problem.partition(":")
    written = f"--{name.replace('_', '-')}" if name in given else ENVIRONMENT_PREFIX + name.upper()
    return written + colon + rest


class CommandOptions(Options):
    """Options of ``python -m vegurtx``: there is no twistd that would have a --reactor."""

    synopsis = f"Usage: python -m vegurtx {Options.synopsis}"
    _reactor: str | None = None

    def opt_reactor(self, name: str) -> None:
        """The Twisted reactor to run on (epoll, asyncio, ...); without it uvloop, where it is installed."""
        self._reactor = name

    def choose_reactor(self) -> None:
        """Install the reactor that was named, else the fastest."""
        if self._reactor is None:
            install_fastest_reactor()
            return
        try:
            install_named_reactor(self._reactor)
        except ValueError as problem:
            raise usage.UsageError(f"--reactor: {problem}") from None
