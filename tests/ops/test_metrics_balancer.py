"""The balancer's counts as metrics: all of what `Balancer.status` says, by service and replica."""

from __future__ import annotations

from typing import Any

from tests.balance.balancer_case import BalancerCase, one_service, url
from vegurtx.ops.metrics import Metrics, Traffic, exposition
from vegurtx.ops.metrics.balancer import balancer_families


class BalancerMetrics(BalancerCase):
    """Over sockets."""

    async def test_by_service_and_replica(self) -> None:
        """Tries, errors, state and weight of each; a replica that refuses is tried, and counted."""
        good = (await self.named("good"))[0]
        bad = await self.refusing_backend()
        config = one_service(
            url(good),
            url(bad),
            passive_health="{consecutive_errors: 1}",
            circuit_breaker="true",
            strategy="RoundRobin",
        )
        proxy = await self.serving(config)
        client = await proxy.connect()
        for _ in range(4):
            self.assertEqual((await self.ask(client)).status, 200)
        found = {each.name: each.samples for each in balancer_families(self.balancer.status())}
        up, down = (("web", url(each)) for each in (good, bad))
        tries = found["vegurtx_replica_tries_total"]
        self.assertEqual((tries[up], tries[down] >= 1), (4, True))
        self.assertEqual(found["vegurtx_service_tries_total"], {("web",): sum(tries.values())})
        self.assertEqual(found["vegurtx_replica_errors_total"], {(*down, "econnrefused"): tries[down]})
        self.assertEqual(found["vegurtx_replica_up"], {up: 1, down: 0})
        self.assertEqual(found["vegurtx_replica_ejected"], {up: 0, down: 1})
        self.assertEqual(found["vegurtx_replica_ejections_total"], {up: 0, down: 1})
        self.assertEqual(found["vegurtx_service_available_replicas"], {("web",): 1})
        self.assertEqual(found["vegurtx_service_circuit"], {("web",): 0})
        self.assertEqual(found["vegurtx_replica_in_flight"], {up: 0, down: 0})

    async def test_probes_and_rejections(self) -> None:
        """Probes by their results; requests that got no replica by the reason."""
        back_end = (await self.named("one"))[0]
        config = one_service(url(back_end), health_check="{type: tcp, interval: 1}")
        proxy = await self.serving(config)
        self.balancer.start()
        own = ("web", url(back_end))

        def found() -> dict[str, dict[Any, Any]]:
            return {each.name: each.samples for each in balancer_families(self.balancer.status())}

        await self.until(lambda: found()["vegurtx_probes_total"].get((*own, "success"), 0) >= 1)
        self.balancer.set_replica_state("web", own[1], "maint")
        client = await proxy.connect()
        self.assertEqual((await self.ask(client)).status, 503)
        self.assertEqual(found()["vegurtx_service_rejected_total"], {("web", "no_replica"): 1})
        self.assertEqual(found()["vegurtx_replica_up"], {own: 0})
        self.balancer.stop()

    async def test_all_of_it_is_text(self) -> None:
        """Prometheus can read it."""
        back_end = (await self.named("one"))[0]
        proxy = await self.serving(one_service(url(back_end)))
        metrics = Metrics(proxy.factory, Traffic(), balancer=self.balancer)
        text, _ = exposition(metrics.snapshot())
        self.assertIn(f'vegurtx_replica_up{{replica="{url(back_end)}",service="web"}} 1.0'.encode(), text)
