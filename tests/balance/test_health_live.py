"""The checker with its own probes, on real sockets: replicas that die and come back."""

from __future__ import annotations

from typing import Any

from tests.balance.health_fakes import check, logged
from vegurtx.balance.health import HealthChecker
from vegurtx.balance.replica import Replica
from vegurtx.message import Backend
from vegurtx.testing import ProxyTestCase, answering

FAST: dict[str, Any] = {"interval": 0.01, "timeout": 2, "jitter": 0}


class Live(ProxyTestCase):
    """From a probe's bytes to a replica's health."""

    def checker(self) -> HealthChecker:
        """A checker; it is stopped before the case looks for what is left."""
        checker = HealthChecker(self.reactor, lambda replica: self.changes.append(replica.healthy))
        self.addCleanup(lambda: checker.stop())
        self.changes: list[bool] = []
        self.lines = logged(self)
        return checker

    async def test_http(self) -> None:
        """A status other than expected takes it down, its return brings it back."""
        status = [200]
        server = await self.backend(
            handler=answering(lambda request: b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status[0])
        )
        checker = self.checker()
        replica = Replica("http://app", server.as_backend())
        checker.watch("service1", replica, check(type="http", path="/health", **FAST))
        (record,) = checker.state.get("service1", replica.key).values()
        await self.until(lambda: record.successes >= 2)
        status[0] = 503
        await self.until(lambda: not replica.healthy)
        self.assertEqual(
            self.lines,
            ["service1: replica http://app is down: status 503, not 200-399 (3 failures in a row)"],
        )
        status[0] = 200
        await self.until(lambda: replica.healthy)
        self.assertEqual(self.changes, [False, True])
        await (checker.stop() or _nothing())

    async def test_tcp(self) -> None:
        """Nobody listens any more, and then somebody does."""
        path = str(self.folder() / "s")
        server = await self.backend(path=path)
        checker = self.checker()
        replica = Replica(f"unix:{path}", Backend.unix(path))
        checker.watch("service1", replica, check(**FAST))
        (record,) = checker.state.get("service1", replica.key).values()
        await self.until(lambda: record.successes)
        self.assertEqual(record.last.text, "connected")
        server.stop()
        await self.until(lambda: not replica.healthy)
        await self.backend(path=path)
        await self.until(lambda: replica.healthy)
        await (checker.stop() or _nothing())

    async def test_timeout(self) -> None:
        """A replica that accepts and says nothing; what is on its way at the end is closed by `stop`."""
        server = await self.backend()
        checker = self.checker()
        replica = Replica("http://silent", server.as_backend())
        checker.watch("service1", replica, check(type="http", interval=0.01, timeout=0.05, fall=1, jitter=0))
        await self.until(lambda: not replica.healthy)
        self.assertIn("is down: timeout after 0.05 s (1 failure in a row)", self.lines[0])
        await self.until(lambda: len(server.connections) >= 2)
        await (checker.stop() or _nothing())
        for connection in server.connections:
            await connection.closed()

    async def test_stop_at_any_moment(self) -> None:
        """Connecting, asking, resting: `stop` ends it all (the case looks for sockets and timers)."""
        server, silent = await self.backend(), await self.silent_backend()
        for turns in range(6):
            checker = self.checker()
            for number, backend in enumerate((server.as_backend(), silent.as_backend())):
                for kind in ("tcp", "http"):
                    replica = Replica(f"{kind}{number}", backend)
                    checker.watch("service1", replica, check(type=kind, **FAST))
            await self.turns(turns * 3)
            await (checker.stop() or _nothing())
            await self.turns(1)


async def _nothing() -> None:
    """What there is to wait for when there is nothing."""
