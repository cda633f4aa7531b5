"""The proxy's own log as the real programs write it: whole lines, in one style, whoever they come from."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.cli_case import ROOT
from tests.cli.log_case import NAMESPACE, NASTY
from vegurtx.testing import BlockingClient, ProxyProcess
from vegurtx.testing.process import Program

PATIENCE = 60.0
_BEGIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[[^]\n]+\] .*")


class ProgramsCase(SynchronousTestCase):
    """A program whose router talks."""

    def run_with(self, *options: str, program: Program = "module") -> str:
        """Start it, ask it once, and stop it; what it has written on standard output."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        proxy = ProxyProcess(
            f"{NAMESPACE}.Talking",
            options,
            program=program,
            reactor="epoll" if os.environ.get("VEGURTX_TEST_REACTOR", "epoll") == "epoll" else None,
            path=[str(ROOT)],
            cwd=made.name,
            timeout=PATIENCE,
        )
        self.addCleanup(proxy.kill)
        with BlockingClient(proxy.port, timeout=PATIENCE) as client:
            self.assertEqual(client.request("GET", "/").status, 503)
        proxy.wait_for("builtins.RuntimeError", PATIENCE)
        self.assertEqual(proxy.stop(), 0)
        self.errors = proxy.stderr
        return proxy.stdout

    def objects(self, said: str) -> list[dict[str, Any]]:
        """The lines as objects."""
        return [json.loads(line) for line in said.splitlines()]


class Programs(ProgramsCase):
    """``twistd`` and ``python -m vegurtx``, alone and with workers."""

    def test_text(self) -> None:
        """A line begins an event, or belongs to a traceback; nothing in it can be anything else."""
        for program in ("module", "twistd"):
            for workers in ([], ["--workers", "1"]):
                said = self.run_with(*workers, program=program)
                for line in said.removesuffix("\n").split("\n"):
                    self.assertTrue(line.removeprefix("\t").isprintable(), line)
                    self.assertTrue(line.startswith("\t") or _BEGIN.fullmatch(line), line)
                    self.assertNotRegex(line, r"\[vegurtx\.service#info\] forged$")
                self.assertIn(f"[{NAMESPACE}#info{' worker 0' if workers else ''}] info a\\n2026", said)
                self.assertNotIn("debug a", said)
                self.assertEqual(said.count("\n\tbuiltins.RuntimeError: a\n"), 1)

    def test_json(self) -> None:
        """An object a line, a worker's with its own level, namespace, fields and traceback."""
        for program in ("module", "twistd"):
            for workers in ([], ["--workers", "1"]):
                options = ["--log-style", "json", "--log-level", f"info,{NAMESPACE}=debug"]
                said = self.objects(self.run_with(*options, *workers, program=program))
                mine = [each for each in said if each["namespace"] == NAMESPACE]
                self.assertEqual(
                    [(each["level"], each["message"], each["path"]) for each in mine],
                    [("debug", f"debug {NASTY}", NASTY), ("info", f"info {NASTY}", NASTY)],
                )
                (crash,) = [each for each in said if "traceback" in each]
                self.assertIn(f"RuntimeError: {NASTY}", crash["traceback"])
                self.assertEqual(crash["namespace"], "vegurtx.proxy.exchange")
                workers_of = {each.get("worker") for each in (*mine, crash)}
                self.assertEqual(workers_of, {0} if workers else {None})

    def test_levels(self) -> None:
        """What is below them is not there, in a worker's log neither; the rest of the namespaces goes on."""
        for workers in ([], ["--workers", "1"]):
            said = self.run_with("--log-level", f"info,{NAMESPACE}=warn", *workers)
            self.assertNotIn(" info a", said)
            self.assertIn("vegurtx listening on", said)

    def test_access_log_on_standard_output(self) -> None:
        """Then the log goes to standard error, and lines of both kinds stay apart."""
        for program in ("module", "twistd"):
            said = self.run_with(
                "--access-log", "-", "--log-format", "json", "--log-style", "json", program=program
            )
            (line,) = self.objects(said)
            self.assertEqual((line["status"], line["code"]), (503, "H99"))
            self.assertIn("vegurtx.proxy.exchange", {each["namespace"] for each in self.objects(self.errors)})
