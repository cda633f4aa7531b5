"""Node: a reverse proxy by hand on ``node:http``, with an agent that keeps connections."""

from __future__ import annotations

from pathlib import Path

from benchmarks.children import Child, ReservedPort
from benchmarks.peers.contract import TIMEOUT, Peer, Setup, found, said_by

PROGRAM = Path(__file__).resolve().parent.parent / "programs" / "nodeproxy.mjs"


class NodeProxy(Peer):
    """What ``http-proxy`` does too, without its options."""

    name = "node"
    title = "Node"

    def missing(self) -> str | None:
        """Where it is not installed."""
        return None if found("node") else "node is not installed (apt-get install nodejs)"

    def refuses(self, setup: Setup) -> str | None:
        """It writes no log."""
        return "its program writes no log" if setup.logged else super().refuses(setup)

    def version(self) -> str:
        """Its own."""
        return f"Node {said_by(found('node') or 'node', '--version').removeprefix('v')}"

    def start(self, setup: Setup, port: ReservedPort) -> Child:
        """See `Peer.start`."""
        environment = {
            "BENCH_BACKEND": str(setup.backend),
            "BENCH_PORT": str(port.number),
            "BENCH_POOLED": "1" if setup.pooled else "",
            "BENCH_PEM": str(setup.secure or ""),
            "BENCH_TIMEOUT": str(TIMEOUT * 1000),
        }
        command = [found("node") or "node", str(PROGRAM)]
        return Child(command, port, setup.cores.proxy, setup.folder / "node.out", environment=environment)
