"""The options: what a user writes becomes settings and a router, or one line on standard error."""

from __future__ import annotations

import os
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.cli_case import outcome_of
from vegurtx.cli.options import CommandOptions, Options
from vegurtx.listeners import Kind, ListenerSpec
from vegurtx.settings import Settings

TOY = "examples.toy_router.ToyRouter"


def parsed(*arguments: str) -> Options:
    """Options with a router, and `arguments`."""
    options = Options()
    options.parseOptions(["--router", TOY, *arguments])
    return options


class Values(SynchronousTestCase):
    """Where the values come from."""

    def test_defaults(self) -> None:
        """Without options the settings are the defaults, and the port is 8080 on all addresses."""
        options = parsed()
        self.assertEqual(options.settings, Settings())
        self.assertEqual(options.listeners, [ListenerSpec(Kind.HTTP, "0.0.0.0", 8080)])
        self.assertIs(options.middlewares, None)

    def test_every_setting_is_an_option(self) -> None:
        """One definition: each setting can be given, and arrives under its own name with its own type."""
        for entry in Settings.entries():
            given = {"trusted_proxies": "10.0.0.0/8", "extra_socket_options": "6:1:1"}.get(entry.name)
            if given is None:
                given = "X-Other" if isinstance(entry.default, str) else "7"
            settings = parsed(f"--{entry.option}", given).settings
            self.assertEqual(settings, Settings.from_mapping({entry.name: given}))
            self.assertNotEqual(getattr(settings, entry.name), entry.default)

    def test_help_tells_all(self) -> None:
        """The help has each setting with its default and unit."""
        text = " ".join(outcome_of(partial(parsed, "--help")).out.split())
        self.assertIn("--idle-timeout= No byte either way for so long ends the request; 0: no limit.", text)
        self.assertIn("[default: 55 s]", text)
        for entry in Settings.entries():
            self.assertIn(f"--{entry.option}=", text)

    def test_environment(self) -> None:
        """What the command line does not say, the environment may; the command line wins."""
        self.patch(
            os, "environ", {"VEGURTX_IDLE_TIMEOUT": "3", "VEGURTX_MAX_HEADERS": "9", "VEGURTX_PORT": "x"}
        )
        settings = parsed("--max-headers", "8").settings
        self.assertEqual((settings.idle_timeout, settings.max_headers), (3.0, 8))

    def test_router(self) -> None:
        """The router is made once, and is there."""
        self.assertEqual(type(parsed().router).__name__, "ToyRouter")


class Misuse(SynchronousTestCase):
    """Exactly one clear line, status 1."""

    def assert_line(self, line: str, *arguments: str, options: type[Options] = Options) -> None:
        """Parsing `arguments` ends the program with that line."""
        outcome = outcome_of(lambda: options().parseOptions(list(arguments)))
        self.assertEqual(outcome, (1, "", f"vegurtx: {line}\n"))

    def test_unknown_option(self) -> None:
        """It is named, and the one that was meant, where that can be guessed."""
        self.assert_line("option --nope not recognized", "--nope")
        self.assert_line(
            "option --idle-timeot not recognized; did you mean '--idle-timeout'?", "--idle-timeot", "3"
        )
        self.assert_line("option --prot not recognized; did you mean '--port'?", "--prot=80")

    def test_argument(self) -> None:
        """There are no arguments but options."""
        self.assert_line("'extra' is not an option", "extra")

    def test_no_value(self) -> None:
        """An option without its value."""
        self.assert_line("option --port requires argument", "--port")

    def test_bad_port(self) -> None:
        """Not a number, or no port."""
        for port in ("http", "65536", "-1", "8_0", "", "²"):
            line = f"--port: {port!r} is not allowed; it must be a whole number from 0 to 65535"
            self.assert_line(line, "--port", port, "--router", TOY)

    def test_bad_setting(self) -> None:
        """The option, the value, and what is allowed."""
        line = "--idle-timeout: 'long' is not allowed; it must be a number from 0 to 86400"
        self.assert_line(line, "--idle-timeout", "long", "--router", TOY)

    def test_several_bad_settings(self) -> None:
        """All in one line."""
        self.assert_line(
            "--idle-timeout: '-1' is not allowed; it must be a number from 0 to 86400; "
            "--max-headers: '0' is not allowed; it must be a whole number from 1 to 2147483647",
            *("--idle-timeout", "-1", "--max-headers", "0", "--router", TOY),
        )

    def test_bad_environment(self) -> None:
        """A setting from the environment is named as it is spelled there."""
        self.patch(os, "environ", {"VEGURTX_TIMEOUT": "soon"})
        line = "VEGURTX_TIMEOUT: 'soon' is not allowed; it must be a number from 0 to 86400000"
        self.assert_line(line, "--router", TOY)

    def test_no_router(self) -> None:
        """A proxy without a router goes nowhere."""
        self.assert_line("no router given: --router DOTTED.NAME or --config FILE says where requests go")

    def test_bad_router(self) -> None:
        """The line of `RouterError`."""
        self.assert_line(
            "router 'no_such_module.R': there is no module 'no_such_module'", "-r", "no_such_module.R"
        )

    def test_bad_reactor(self) -> None:
        """``python -m vegurtx`` has --reactor of its own."""
        outcome = outcome_of(lambda: CommandOptions().parseOptions(["--router", TOY, "--reactor", "nope"]))
        self.assertEqual(outcome.status, 1)
        self.assertIn("vegurtx: --reactor: there is no reactor 'nope'; there are ", outcome.err)

    def test_version(self) -> None:
        """It is the package's, not Twisted's."""
        self.assertEqual(outcome_of(partial(parsed, "--version")), (0, "vegurtx 0.1.0\n", ""))
