"""The options of ``twistd vegur`` and ``python -m vegurtx``: a user's words become settings, listeners and a router.

Settings are not listed here: their options, bounds and help come from `Settings`. What the command line does not say,
the environment may (``VEGURTX_IDLE_TIMEOUT``), then the configuration file, and else the default holds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from twisted.python import usage

from vegurtx.cli.dotted import LoadError
from vegurtx.cli.invocation import Invocation, worker_count
from vegurtx.cli.listener_options import PARAMETERS, listener_specs
from vegurtx.cli.log_options import PARAMETERS as LOG_PARAMETERS
from vegurtx.cli.log_options import LogSpec, log_spec, log_under_twistd
from vegurtx.cli.middlewares import load_middlewares
from vegurtx.cli.misuse import StrictOptions
from vegurtx.cli.ops_options import PARAMETERS as OPS_PARAMETERS
from vegurtx.cli.ops_options import OpsSpec, log_file_can_be_had, ops_spec
from vegurtx.cli.reactor import install_fastest_reactor, install_named_reactor
from vegurtx.cli.router import load_router
from vegurtx.cli.settings_docs import default_text
from vegurtx.cli.tracing_options import FLAGS as TRACING_FLAGS
from vegurtx.cli.tracing_options import PARAMETERS as TRACING_PARAMETERS
from vegurtx.cli.tracing_options import TracingSpec, tracing_spec
from vegurtx.listeners import ListenerSpec
from vegurtx.settings import Entry, Given, Settings, SettingsError, from_environment

Parameter = list[Any]

_ENTRIES = tuple(Settings.entries())


def _setting_parameter(entry: Entry) -> Parameter:
    # No default here: what is None was not given, and the environment's turn comes.
    unit = f" {entry.unit}" if entry.unit and entry.default != [] else ""
    return [entry.option, None, None, f"{entry.description} [default: {default_text(entry.default)}{unit}]"]


class Options(StrictOptions):
    """Options of ``twistd vegur``. After parsing, the attributes below are there, and a reactor is installed."""

    synopsis = "[options] (--router DOTTED.NAME | --config FILE)"
    longdesc = "An HTTP proxy that asks your router where each request goes, or balances load as a file says."
    optParameters = [
        *PARAMETERS,
        [
            "router",
            "r",
            None,
            "The router: a class, a function that makes one, or an instance, e.g. mymodule.MyRouter.",
        ],
        [
            "config",
            None,
            None,
            "A YAML file: its services make a load balancer, unless --router is given; its settings hold where "
            "neither an option nor the environment says otherwise.",
        ],
        [
            "workers",
            None,
            None,
            "Serve with so many processes under a supervisor; auto: one for each CPU that this process may use. "
            "Without it, one process and no supervisor.",
        ],
        *OPS_PARAMETERS,
        *LOG_PARAMETERS,
        *TRACING_PARAMETERS,
        *map(_setting_parameter, _ENTRIES),
    ]
    optFlags = [
        [
            "check-config",
            None,
            "Say what is wrong with the file, a line for each problem, and exit: 0, if nothing.",
        ],
        ["watch-config", None, "Read the file again when it changes, as on SIGHUP."],
        *TRACING_FLAGS,
    ]

    settings: Settings
    #: where it is to listen
    listeners: list[ListenerSpec]
    #: the chain; None: the default one
    middlewares: list[Any] | None
    router: Any
    #: whether the router is the balancer that the configuration file describes
    balances: bool
    #: the settings that win over the file's, for a reload
    overrides: dict[str, Any]
    #: how many worker processes; None: none, and no supervisor
    workers: int | None = None
    #: the access log and the admin API
    operations: OpsSpec
    #: the proxy's own log
    log: LogSpec
    #: whether requests become parts of traces, and whether these are exported
    tracing: TracingSpec
    #: signs the balancer's sticky cookies; None: it makes one
    secret: bytes | None = None
    invocation: Invocation

    def __init__(self) -> None:
        super().__init__()
        self._endpoints: list[str] = []
        self._middleware_names: list[str] = []

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See `StrictOptions`."""
        arguments = list(sys.argv[1:] if options is None else options)
        self.invocation = Invocation.of_this_process(arguments, self.parent)
        super().parseOptions(arguments)

    def opt_listen(self, endpoint: str) -> None:
        """Listen on a Twisted endpoint (tcp:8080, unix:/run/proxy.sock, ...); haproxy:... takes PROXY headers. Can be
        given several times."""
        self._endpoints.append(endpoint)

    def opt_middleware(self, name: str) -> None:
        """A stage of the chain, before the router is asked, e.g. mymodule.TokenCheck; or a whole chain. Can be given
        several times."""
        self._middleware_names.append(name)

    def postOptions(self) -> None:
        """Check everything, then load what the user has written.

        :raises usage.UsageError: something cannot be used.
        """
        self.listeners = listener_specs(self, self._endpoints)
        path, named = self["config"], self["router"] is not None
        for flag in ("check-config", "watch-config"):
            if self[flag] and path is None:
                raise usage.UsageError(f"--{flag} needs --config FILE")
        if self["watch-config"] and named:
            raise usage.UsageError("--watch-config is for the file's services; with --router there are none")
        if path is None and not named:
            raise usage.UsageError(
                "no router given: --router DOTTED.NAME or --config FILE says where requests go"
            )
        self.balances = not named
        self.workers = worker_count(self["workers"])
        self.operations = ops_spec(self)
        self.log = log_spec(self, self.parent)
        # Before a line of the user's modules runs: they may import the global reactor, and that installs one.
        self.choose_reactor()
        self.tracing = tracing_spec(self)
        try:
            config = self._read_config()
            if self["check-config"]:
                self._end_check([])
            self.middlewares = load_middlewares(self._middleware_names)
            self.router = load_router(self["router"]) if named else config
        except LoadError as problem:
            raise usage.UsageError(str(problem)) from None
        if self.workers is not None:
            log_file_can_be_had(self.operations)
            self.invocation.prepare(self.listeners)
        log_under_twistd(self.log, self.parent, access_log=self.operations.log_path)

    def choose_reactor(self) -> None:
        """Install the fastest reactor, unless twistd's --reactor has installed another."""
        install_fastest_reactor()

    def _read_config(self) -> Any:
        """Make `settings` of all sources; returns the balancer, where the file makes one.

        :raises usage.UsageError: the file or a setting cannot be used.
        """
        options = {
            entry.name: Given(self[entry.option], f"--{entry.option}")
            for entry in _ENTRIES
            if self[entry.option] is not None
        }
        sources = [options, from_environment(os.environ)]
        config, path = None, self["config"]
        self.overrides = {}
        if path is not None:
            from vegurtx.cli.configuration import ConfigError, balancer_of, overriding, read_config

            self.overrides = overriding(sources)
            try:
                config = read_config(path, sources, services=self.balances)
            except ConfigError as error:
                self._fail(error.problems)
            sources.append(
                {name: Given(value, f"{path}: settings.{name}") for name, value in config.settings.items()}
            )
        try:
            self.settings = Settings.from_sources(*sources)
        except SettingsError as error:
            if self["check-config"]:
                self._end_check(error.problems)
            raise usage.UsageError("; ".join(error.problems)) from None
        if config is None or not self.balances:
            return None
        try:
            return balancer_of(config, path, self.secret)
        except ConfigError as error:
            self._fail(error.problems)

    def _fail(self, problems: list[str]) -> NoReturn:
        """The file cannot be used: end with all of it where that was asked for, else with one line."""
        if self["check-config"]:
            self._end_check(problems)
        more = f" (and {len(problems) - 1} more; --check-config shows all)" if len(problems) > 1 else ""
        raise usage.UsageError(problems[0] + more)

    def _end_check(self, problems: list[str]) -> NoReturn:
        for problem in problems:
            sys.stderr.write(f"{' '.join(problem.split())}\n")
        if not problems:
            sys.stdout.write(f"{self['config']}: no problems\n")
        raise SystemExit(1 if problems else 0)


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
