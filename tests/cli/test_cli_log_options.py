"""``--log-level`` and ``--log-style``: what they refuse, and what comes of them."""

from __future__ import annotations

import io
import sys
from typing import Any

from twisted.logger import Logger
from twisted.python import usage
from twisted.python.reflect import namedAny
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.cli_case import MODULE, TWISTD, run_program
from vegurtx.cli.log_options import LogSpec, log_spec, log_under_twistd
from vegurtx.ops.proxy_log import Levels

ROUTER = ["--router", "vegurtx.testing.RecordingRouter"]


def given(level: str | None = None, style: str | None = None) -> dict[str, str | None]:
    """Parsed options."""
    return {"log-level": level, "log-style": style}


class Specs(SynchronousTestCase):
    """What the options ask for."""

    def test_default(self) -> None:
        """Text, from ``info`` on."""
        for twistd in (None, {"nodaemon": 1}, ServerOptions(), {}):
            self.assertEqual(log_spec(given(), twistd), LogSpec(Levels("info"), "text"))

    def test_given(self) -> None:
        """Both options."""
        self.assertEqual(
            log_spec(given("warn,a.b=debug", "json"), None), LogSpec(Levels("warn", {"a.b": "debug"}), "json")
        )

    def refusal(self, options: Any, twistd: Any = None) -> str:
        """Why that cannot be."""
        with self.assertRaises(usage.UsageError) as caught:
            log_spec(options, twistd)
        return str(caught.exception)

    def test_misuse(self) -> None:
        """The option is named."""
        self.assertEqual(
            self.refusal(given("loud")),
            "--log-level: 'loud' is no level; it must be debug, info, warn, error or critical",
        )
        self.assertEqual(
            self.refusal(given(style="xml")), "--log-style: 'xml' is not allowed; it must be text or json"
        )

    def test_who_writes(self) -> None:
        """Where the log is not ours to write, nobody shall believe that it is."""
        self.assertIn("twist has options of its own", self.refusal(given("debug"), {"reactor": 1}))
        self.assertIn(
            "twistd's --syslog writes", self.refusal(given(style="json"), {"nodaemon": 0, "syslog": 1})
        )
        self.assertIn(
            "twistd's --logger writes", self.refusal(given("info"), {"nodaemon": 0, "logger": print})
        )


class UnderTwistd(SynchronousTestCase):
    """Whose log twistd begins, and where it goes."""

    def said(self, file: io.StringIO) -> str:
        """What comes of an event in the namespace ``x``."""
        return file.getvalue().partition("[")[2]

    def test_standard_output(self) -> None:
        """In the foreground; where the access log has that, standard error."""
        for option in ("", "-"):
            for access_log, name in ((None, "stdout"), ("-", "stderr"), ("a.log", "stdout")):
                stream = io.StringIO()
                self.patch(sys, name, stream)
                twistd = {"nodaemon": 1, "logfile": option}
                log_under_twistd(LogSpec(), twistd, access_log=access_log)
                Logger("x", observer=namedAny(twistd["logger"])()).info("hello\n{a}", a="\x1b")
                self.assertEqual(self.said(stream), "x#info] hello\\n\\x1b\n")

    def test_file(self) -> None:
        """twistd's file; it is named when twistd asks, not before."""
        path = self.mktemp()
        twistd: dict[str, Any] = {"nodaemon": 0, "logfile": ""}
        log_under_twistd(LogSpec(style="json"), twistd)
        twistd["logfile"] = path
        Logger("x", observer=namedAny(twistd["logger"])()).info("é")
        with open(path, encoding="utf-8") as file:
            self.assertIn('"message":"\\u00e9"', file.read())

    def test_somebody_elses(self) -> None:
        """A logger or syslog that the user has asked for stays."""
        for twistd in ({"nodaemon": 1, "logger": print}, {"nodaemon": 1, "syslog": 1}, {"reactor": 1}):
            before = dict(twistd)
            log_under_twistd(LogSpec(), twistd)
            self.assertEqual(twistd, before)
        log_under_twistd(LogSpec(), None)

    def test_daemon_without_output(self) -> None:
        """As twistd itself has it."""
        twistd: dict[str, Any] = {"nodaemon": 0, "logfile": "-"}
        log_under_twistd(LogSpec(), twistd)
        with self.assertRaises(SystemExit):
            namedAny(twistd["logger"])()


class Programs(SynchronousTestCase):
    """The programs refuse in one line."""

    def test_misuse(self) -> None:
        """On standard error, with status 1."""
        for options, why in (
            (["--log-level", "loud"], "--log-level: 'loud' is no level"),
            (["--log-style", "xml"], "--log-style: 'xml' is not allowed"),
        ):
            for program in (MODULE, [*TWISTD, "-n", "vegur"]):
                outcome = run_program([*program, *ROUTER, "--port", "0", *options])
                self.assertEqual((outcome.status, outcome.out), (1, ""))
                self.assertIn(why, outcome.err)
                self.assertEqual(outcome.err.count("\n"), 1)
