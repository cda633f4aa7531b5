"""The toy router of the examples: random over two servers, and what is left when they stop."""

from __future__ import annotations

import json
from collections import Counter
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.peers.curl import curl
from tests.peers.peer_case import REACTORS, on_each_reactor, output_of, proxy_before, tool
from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend
from vegurtx.testing.process import Program
from vegurtx.testing.server import SilentAddress

LOAD = 2000


class Toy(SynchronousTestCase):
    """Two back-ends of which one stops, then the other."""

    __test__ = False
    reactor_name: ClassVar[str]

    def start(self, *options: str, program: Program = "twistd") -> ProxyProcess:
        """Two back-ends and the program with the toy router."""
        self.backends = [ThreadedBackend(name=name) for name in ("one", "two")]
        for backend in self.backends:
            self.addCleanup(backend.stop)
        return self.start_before(self.backends, *options, program=program)

    def start_before(
        self, backends: list[object], *options: str, program: Program = "twistd"
    ) -> ProxyProcess:
        """The program with the toy router before `backends`."""
        proxy = proxy_before(
            backends, reactor_name=self.reactor_name, router="toy", options=options, program=program
        )
        self.addCleanup(proxy.stop)
        self.addCleanup(lambda: self.assertNotIn("Traceback", proxy.output))
        return proxy

    def served_by(self, proxy: ProxyProcess, requests: int = 40) -> Counter[str]:
        """Ask so many times on one connection; count who answered. Each answer must be a 200."""
        served: Counter[str] = Counter()
        with BlockingClient(proxy.port) as client:
            for _ in range(requests):
                response = client.request()
                self.assertEqual(response.status, 200)
                served[json.loads(response.body)["backend"]] += 1
        return served

    def test_one_stops_then_both(self) -> None:
        """Both serve; then one alone, without an error; then nobody: 502, and the proxy lives on."""
        for program in ("twistd", "module"):
            # 5 s: the default connect timeout. The client waits no longer than that.
            proxy = self.start("--downstream-connect-timeout", "5000", program=program)
            self.assertEqual(set(self.served_by(proxy)), {"one", "two"})
            self.backends[0].stop()
            self.assertEqual(self.served_by(proxy), {"two": 40})
            self.backends[1].stop()
            with BlockingClient(proxy.port, timeout=5) as client:
                for _ in range(3):
                    self.assertEqual(client.request().status, 502)
            self.assertTrue(proxy.running)

    def test_stops_between_requests_of_one_connection(self) -> None:
        """A client that was connected all the time sees no more of it than who answers."""
        proxy = self.start()
        with BlockingClient(proxy.port, timeout=5) as client:
            for _ in range(10):
                self.assertEqual(client.request().status, 200)
            self.backends[1].stop()
            names = {json.loads(client.request().body)["backend"] for _ in range(20)}
            self.assertEqual(names, {"one"})
            self.backends[0].stop()
            self.assertEqual([client.request().status for _ in range(3)], [502] * 3)

    def test_load_on_the_one_that_is_left(self) -> None:
        """Thousands of requests at once, half of which meet the stopped server first: none fails."""
        ab = tool("ab")
        proxy = self.start()
        self.backends[0].stop()
        url = f"http://127.0.0.1:{proxy.port}/bytes/100"
        report = output_of([ab, "-q", "-k", "-n", str(LOAD), "-c", "32", url]).decode()
        self.assertRegex(report, rf"Complete requests: +{LOAD}\n")
        self.assertRegex(report, r"Failed requests: +0\n")
        self.assertNotIn("Non-2xx", report)
        self.assertEqual(self.backends[1].requests, LOAD)

    def test_curl_sees_the_502(self) -> None:
        """What curl is told when both are gone: an answer, on a connection that it may keep."""
        tool("curl")
        proxy = self.start()
        for backend in self.backends:
            backend.stop()
        transfers = curl(proxy.port, "any.test", ["/", "/"])
        self.assertEqual([transfer.facts["http_code"] for transfer in transfers], [502, 502])
        self.assertEqual([transfer.facts["num_connects"] for transfer in transfers], [1, 0])

    def test_silent_servers(self) -> None:
        """Servers that do not even refuse: 502 after a connect timeout each."""
        silent = [SilentAddress(), SilentAddress()]
        for address in silent:
            self.addCleanup(address.stop)
        proxy = self.start_before(silent, "--downstream-connect-timeout", "100")
        with BlockingClient(proxy.port, timeout=5) as client:
            self.assertEqual(client.request().status, 502)

    def test_reactor(self) -> None:
        """The program is on the reactor that it was asked for; by itself it takes uvloop."""
        proxy = self.start()
        with open(f"/proc/{proxy.pid}/maps", encoding="utf-8") as maps:
            self.assertEqual("/uvloop/" in maps.read(), REACTORS[self.reactor_name] is None)


globals().update(on_each_reactor(Toy))
