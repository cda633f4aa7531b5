"""What the admin page shows: snapshots of a proxy, the last errors, several snapshots as one."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.balance.balancer_case import BalancerCase, get, one_service, saying, url
from tests.ops.admin_page_case import nobody
from vegurtx.ops.live import RecentErrors, merge, snapshot
from vegurtx.ops.live.recent import KEPT, LONGEST
from vegurtx.ops.metrics import Traffic
from vegurtx.ops.metrics.histogram import BOUNDS
from vegurtx.ops.recorder import Recorder
from vegurtx.testing import RunningProxy


class Snapshots(BalancerCase):
    """One process."""

    async def observed(self, *backends: Any) -> RunningProxy:
        """A proxy before `backends`, with a `Recorder` and no access log."""
        proxy = await self.serving(one_service(*map(url, backends)))
        self.traffic = Traffic()
        self.recorder = proxy.factory.observer = Recorder(None, self.traffic)
        return proxy

    def live(self, proxy: RunningProxy) -> dict[str, Any]:
        """Its snapshot, as it arrives in a browser."""
        made = snapshot(proxy.factory, self.traffic, recent=self.recorder.recent, balancer=self.balancer)
        value: dict[str, Any] = json.loads(json.dumps(made))
        return value

    async def test_nothing_yet(self) -> None:
        """All numbers are there, and zero."""
        proxy = await self.observed(*await self.named("one"))
        live = self.live(proxy)
        self.assertEqual(live["requests"], {"1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0})
        self.assertEqual((live["errors"], live["rejected"], live["recent"]), ({}, 0, []))
        self.assertEqual(live["latency"], {"bounds": list(BOUNDS), "counts": [0] * 17, "sum": 0})
        self.assertEqual((live["connections"], live["in_flight"]), ({"open": 0, "opened": 0}, 0))

    async def test_requests(self) -> None:
        """Counted by what the client got, and none of them is an error; a back-end's 500 is its own answer."""
        one, two = await self.named("one"), [await self.backend(handler=saying("no", "500 Oops"))]
        proxy = await self.observed(*one, *two)
        client = await proxy.connect()
        for _ in range(6):
            await self.ask(client)
        live = self.live(proxy)
        self.assertEqual((live["requests"]["2xx"], live["requests"]["5xx"]), (3, 3))
        self.assertEqual((sum(live["latency"]["counts"]), live["recent"]), (6, []))
        self.assertEqual(live["backends"], {"idle": 2, "in_use": 0})
        self.assertEqual(live["connections"], {"open": 1, "opened": 1})
        self.assertGreater(live["bytes"]["received"], 6 * 20)
        (service,) = live["services"]
        self.assertEqual((service["name"], service["total"], service["available"]), ("web", 6, 2))
        self.assertEqual([each["total"] for each in service["replicas"]], [3, 3])
        self.assertEqual({each["state"] for each in service["replicas"]}, {"up"})

    async def test_detours(self) -> None:
        """A request that got there at the second try went well: it is counted, and no error."""
        with nobody() as closed:
            proxy = await self.serving(
                one_service(f"http://127.0.0.1:{closed}", url(*await self.named("one")))
            )
            self.traffic = Traffic()
            self.recorder = proxy.factory.observer = Recorder(None, self.traffic)
            client = await proxy.connect()
            for _ in range(2):
                self.assertEqual((await self.ask(client)).body, b"one")
        live = self.live(proxy)
        self.assertEqual((live["requests"]["2xx"], live["recent"]), (2, []))
        self.assertEqual(live["services"][0]["replicas"][0]["errors"], 1)

    async def test_draining(self) -> None:
        """It says so."""
        proxy = await self.observed(*await self.named("one"))
        proxy.factory.draining = True
        self.assertTrue(self.live(proxy)["draining"])

    async def test_errors(self) -> None:
        """What went wrong is named, with what was asked for, cut short; the query stays out, the newest is first."""
        proxy = await self.observed(*await self.named("one"))
        client = await proxy.connect()
        await self.ask(client)
        await self.ask(client, get(f"/<b>{'x' * 300}?secret=1", "Expect: 200-ok"))
        self.assertEqual(self.live(proxy)["errors"], {"H26": 1})
        self.balancer.set_replica_state("web", url(self.balancer_replica()), "maint")
        await self.ask(await proxy.connect(), get("/later", method="DELETE"))
        later, earlier = self.live(proxy)["recent"]
        self.assertEqual((later["code"], later["status"], later["method"]), ("H10", 503, "DELETE"))
        self.assertEqual((later["path"], later["host"]), ("/later", "example.org"))
        self.assertEqual((later["description"], later["service"]), ("App crashed", "web"))
        self.assertEqual((earlier["code"], earlier["status"]), ("H26", 417))
        self.assertEqual(earlier["path"], f"/<b>{'x' * 300}"[:LONGEST])
        self.assertLessEqual(earlier["time"], later["time"])

    def balancer_replica(self) -> Any:
        """Its only one, as `url` takes it."""
        (replica,) = self.balancer.services["web"].replicas
        return replica.backend

    async def test_rejected(self) -> None:
        """What is no HTTP has no path; it is counted, and shown among the errors."""
        proxy = await self.observed(*await self.named("one"))
        client = await proxy.connect()
        client.send(b"no http at all\r\n\r\n")
        await client.receive_all()
        live = self.live(proxy)
        (error,) = live["recent"]
        self.assertEqual((live["rejected"], live["errors"]), (1, {}))
        self.assertEqual((error["code"], error["status"], error["path"]), ("H26", 400, ""))

    async def test_bounded(self) -> None:
        """The last hundred are kept."""
        proxy = await self.observed(*await self.named("one"))
        client = await proxy.connect()
        for number in range(KEPT + 5):
            await self.ask(client, get(f"/{number}", "Expect: 200-ok"))
            client = await proxy.connect()
        paths = [error["path"] for error in self.live(proxy)["recent"]]
        self.assertEqual(paths, [f"/{number}" for number in range(KEPT + 4, 4, -1)])
        self.assertEqual(self.live(proxy)["errors"], {"H26": KEPT + 5})


def replica(key: str = "a", **changes: Any) -> dict[str, Any]:
    """A replica's part of a snapshot."""
    made = {
        "key": key,
        "url": f"http://{key}",
        "state": "up",
        "admin": "ready",
        "healthy": True,
        "in_flight": 1,
        "max_connections": None,
        "total": 10,
        "errors": 1,
        "latency": 0.1,
        "weight": 1.0,
        "ejected_for": 0.0,
        "probe": None,
    }
    return {**made, **changes}


def process(**changes: Any) -> dict[str, Any]:
    """A snapshot."""
    service = {
        "name": "web",
        "strategy": "RoundRobin",
        "in_flight": 1,
        "max_connections": 5,
        "waiting": 1,
        "queue_length": 2,
        "total": 20,
        "retried": 1,
        "rejected": 3,
        "circuit": None,
        "panicking": False,
        "available": 1,
        "replicas": [replica()],
    }
    made = {
        "time": 10.0,
        "draining": False,
        "requests": {"2xx": 3},
        "errors": {"H12": 1},
        "rejected": 1,
        "bytes": {"received": 5, "sent": 6},
        "connections": {"open": 1, "opened": 2},
        "in_flight": 1,
        "backends": {"idle": 1, "in_use": 1},
        "tunnels": 1,
        "services": [service],
        "recent": [],
        "latency": {"bounds": [0.1, 1.0], "counts": [1, 2, 0], "sum": 1.5},
    }
    return {**made, **changes}


class Merging(SynchronousTestCase):
    """Several processes."""

    def test_one(self) -> None:
        """Of one alone nothing is changed."""
        alone = process()
        self.assertEqual(merge([alone]), alone)

    def test_sums(self) -> None:
        """Numbers are added up, also those that only one has."""
        other = process(
            time=12.0,
            requests={"2xx": 1, "5xx": 2},
            errors={"": 4},
            latency={**process()["latency"], "counts": [0, 1, 7]},
        )
        whole = merge([process(), other])
        self.assertEqual(whole["requests"], {"2xx": 4, "5xx": 2})
        self.assertEqual(whole["errors"], {"H12": 1, "": 4})
        self.assertEqual(whole["latency"], {"bounds": [0.1, 1.0], "counts": [1, 3, 7], "sum": 3.0})
        self.assertEqual((whole["time"], whole["rejected"], whole["in_flight"]), (12.0, 2, 2))
        self.assertEqual((whole["bytes"], whole["tunnels"]), ({"received": 10, "sent": 12}, 2))
        (service,) = whole["services"]
        self.assertEqual((service["total"], service["max_connections"], service["rejected"]), (40, 10, 6))
        (merged,) = service["replicas"]
        self.assertEqual((merged["total"], merged["errors"], merged["max_connections"]), (20, 2, None))

    def test_three_ways(self) -> None:
        """It does not matter who was merged first."""
        parts = [process(time=float(n), requests={f"{n}xx": n}, recent=[{"time": n}]) for n in (1, 2, 3)]
        self.assertEqual(merge([merge(parts[:2]), parts[2]]), merge(parts))
        self.assertEqual(merge([parts[0], merge(parts[1:])]), merge(parts))

    def test_replica_seen_differently(self) -> None:
        """The worst state counts, and who sees what is said; the probe that failed is shown."""
        good = {"ok": True, "result": "200", "age": 1.0}
        bad = {"ok": False, "result": "timeout", "age": 2.0}
        parts = [
            process(services=[{**process()["services"][0], "replicas": [each]}])
            for each in (replica(probe=good), replica(probe=bad, state="down", healthy=False), replica())
        ]
        (merged,) = merge(parts)["services"][0]["replicas"]
        self.assertEqual((merged["state"], merged["healthy"], merged["probe"]), ("down", False, bad))
        self.assertEqual(merged["states"], {"up": 2, "down": 1})

    def test_different_services(self) -> None:
        """During a reload one process knows a service, or a replica, that another does not."""
        first = process()
        service = first["services"][0]
        second = process(
            services=[{**service, "name": "new"}, {**service, "replicas": [replica(), replica("b")]}]
        )
        whole = merge([first, second])
        self.assertEqual([each["name"] for each in whole["services"]], ["web", "new"])
        self.assertEqual([each["key"] for each in whole["services"][0]["replicas"]], ["a", "b"])

    def test_draining(self) -> None:
        """The whole drains when all of it does."""
        self.assertFalse(merge([process(draining=True), process()])["draining"])
        self.assertTrue(merge([process(draining=True), process(draining=True)])["draining"])

    def test_recent_errors(self) -> None:
        """By their time, the newest first, no more than one process keeps."""
        odd = process(recent=[{"time": float(number)} for number in range(2 * KEPT - 1, 0, -2)])
        even = process(recent=[{"time": float(number)} for number in range(2 * KEPT - 2, -1, -2)])
        times = [error["time"] for error in merge([odd, even])["recent"]]
        self.assertEqual(times, [float(number) for number in range(2 * KEPT - 1, KEPT - 1, -1)])

    def test_cannot(self) -> None:
        """Nothing, and what cannot be compared."""
        self.assertRaises(ValueError, merge, [])
        other = process(latency={"bounds": [0.1], "counts": [1, 2], "sum": 1.0})
        self.assertRaises(ValueError, merge, [process(), other])


class Names(SynchronousTestCase):
    """What a router's own objects may do to the list."""

    def test_long_names(self) -> None:
        """Whatever a request brings, its entry stays small."""

        class Huge:
            """A request without a proxy."""

            exchange = None
            response_code = None
            method = path = host = "x" * 1_000_000

        errors = RecentErrors(lambda: 1.0)
        errors.note(Huge(), ("downstream", "timeout"), None, "s" * 1_000_000)
        (error,) = errors.newest_first()
        self.assertEqual((error["code"], error["status"]), ("H12", 499))
        self.assertLess(len(json.dumps(error)), 1000)
