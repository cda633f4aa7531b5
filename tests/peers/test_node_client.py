"""A Node client before the proxy: ``http`` with a keep-alive agent, and ``fetch`` (node_client.mjs)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.peers.peer_case import KINDS, PeerCase, on_each_reactor, output_of, tool

SCRIPT = Path(__file__).with_name("node_client.mjs")
ROUNDS = 10


class Node(PeerCase):
    """What Node has to say of the proxy."""

    tools = ("node",)

    def test_keep_alive(self) -> None:
        """Requests of every kind on one connection: none fails, none needs another one."""
        for kind in KINDS:
            before = self.backend.connections
            said = output_of([tool("node"), str(SCRIPT), str(self.proxy.port), f"{kind}.test", str(ROUNDS)])
            self.assertEqual(json.loads(said), {"requests": 8 * ROUNDS, "sockets": 1})
            # fetch names the address, for which the router pools nothing.
            expected = 8 * ROUNDS if kind == "single" else ROUNDS + 1
            self.assertLessEqual(self.used_connections(before), expected)


globals().update(on_each_reactor(Node))
