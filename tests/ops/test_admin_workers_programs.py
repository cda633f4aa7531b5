"""The admin API of the real program with workers: one answer for all, through deaths, restarts and a new program."""

from __future__ import annotations

import json
import os
import re
import signal
from http.client import HTTPConnection
from typing import Any

from tests.cli.cli_case import MODULE, run_program
from tests.ops.workers_case import PATIENCE, ROUTER, Load, WorkersCase, until, watched
from vegurtx.testing import BlockingClient, ProxyProcess

CONFIG = """
services:
  - name: web
    matcher: /
    health_check: false
    replicas:
"""


class AdminWorkersCase(WorkersCase):
    """The program with workers and an admin API."""

    def administered(self, *options: str, **how: Any) -> ProxyProcess:
        """Started; the log says where its admin API is."""
        proxy = self.start("--admin-port", "0", *options, **how)
        found = re.search(r"vegurtx admin API at 127\.0\.0\.1:([0-9]+)", proxy.output)
        assert found is not None
        self.admin_port = int(found[1])
        return proxy

    def balanced(self, replicas: int = 1) -> str:
        """The path of a configuration whose first replica is the back-end; the others are never asked."""
        urls = [self.backend.url, *(f"http://127.0.0.1:{number}" for number in range(1, replicas))]
        path = self.folder / "config.yaml"
        path.write_text(CONFIG + "".join(f"      - url: {url}\n" for url in urls), "utf-8")
        return str(path)

    def answer(self, path: str, method: str = "GET", body: str = "") -> tuple[int, bytes]:
        """Status and body."""
        connection = HTTPConnection("127.0.0.1", self.admin_port, timeout=PATIENCE)
        fields = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, path, body or None, fields)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def asked(self, path: str) -> Any:
        """What a JSON answer says."""
        code, body = self.answer(path)
        self.assertEqual(code, 200, body)
        return json.loads(body)

    def metrics(self, name: str) -> dict[str, float]:
        """A metric's samples, by its labels as they are written."""
        code, body = self.answer("/metrics")
        self.assertEqual(code, 200)
        found = re.findall(rf"^{name}(\{{.*?\}})? (\S+)$", body.decode(), re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    def requests(self) -> float:
        """How many there were."""
        return sum(self.metrics("vegurtx_requests_total").values())

    def pids(self) -> list[int]:
        """Of the workers that serve."""
        workers = self.asked("/api/process")["workers"]
        return [each["pid"] for each in workers if each["state"] == "ready" and not each["former"]]


class Whole(AdminWorkersCase):
    """One answer for all."""

    def test_counts_last(self) -> None:
        """Each request is counted once, however often those who count go: in order, by force, for a new program."""
        proxy = self.administered("--config", self.balanced(), router=None)
        asked = 0

        def ask(count: int) -> None:
            nonlocal asked
            for _ in range(count):
                with BlockingClient(proxy.port, timeout=PATIENCE) as client:
                    self.assertEqual(client.request("GET", "/").status, 200)
            asked += count

        def ask_and_count(count: int) -> None:
            ask(count)
            # A request is counted behind its answer.
            until(lambda: self.requests() >= asked)
            self.assertEqual(self.requests(), asked)
            self.assertEqual(self.asked("/api/services")["services"][0]["total"], asked)
            self.assertEqual(self.asked("/api/process")["requests_total"], asked)
            self.assertEqual(self.asked("/api/live")["requests"]["2xx"], asked)

        ask_and_count(20)
        first = self.pids()
        with watched(*first) as all_ended:
            os.kill(first[0], signal.SIGKILL)
            os.kill(first[1], signal.SIGTERM)
            all_ended()
        until(lambda: len(self.pids()) == 2)
        self.assertEqual(self.requests(), asked)
        ask_and_count(10)
        second = self.pids()
        with watched(*second) as all_ended:
            ask(10)  # which nobody asks for before their end
            proxy.signal(signal.SIGUSR2)
            all_ended()
        until(lambda: len(self.pids()) == 2)
        ask_and_count(10)
        ends = self.metrics("vegurtx_worker_ends_total")
        self.assertEqual(ends, {'{cause="asked"}': 3, '{cause="died"}': 1})
        self.assertEqual(proxy.stop(PATIENCE), 0)
        self.assert_clean(proxy)

    def test_one_hangs(self) -> None:
        """Answers come without it, and say so."""
        self.administered()
        victim = self.pids()[0]
        os.kill(victim, signal.SIGSTOP)
        try:
            until(lambda: self.metrics("vegurtx_workers")['{state="silent"}'] == 1)
            states = {each["pid"]: each["state"] for each in self.asked("/api/process")["workers"]}
            self.assertEqual(states[victim], "silent")
        finally:
            os.kill(victim, signal.SIGCONT)
        until(lambda: self.metrics("vegurtx_workers")['{state="ready"}'] == 2)

    def test_many_replicas(self) -> None:
        """The state of a thousand replicas is longer than a message on the line, and comes all the same."""
        self.administered("--config", self.balanced(1000), router=None)
        (service,) = self.asked("/api/services")["services"]
        self.assertEqual(len(service["replicas"]), 1000)
        self.assertEqual(len(self.metrics("vegurtx_replica_up")), 1000)

    def test_replica_state(self) -> None:
        """It is the same in all workers, in those that follow them, and in the next program's."""
        proxy = self.administered("--config", self.balanced(2), router=None)
        path = f"/api/services/web/replicas/{self.backend.url.replace('/', '%2F')}/state"
        self.assertEqual(self.answer(path, "POST", '{"state": "maint"}')[0], 200)
        self.assertEqual(self.answer(path.replace("web", "x"), "POST", '{"state": "maint"}')[0], 404)

        def all_are(state: str) -> None:
            replica = self.asked("/api/services")["services"][0]["replicas"][0]
            self.assertEqual((replica["state"], "states_by_worker" in replica), (state, False))

        all_are("maint")
        first = self.pids()
        with watched(*first) as all_ended:
            for pid in first:
                os.kill(pid, signal.SIGKILL)
            all_ended()
        until(lambda: len(self.pids()) == 2)
        all_are("maint")
        second = self.pids()
        with watched(*second) as all_ended:
            proxy.signal(signal.SIGUSR2)
            all_ended()
        until(lambda: len(self.pids()) == 2)
        all_are("maint")
        self.assertEqual(self.answer(path, "POST", '{"state": "ready"}')[0], 200)
        all_are("up")

    def test_reload(self) -> None:
        """A file that cannot be used is no worker's, and its problem is said once."""
        path = self.balanced()
        proxy = self.administered("--config", path, router=None)
        self.assertEqual(json.loads(self.answer("/api/reload", "POST")[1])["problems"], [])
        self.assertEqual(self.metrics("vegurtx_config_reloads_total")['{result="success"}'], 2)
        (self.folder / "config.yaml").write_text("services: 5", "utf-8")
        code, body = self.answer("/api/reload", "POST")
        self.assertEqual((code, len(json.loads(body)["problems"])), (422, 1))
        self.assertEqual(self.metrics("vegurtx_config_last_reload_successful"), {"": 0})
        with BlockingClient(proxy.port) as client:
            self.assertEqual(client.request("GET", "/").status, 200)

    def test_nothing_to_reload(self) -> None:
        """A router that has no file."""
        self.administered()
        self.assertEqual(self.answer("/api/reload", "POST")[0], 409)

    def test_drain(self) -> None:
        """As on SIGTERM: who is being served is, and the program ends with status 0; meanwhile it is not ready."""
        for workers in ("2", None):
            proxy = self.administered(workers=workers)
            self.assertEqual(self.answer("/readyz")[0], 200)
            with BlockingClient(proxy.port) as client:
                before = self.backend.requests
                client.send(b"POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nxx")
                until(lambda before=before: self.backend.requests > before)  # type: ignore[misc]
                self.assertEqual(self.answer("/api/drain", "POST")[0], 202)
                code, body = self.answer("/readyz")
                self.assertEqual((code, json.loads(body)["reason"]), (503, "draining"))
                self.assertEqual(self.answer("/api/drain", "POST")[0], 409)
                client.send(b"hi")
                self.assertEqual(client.receive_response().status, 200)
            self.assertEqual(proxy.wait(PATIENCE), 0)
            self.assert_clean(proxy)

    def test_unix_socket(self) -> None:
        """The admin API's file stays through a new program, and goes with the last."""
        path = self.folder / "admin"
        proxy = self.start("--admin-port", f"unix:{path}")
        inode = path.stat().st_ino
        before = proxy.output.count("workers serve")
        proxy.signal(signal.SIGUSR2)
        until(lambda: proxy.output.count("workers serve") > before)
        self.assertEqual(path.stat().st_ino, inode)
        self.assertEqual(proxy.stop(PATIENCE), 0)
        self.assertFalse(path.exists())


class AccessLog(AdminWorkersCase):
    """One file for all."""

    def test_shared(self) -> None:
        """Lines of all workers are whole, none is lost or twice; on SIGUSR1 all go on in a new file."""
        log = self.folder / "access.log"
        proxy = self.administered("--access-log", str(log), "--log-format", "json")
        with Load(proxy.port) as load:
            load.more(500)
            log.rename(self.folder / "old.log")
            proxy.signal(signal.SIGUSR1)
            until(log.exists)
            load.more(500)
        self.assertEqual(load.failures, [])
        self.assertEqual(proxy.stop(PATIENCE), 0)
        lines = [line for name in ("old.log", "access.log") for line in _lines(self.folder / name)]
        requests = [json.loads(line) for line in lines]
        self.assertEqual(len(requests), load.answers.total())
        self.assertEqual(len({each["request_id"] for each in requests}), len(requests))
        self.assertGreater(len(_lines(log)), 0)

    def test_cannot_be_had(self) -> None:
        """It is said by the supervisor, at once, and not by workers again and again."""
        path = self.folder / "nowhere" / "access.log"
        command = [*MODULE, "--router", ROUTER, "--workers", "2", "--access-log", str(path)]
        line = f"vegurtx: --access-log: {path}: No such file or directory\n"
        self.assertEqual(run_program(command), (1, "", line))


def _lines(path: Any) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []
