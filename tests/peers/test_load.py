"""Load: twenty thousand requests at 64 connections, none of which may fail."""

from __future__ import annotations

import re

import pytest

from tests.peers.peer_case import PeerCase, on_each_reactor, output_of, tool

REQUESTS = 20_000
AT_ONCE = 64


@pytest.mark.slow
class Load(PeerCase):
    """ab counts requests, wrk speaks HTTP/1.1. The back-end sees no more connections than clients are."""

    def setUp(self) -> None:
        """What an earlier test has pooled is not counted again."""
        super().setUp()
        self.connections, self.requests = self.backend.connections, self.backend.requests

    def ab(self, *options: str) -> None:
        """Let ab ask, on HTTP/1.0; it must have nothing to complain of."""
        url = f"http://127.0.0.1:{self.proxy.port}/bytes/100"
        command = [
            tool("ab"),
            "-q",
            "-n",
            str(REQUESTS),
            "-c",
            str(AT_ONCE),
            "-H",
            "Host: pooled.test",
            *options,
            url,
        ]
        report = output_of(command).decode()
        self.assertRegex(report, rf"Complete requests: +{REQUESTS}\n")
        self.assertRegex(report, r"Failed requests: +0\n")
        self.assertNotIn("Non-2xx", report)
        self.assertEqual(self.backend.requests - self.requests, REQUESTS)
        self.assertLessEqual(self.used_connections(self.connections), AT_ONCE)
        self.assertLessEqual(self.backend.most_open, AT_ONCE)

    def test_keep_alive(self) -> None:
        """On 64 connections that stay."""
        self.ab("-k")

    def test_a_connection_a_request(self) -> None:
        """On twenty thousand connections, 64 at once; the back-end's stay."""
        self.ab()

    def test_wrk(self) -> None:
        """wrk for as long as twenty thousand take."""
        url = f"http://127.0.0.1:{self.proxy.port}/bytes/100"
        seconds, answered = 4, 0
        while answered < REQUESTS:
            command = [tool("wrk"), "-t2", f"-c{AT_ONCE}", f"-d{seconds}s", "-H", "Host: pooled.test", url]
            report = output_of(command).decode()
            self.assertNotIn("Socket errors", report)
            self.assertNotIn("Non-2xx", report)
            found = re.search(r"(\d+) requests in", report)
            assert found is not None, report
            answered += int(found[1])
        # wrk leaves 64 requests unanswered when its time is over; their back-end connections are closed.
        self.assertLessEqual(self.backend.most_open, AT_ONCE)


globals().update(on_each_reactor(Load))
