"""A Go client before the proxy: ``net/http`` on one keep-alive connection (go_client/main.go)."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from tests.peers.peer_case import KINDS, PeerCase, on_each_reactor, output_of, tool

SOURCE = Path(__file__).with_name("go_client") / "main.go"
ROUNDS = 10


class Go(PeerCase):
    """What Go has to say of the proxy."""

    tools = ("go",)

    def test_keep_alive(self) -> None:
        """Requests of every kind on one connection: none fails, none needs another one."""
        environment = {"GO111MODULE": "off"}
        if "HOME" not in os.environ and "GOCACHE" not in os.environ:
            cache = tempfile.TemporaryDirectory()
            self.addCleanup(cache.cleanup)
            environment["GOCACHE"] = cache.name
        for kind in KINDS:
            before = self.backend.connections
            client = [tool("go"), "run", str(SOURCE), str(self.proxy.port), f"{kind}.test", str(ROUNDS)]
            said = json.loads(output_of(client, environment=environment))
            self.assertEqual(said, {"requests": 8 * ROUNDS, "connections": 1})
            self.assertLessEqual(self.used_connections(before), 8 * ROUNDS if kind == "single" else 1)


globals().update(on_each_reactor(Go))
