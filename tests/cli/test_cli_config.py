"""``--config FILE``: its settings under those of options and environment, its services, and reading it again."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.cli.cli_case import ROOT, TWISTD, Outcome, end, log_line, outcome_of, run_program
from tests.cli.modules_case import ModulesCase
from vegurtx.balance.router import Balancer
from vegurtx.cli.options import Options
from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend

ROUTER = """
from vegurtx import Backend, Router

class Nowhere(Router):
    def checkout_service(self, domain_group, request, state):
        return 1
    def service_backend(self, service, request, state):
        return Backend("127.0.0.1", service)
"""
SERVICE = """
services:
  - name: one
    matcher: /
    health_check: false
    replicas:
      - url: http://127.0.0.1:{port}
"""
SETTINGS = """
settings:
  idle_timeout: 30
  max_headers: 30
  timeout: 30
"""


class ConfigCase(ModulesCase):
    """With a file, and a router's module."""

    def setUp(self) -> None:
        """Write them; nothing is in the environment."""
        super().setUp()
        self.write("routing.py", ROUTER)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("VEGURTX_")}
        self.patch(os, "environ", clean)

    def parsed(self, *arguments: str) -> Options:
        """Options with the file."""
        options = Options()
        options.parseOptions(["--config", "proxy.yaml", *arguments])
        return options

    def ending(self, *arguments: str) -> Outcome:
        """How parsing them ends the program."""
        return outcome_of(lambda: self.parsed(*arguments))

    def assert_line(self, line: str, *arguments: str) -> None:
        """The program ends with that line."""
        self.assertEqual(self.ending(*arguments), (1, "", f"vegurtx: {line}\n"))


class Settings(ConfigCase):
    """Option, environment, file, default."""

    def test_precedence(self) -> None:
        """Setting by setting, the first of these that says something."""
        self.write("proxy.yaml", SETTINGS)
        os.environ.update(VEGURTX_MAX_HEADERS="20", VEGURTX_IDLE_TIMEOUT="20")
        settings = self.parsed("--router", "routing.Nowhere", "--idle-timeout", "10").settings
        self.assertEqual(
            (settings.idle_timeout, settings.max_headers, settings.timeout, settings.downstream_timeout),
            (10, 20, 30, 30),
        )

    def test_problems_say_where(self) -> None:
        """The option, the variable, or the file with its line."""
        self.write("proxy.yaml", SETTINGS.replace("timeout: 30\n  max", "timeout: long\n  max"))
        allowed = "is not allowed; it must be a number from 0 to 86400"
        router = ("--router", "routing.Nowhere")
        self.assert_line(f"proxy.yaml:3: settings.idle_timeout: 'long' {allowed}", *router)
        self.write("proxy.yaml", SETTINGS)
        self.assert_line(f"--idle-timeout: 'x' {allowed}", *router, "--idle-timeout", "x")
        os.environ["VEGURTX_IDLE_TIMEOUT"] = "y"
        self.assert_line(f"VEGURTX_IDLE_TIMEOUT: 'y' {allowed}", *router)
        del os.environ["VEGURTX_IDLE_TIMEOUT"]
        self.write("proxy.yaml", "settings: {route_time_header: X-T}")
        self.assert_line(
            "proxy.yaml: settings.route_time_header: 'X-T' is not allowed; it is connect_time_header already",
            *router,
            *("--connect-time-header", "X-T"),
        )

    def test_services_beside_a_router(self) -> None:
        """One of the two is too much."""
        self.write("proxy.yaml", SERVICE.format(port=1))
        line = "proxy.yaml: services are not used with --router; leave one of the two out"
        self.assert_line(line, "--router", "routing.Nowhere")

    def test_unreadable(self) -> None:
        """No file, no text, no YAML."""
        self.assert_line("proxy.yaml: cannot be read: No such file or directory")
        (self.folder / "proxy.yaml").write_bytes(b"\xff\xfe")
        self.assert_line("proxy.yaml: is no UTF-8 text (byte 0)")
        self.write("proxy.yaml", "a: [")
        outcome = self.ending()
        self.assertEqual((outcome.status, outcome.out, outcome.err.count("\n")), (1, "", 1))
        self.assertTrue(outcome.err.startswith("vegurtx: proxy.yaml:"), outcome.err)


class Services(ConfigCase):
    """Services make the router."""

    def test_balancer(self) -> None:
        """Without --router, the file's."""
        self.write("proxy.yaml", SERVICE.format(port=1) + SETTINGS)
        options = self.parsed()
        self.assertIsInstance(options.router, Balancer)
        self.assertEqual((options.balances, options.settings.idle_timeout), (True, 30))

    def test_none(self) -> None:
        """A file of settings alone says nowhere where requests go."""
        self.write("proxy.yaml", SETTINGS)
        outcome = self.ending()
        self.assertEqual((outcome.status, outcome.out, outcome.err.count("\n")), (1, "", 1))
        self.assertIn("services: is missing", outcome.err)

    def test_many_problems(self) -> None:
        """The first one, in one line, and how to see the others."""
        self.write("proxy.yaml", SERVICE.format(port="x") + "nope: 1\nnoper: 2\n")
        outcome = self.ending()
        self.assertEqual((outcome.status, outcome.out, outcome.err.count("\n")), (1, "", 1))
        self.assertIn("proxy.yaml:7: services[0].replicas[0].url: ", outcome.err)
        self.assertTrue(outcome.err.endswith(" (and 2 more; --check-config shows all)\n"), outcome.err)

    def test_the_file_with_the_settings_in_force(self) -> None:
        """A queue has to end before the router's timeout: the one that options and environment make of it."""
        self.write("proxy.yaml", SERVICE.format(port=1) + "    queue: {timeout: 20}\n")
        self.assertTrue(self.parsed().balances)
        os.environ["VEGURTX_ROUTER_TIMEOUT"] = "10000"
        self.assertIn("services[0].queue.timeout: 20", self.ending("--check-config").err)
        self.assertTrue(self.parsed("--router-timeout", "40000").balances)

    def test_flags_need_a_file(self) -> None:
        """And watching needs services."""
        for flag in ("--check-config", "--watch-config"):
            outcome = outcome_of(lambda flag=flag: Options().parseOptions([flag]))  # type: ignore[misc]
            self.assertEqual(outcome, (1, "", f"vegurtx: {flag} needs --config FILE\n"))
        self.assert_line(
            "--watch-config is for the file's services; with --router there are none",
            *("--watch-config", "--router", "routing.Nowhere"),
        )


class Checking(ConfigCase):
    """``--check-config``: all that is wrong, a line each, and a status."""

    def test_good(self) -> None:
        """Status 0; with a router it is a file of settings."""
        self.write("proxy.yaml", SERVICE.format(port=1))
        self.assertEqual(self.ending("--check-config"), (0, "proxy.yaml: no problems\n", ""))
        self.write("proxy.yaml", SETTINGS)
        outcome = self.ending("--check-config", "--router", "not.even.looked.at")
        self.assertEqual(outcome, (0, "proxy.yaml: no problems\n", ""))

    def test_bad(self) -> None:
        """Status 1, all problems, each with its line."""
        self.write("proxy.yaml", SERVICE.format(port="x") + "nope: 1\n")
        outcome = self.ending("--check-config")
        self.assertEqual((outcome.status, outcome.out), (1, ""))
        lines = outcome.err.splitlines()
        self.assertEqual([line.partition(": ")[0] for line in lines], ["proxy.yaml:7", "proxy.yaml:8"])

    def test_settings_that_clash(self) -> None:
        """What only shows when all settings are put together is found, too."""
        self.write("proxy.yaml", SERVICE.format(port=1) + "settings: {route_time_header: X-T}\n")
        self.assertEqual(
            self.ending("--check-config", "--connect-time-header", "X-T"),
            (
                1,
                "",
                "proxy.yaml: settings.route_time_header: 'X-T' is not allowed; it is connect_time_header already\n",
            ),
        )

    def test_no_port_is_opened(self) -> None:
        """The program says it and ends, whatever its ports."""
        self.write("proxy.yaml", SERVICE.format(port=1))
        arguments = ["-m", "vegurtx", "--config", "proxy.yaml", "--check-config", "--interface", "192.0.2.1"]
        self.assertEqual(
            run_program(arguments, cwd=self.folder, added={"PYTHONPATH": str(ROOT)}),
            (0, "proxy.yaml: no problems\n", ""),
        )


class Running(ConfigCase):
    """The real program with a file."""

    def setUp(self) -> None:
        """Two back-ends."""
        super().setUp()
        self.backends = [ThreadedBackend(name=name) for name in ("first", "second")]
        for backend in self.backends:
            self.addCleanup(backend.stop)
        self.route(0)

    def route(self, index: int) -> None:
        """Let the file name that back-end; in one step, as an editor does."""
        self.write("new.yaml", SERVICE.format(port=self.backends[index].port))
        os.replace(self.folder / "new.yaml", self.folder / "proxy.yaml")

    def start(self, *options: str, **arguments: Any) -> ProxyProcess:
        """The program."""
        proxy = ProxyProcess(
            None, ["--config", "proxy.yaml", *options], path=[str(ROOT)], cwd=str(self.folder), **arguments
        )
        self.addCleanup(proxy.kill)
        return proxy

    def assert_asks(self, proxy: ProxyProcess, index: int) -> None:
        """A request reaches that back-end."""
        before = self.backends[index].requests
        with BlockingClient(proxy.port) as client:
            self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(self.backends[index].requests, before + 1)

    def test_hangup(self) -> None:
        """SIGHUP brings a new file into force; a bad one changes nothing, and says why."""
        programs: list[tuple[Any, str | None]] = [("twistd", None), ("module", "epoll")]
        for program, reactor in programs:
            self.route(0)
            proxy = self.start(program=program, reactor=reactor)
            self.assert_asks(proxy, 0)
            self.write("proxy.yaml", "services: 7\n")
            proxy.signal(signal.SIGHUP)
            proxy.wait_for("the configuration in force stays as it was")
            self.assertIn("proxy.yaml:1: services: 7 is not allowed", proxy.output)
            self.assert_asks(proxy, 0)
            self.route(1)
            proxy.signal(signal.SIGHUP)
            proxy.wait_for("proxy.yaml: loaded")
            self.assert_asks(proxy, 1)
            self.assertIn(proxy.stop(), (0, -signal.SIGTERM))
            self.assertNotIn("Traceback", proxy.output)

    def test_watched(self) -> None:
        """--watch-config does the same when the file changes."""
        proxy = self.start("--watch-config")
        self.assert_asks(proxy, 0)
        self.route(1)
        proxy.wait_for("proxy.yaml: loaded")
        self.assert_asks(proxy, 1)

    def test_daemon(self) -> None:
        """A daemon that has gone elsewhere finds the file again, although it was named by a relative path."""
        pid_file, log = self.folder / "vegur.pid", self.folder / "vegur.log"
        arguments = [*TWISTD, f"--pidfile={pid_file}", f"--logfile={log}", "--rundir=/", "vegur"]
        arguments += ["--interface", "127.0.0.1", "--port", "0", "--config", "proxy.yaml"]
        self.assertEqual(run_program(arguments, cwd=self.folder), (0, "", ""))
        pid = int(pid_file.read_text("ascii"))
        self.addCleanup(end, pid)
        log_line(log, "vegurtx listening on")
        os.kill(pid, signal.SIGHUP)
        log_line(log, f"{self.folder / 'proxy.yaml'}: loaded")
