"""SIGUSR2: the program is replaced under load, and no request fails; one that cannot follow changes nothing."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cli.cli_case import TWISTD, end, log_line, run_program
from tests.ops.workers_case import PATIENCE, ROUTER, Load, WorkersCase, until, watched
from vegurtx.testing import ProxyProcess

MODULE = """
from tests.ops.workers_case import Here
class Mine(Here):
    def additional_headers(self, direction, log, request, state):
        return [*super().additional_headers(direction, log, request, state), ("Release", "{release}")]
"""


class Upgrades(WorkersCase):
    """The real program."""

    def upgrade(self, proxy: ProxyProcess) -> None:
        """Replace it, and wait until the new one's workers serve."""
        before = proxy.output.count("workers serve")
        proxy.signal(signal.SIGUSR2)
        until(lambda: proxy.output.count("workers serve") > before or not proxy.running)

    def test_under_load(self) -> None:
        """Clients notice nothing; the process is the same one, its workers are others, the former ones have gone."""
        self.upgrade_under_load(1)

    @pytest.mark.slow
    def test_again_and_again(self) -> None:
        """Twenty times."""
        self.upgrade_under_load(20)

    def upgrade_under_load(self, times: int) -> None:
        """So many new programs, one after the other."""
        proxy = self.start()
        first = self.workers(proxy.port)
        with Load(proxy.port) as load, watched(*first) as all_ended:
            for _ in range(times):
                load.more()
                self.upgrade(proxy)
            all_ended()
            load.more()
        self.assertEqual(load.failures, [])
        self.assertTrue(self.workers(proxy.port).isdisjoint(first))
        self.assertEqual(proxy.stop(PATIENCE), 0)
        self.assert_clean(proxy)

    def test_signals_in_between(self) -> None:
        """Signals that come while one program has gone and the other is not there yet are heard by the other."""
        proxy = self.start()
        proxy.signal(signal.SIGUSR2)
        proxy.wait_for("replacing the program", PATIENCE)
        for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM):
            proxy.signal(number)
        self.assertEqual(proxy.wait(PATIENCE), 0)
        self.assert_clean(proxy)

    def test_cannot_follow(self) -> None:
        """The new program is tried before; one that cannot start is refused, the log says why. A good one follows."""
        module = self.folder / "routing.py"
        module.write_text(MODULE.format(release=1), "utf-8")
        proxy = self.start(router="routing.Mine", program="twistd")
        first = self.workers(proxy.port)
        module.write_text("import nowhere\n", "utf-8")
        proxy.signal(signal.SIGUSR2)
        proxy.wait_for("the running program stays, the new one cannot follow: vegurtx: router", PATIENCE)
        self.assertEqual(self.workers(proxy.port), first)
        module.write_text(MODULE.format(release=22), "utf-8")
        self.upgrade(proxy)
        self.assertTrue(self.workers(proxy.port, first).isdisjoint(first))
        self.assertEqual(proxy.stop(PATIENCE), 0)

    def test_daemon(self) -> None:
        """A daemon's pid file and log file stay its own, and the pid file goes with it."""
        pid_file, log = self.folder / "vegur.pid", self.folder / "twistd.log"
        arguments = [
            *TWISTD,
            f"--pidfile={pid_file}",
            *([f"--reactor={self.reactor}"] if self.reactor else []),
        ]
        arguments += [
            "vegur",
            "--port",
            "0",
            "--interface",
            "127.0.0.1",
            "--router",
            ROUTER,
            "--workers",
            "2",
        ]
        outcome = run_program(arguments, cwd=self.folder, added=self.added)
        self.assertEqual(outcome, (0, "", ""))
        pid = int(pid_file.read_text("ascii"))
        self.addCleanup(end, pid)
        port = int(log_line(log, "vegurtx listening on").rpartition(":")[2])
        before = self.workers(port)
        with watched(pid, *before) as all_ended:
            os.kill(pid, signal.SIGUSR2)
            after = self.workers(port, before)
            self.assertEqual(int(pid_file.read_text("ascii")), pid)
            log_line(log, "workers serve: processes " + ", ".join(map(str, sorted(after))))
            os.kill(pid, signal.SIGTERM)
            with watched(*after) as those_too:
                all_ended()
                those_too()
        self.assertFalse(pid_file.exists())
        self.assertNotIn("Traceback", log.read_text("utf-8"))
