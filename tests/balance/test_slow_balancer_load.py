"""wrk before the balancer: replicas that are killed, and a hundred reloads with WebSockets open."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Sequence

import pytest
from acceptance_case import PATIENCE, AcceptanceCase, DemoReplica, until
from test_acceptance_reload import FILES, Talking

from tests.peers.peer_case import tool
from vegurtx.testing import BlockingClient, ProxyProcess

CONNECTIONS = 32
TUNNELS = 20
RELOADS = 100

_TOTAL = re.compile(r"(\d+) requests in")


class Load:
    """wrk, until its report is asked for."""

    def __init__(self, port: int, target: str = "/") -> None:
        command = [tool("wrk"), "-t1", f"-c{CONNECTIONS}", "-d600s", "--timeout", "60s"]
        self._process = subprocess.Popen(
            [*command, f"http://127.0.0.1:{port}{target}"], stdout=subprocess.PIPE, text=True
        )

    def report(self) -> str:
        """What it says in the end, which is now."""
        self._process.send_signal(signal.SIGINT)
        return self._process.communicate(timeout=PATIENCE)[0]

    def kill(self) -> None:
        """End it, whatever it does; a test has failed."""
        self._process.kill()
        self._process.communicate()


@pytest.mark.slow
class SlowLoad(AcceptanceCase):
    """wrk must have nothing to complain of: neither socket errors nor another status than 2xx."""

    def assert_clean(self, load: Load) -> int:
        """It has not; returns the number of requests."""
        report = load.report()
        self.assertNotIn("Socket errors", report)
        self.assertNotIn("Non-2xx", report)
        found = _TOTAL.search(report)
        assert found is not None, report
        return int(found[1])

    def busy(self, proxy: ProxyProcess, seconds: float = 0.3) -> None:
        """Wait until the program has worked for so long."""
        enough = proxy.cpu_seconds() + seconds
        until(lambda: proxy.cpu_seconds() >= enough, "a program that works")

    def load(self, port: int, target: str = "/") -> Load:
        """wrk, which the test's end ends."""
        made = Load(port, target)
        self.addCleanup(made.kill)
        return made

    def file(self, replicas: Sequence[DemoReplica], rest: str = "") -> str:
        """One service."""
        listed = ", ".join(f'{{url: "{replica.url}"}}' for replica in replicas)
        return f"services: [{{name: web, matcher: /, replicas: [{listed}]{rest}}}]\n"

    def test_kill_and_return(self) -> None:
        """One of three, with probes that find it out soon; it gets requests again after two good ones."""
        replicas = self.demo_replicas(3)
        proxy = self.start(self.file(replicas, ", health_check: {interval: 0.2, fall: 2, rise: 2}"))
        load = self.load(proxy.port)
        self.busy(proxy)
        replicas[0].kill()
        proxy.wait_for("is down: connection refused (2 failures in a row)")
        self.busy(proxy)
        replicas[0].start()
        proxy.wait_for("is up (2 successes in a row)")
        with BlockingClient(proxy.port) as client:
            until(lambda: client.request().body.startswith(replicas[0].greeting), "traffic for who is back")
        self.assertGreater(self.assert_clean(load), 1000)

    def test_kill_with_the_defaults(self) -> None:
        """One of two, with a file that says nothing of health, as Vestri's do."""
        replicas = self.demo_replicas(2)
        proxy = self.start(self.file(replicas))
        load = self.load(proxy.port)
        self.busy(proxy)
        replicas[0].kill()
        proxy.wait_for("is down: connection refused (3 failures in a row)")
        self.busy(proxy)
        self.assertGreater(self.assert_clean(load), 1000)

    def test_kill_one_after_the_other(self) -> None:
        """As in an upgrade that rolls over all of them; each is back before the next one goes."""
        replicas = self.demo_replicas(3)
        proxy = self.start(self.file(replicas, ", health_check: {interval: 0.2, fall: 1, rise: 1}"))
        load = self.load(proxy.port)
        for replica in replicas:
            self.busy(proxy)
            replica.kill()
            proxy.wait_for(f"{replica.url} is down")
            replica.start()
            proxy.wait_for(f"{replica.url} is up")
        self.assertGreater(self.assert_clean(load), 1000)

    def test_all_dead_with_a_queue(self) -> None:
        """All of wrk's requests wait, and are served when one is back."""
        replicas = self.demo_replicas(2)
        rest = ", health_check: {interval: 0.1, fall: 1, rise: 1}, queue: {length: 100, timeout: 25}"
        proxy = self.start(self.file(replicas, rest))
        for replica in replicas:
            replica.kill()
            proxy.wait_for(f"{replica.url} is down")
        load = self.load(proxy.port)
        before = proxy.fds()
        until(lambda: proxy.fds() >= before + CONNECTIONS, "wrk's connections")
        replicas[1].start()
        proxy.wait_for("is up")
        self.busy(proxy, 1.0)
        self.assertGreater(self.assert_clean(load), 1000)

    def test_a_hundred_reloads(self) -> None:
        """No failed request, no closed tunnel, no growth."""
        backends = self.backends("A", "B")
        with Talking() as talking:
            files = [file.replace("TALK", f'"{talking.url}"') for file in FILES]
            files = [file.replace("keepalive: false", "keepalive: true") for file in files]
            for backend in backends:
                files = [file.replace(f"url: {backend.name}", f'url: "{backend.url}"') for file in files]
            proxy = self.start(files[0])
            talking.open(proxy.port, TUNNELS)
            fds, memory = 0, 0
            load = self.load(proxy.port, "/bytes/100")
            for turn in range(1, RELOADS + 1):
                self.busy(proxy, 0.05)
                self.reload(proxy, files[turn % len(files)])
                self.busy(proxy, 0.05)
                self.assertEqual(talking.say(f"turn {turn}"), [f"turn {turn}"] * TUNNELS)
                if turn == RELOADS // 5:  # whatever is made once, or pooled, is there by now
                    fds, memory = proxy.fds(), proxy.rss()
            grown = proxy.rss() - memory
            self.assertGreater(self.assert_clean(load), 1000)
            talking.close()
            self.assertLess(grown, 2 << 20, "bytes")
            self.assertLessEqual(proxy.fds(), fds)
