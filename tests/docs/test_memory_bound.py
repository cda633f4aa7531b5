"""The threat model's table of what a connection can hold: made from settings and code, and compared with the facts."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Mapping

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.docs.fresh_checkout import ROOT
from vegurtx import Backend, Router, Settings
from vegurtx.net.server import HOLD, REMEMBERED
from vegurtx.net.tls.layer import EARLY, HANDSHAKE_LIMIT, SLICE
from vegurtx.testing import MemoryProxy
from vegurtx.wire.limits import BodyLimits, ResponseLimits

pytestmark = pytest.mark.once

#: the largest read of uvloop's (UV_STREAM_RECV_BUF_SIZE); Twisted's own transports read 64 KiB
READ = 256_000
#: asyncio's and Twisted's mark from which a transport has its producer wait
HIGH_WATER = 65_536

PAGE = (ROOT / "docs/threat-model.md").read_text("utf-8")


def bounds(settings: Settings) -> Mapping[str, int]:
    """What one connection can hold, in bytes, by what it is."""
    return {
        "the request's head": 4 * settings.max_head_length + READ,
        "bytes behind it": HOLD + READ,
        "a chunk's line": settings.max_chunk_line_length + BodyLimits().trailer,
        "the request, kept": settings.retry_buffer_limit,
        "the response's head": 4 * ResponseLimits().head + READ,
        "bodies": 2 * (HIGH_WATER + 2 * READ),
        "TLS": 2 * (HANDSHAKE_LIMIT + SLICE + EARLY),
    }


def written(beginning: str) -> int:
    """The number in the table's row that begins so."""
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {beginning}"))
    return int(re.sub(r"[^0-9]", "", row.rstrip("|").split("|")[-1]))


class OneBackend(Router):
    """Everything goes to one place."""

    def checkout_service(self, *_: object) -> str:
        """See `IRouter`."""
        return "service"

    def service_backend(self, *_: object) -> Backend:
        """See `IRouter`."""
        return Backend("127.0.0.1", 8081, keepalive="default")


class Bound(SynchronousTestCase):
    """The page's numbers."""

    def test_numbers(self) -> None:
        """Each row, the sum, and what a client reaches alone."""
        rows = bounds(Settings())
        for what, bound in rows.items():
            self.assertEqual(written(what), bound, what)
        self.assertEqual(written("**one connection"), sum(rows.values()))
        self.assertEqual(written("of that, without"), sum(rows.values()) - rows["the response's head"])

    def test_a_smaller_head(self) -> None:
        """What the page says of `max_head_length = 65536`."""
        rows = bounds(Settings.from_mapping({"max_head_length": 65536}))
        alone = sum(rows.values()) - rows["the response's head"]
        (said,) = re.findall(r"`max_head_length = 65536` makes it ([0-9.]+) MB", PAGE)
        self.assertEqual(said, f"{alone / 1e6:.1f}")

    def test_idle_back_end_connections(self) -> None:
        """A connection in the pool remembers a head in its three forms at most, and only a short one."""
        self.assertIn(f"pool_max_idle × {3 * REMEMBERED // 1024} KiB", PAGE)


class Facts(SynchronousTestCase):
    """A client and a back-end that do their worst, in memory."""

    def setUp(self) -> None:
        """Look at what the proxy's own code allocates; the peers' objects do not count."""
        self.proxy = MemoryProxy(OneBackend())
        self.addCleanup(self.proxy.stop)
        self.backend = self.proxy.backend("127.0.0.1", 8081)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)

    def held(self) -> int:
        """Bytes that were allocated in the rooms that see bytes of peers."""
        rooms = [tracemalloc.Filter(True, f"*/vegurtx/{room}/*") for room in ("wire", "net", "proxy")]
        snapshot = tracemalloc.take_snapshot().filter_traces(rooms)
        return sum(statistic.size for statistic in snapshot.statistics("filename"))

    def test_heads_that_are_as_long_as_may_be(self) -> None:
        """Through all their stages they stay within the rows of heads, and come near enough to mean something."""
        rows = bounds(Settings())
        client = self.proxy.client()
        most = 0
        head = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(
            b"X-%d: %b\r\n" % (i, b"a" * 8150) for i in range(128)
        )
        for at in range(0, len(head), READ):
            client.send(head[at : at + READ])
            most = max(most, self.held())
        client.send(b"\r\n")
        server = self.backend.accept()
        most = max(most, self.held())
        self.assertLessEqual(most, rows["the request's head"])
        self.assertGreater(most, rows["the request's head"] / 2)
        alone = self.held()
        client.pause()
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n")
        for number in range(990):
            server.send(b"Y-%d: %b\r\n" % (number, b"b" * 8400))
            if number % 100 == 0:
                most = max(most, self.held())
        server.send(b"\r\n")
        most = max(most, self.held())
        self.assertLessEqual(most - alone, rows["the response's head"])
        self.assertGreater(most - alone, rows["the response's head"] / 5)
