"""wrk asks without a pause while all is restarted, replaced and reloaded: no request fails, and each is counted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.ops.test_admin_workers_programs import AdminWorkersCase
from tests.ops.workers_case import PATIENCE, until
from tests.peers.peer_case import tool
from vegurtx.testing import ProxyProcess

CLIENTS = 32
TIMES = 20


class Wrk:
    """wrk, until `stop`.

    :param port: whom it asks.
    :param clients: connections that stay.
    """

    def __init__(self, port: int, clients: int = CLIENTS) -> None:
        # It ends when it is told to; the time is for a test that has died.
        how = ["-t", "2", "-c", str(clients), "-d", "900s", "--timeout", "60s"]
        self._process = subprocess.Popen(
            [tool("wrk"), *how, f"http://127.0.0.1:{port}/bytes/100"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stop(self) -> tuple[int, str]:
        """How many answers it has got, and its report."""
        self._process.send_signal(signal.SIGINT)
        report = self._process.communicate(timeout=PATIENCE)[0]
        found = re.search(r"(\d+) requests in", report)
        assert found is not None, report
        return int(found[1]), report

    def kill(self) -> None:
        """At the test's end, however it came."""
        self._process.kill()
        self._process.communicate()


class UnderLoad(AdminWorkersCase):
    """The real program."""

    def while_asked(self, act: Callable[[ProxyProcess], None], clients: int = CLIENTS) -> ProxyProcess:
        """`act` while wrk asks; then compare what both have counted."""
        proxy = self.administered("--config", self.balanced(), router=None)
        wrk = Wrk(proxy.port, clients)
        self.addCleanup(wrk.kill)
        self.more(100)
        act(proxy)
        self.more(100)
        answered, report = wrk.stop()
        self.assertNotIn("Socket errors", report)
        self.assertNotIn("Non-2xx", report)
        until(lambda: not sum(self.metrics("vegurtx_client_connections").values()))
        counted = self.metrics("vegurtx_requests_total")
        # wrk has left the last request of each connection without waiting for its answer.
        self.assertTrue(answered <= sum(counted.values()) <= answered + clients, (answered, counted))
        failed = sum(count for labels, count in counted.items() if "2xx" not in labels)
        self.assertLessEqual(failed, clients)
        self.assertEqual(sum(count for labels, count in counted.items() if "5xx" in labels), 0)
        self.assert_clean(proxy)
        return proxy

    def more(self, count: int) -> None:
        """Wait until there were so many requests more."""
        wanted = self.requests() + count
        until(lambda: self.requests() >= wanted)

    def workers_after(self, former: set[int]) -> set[int]:
        """Wait until there are two that serve, and none of `former` does."""
        found: set[int] = set()

        def there() -> bool:
            found.clear()
            found.update(self.pids())
            return len(found) == 2 and not found & former

        until(there)
        return found

    def restart(self, proxy: ProxyProcess) -> None:
        """One worker is told to end, as often as there are `TIMES`."""
        for _ in range(TIMES):
            serving = self.workers_after(set())
            victim = max(serving)
            os.kill(victim, signal.SIGTERM)
            self.workers_after({victim})
            self.more(50)

    def upgrade(self, proxy: ProxyProcess) -> None:
        """The program is replaced."""
        for _ in range(TIMES):
            serving = self.workers_after(set())
            proxy.signal(signal.SIGUSR2)
            self.workers_after(serving)
            self.more(50)

    def reload(self, proxy: ProxyProcess) -> None:
        """All read their file again."""
        for number in range(TIMES):
            proxy.signal(signal.SIGHUP)
            loaded = 2 * (number + 1)
            until(
                lambda loaded=loaded: (  # type: ignore[misc]
                    self.metrics("vegurtx_config_reloads_total")['{result="success"}'] >= loaded
                )
            )
            self.more(50)

    @pytest.mark.slow
    def test_restarts(self) -> None:
        """Twenty workers, one after the other."""
        self.while_asked(self.restart)
        self.assertGreaterEqual(self.metrics("vegurtx_worker_ends_total")['{cause="asked"}'], TIMES)
        self.assertEqual(self.metrics("vegurtx_worker_ends_total")['{cause="died"}'], 0)

    @pytest.mark.slow
    def test_upgrades(self) -> None:
        """Twenty programs, one after the other: forty workers have gone, and what they have counted has not."""
        proxy = self.while_asked(self.upgrade)
        until(lambda: self.metrics("vegurtx_worker_ends_total")['{cause="asked"}'] == 2 * TIMES)
        self.assertEqual(proxy.output.count("2 workers serve"), TIMES + 1)

    def test_reloads(self) -> None:
        """Twenty times."""
        self.while_asked(self.reload)

    def test_split(self) -> None:
        """With 256 connections each of two workers has 80 or more: less is 6 standard deviations away, as dice fall.

        Requests are divided as connections are, or more evenly where both workers have all the CPU that they want.
        """
        clients = 256

        def look(proxy: ProxyProcess) -> None:
            until(lambda: sum(self.metrics("vegurtx_worker_client_connections").values()) == clients)
            self.more(2000)
            had.update(self.metrics("vegurtx_worker_client_connections"))

        had: dict[str, float] = {}
        self.while_asked(look, clients)
        self.assertGreater(min(had.values()), 79)
        served = self.metrics("vegurtx_worker_requests_total")
        self.assertEqual(len(served), 2)
        self.assertGreater(min(served.values()), 0.2 * sum(served.values()))
