"""``twisted.web.proxy``, what Twisted itself has for this work: a connection for each request, nothing streamed."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from benchmarks.children import Child, ReservedPort
from benchmarks.peers.contract import Peer, Setup

PROGRAM = Path(__file__).resolve().parent.parent / "programs" / "twistedproxy.py"


class TwistedWebProxy(Peer):
    """``ReverseProxyResource`` behind a ``Site``, on the epoll reactor."""

    name = "twisted"
    title = "twisted.web.proxy"

    def refuses(self, setup: Setup) -> str | None:
        """What it does not have."""
        for wanted, reason in (
            (setup.upgrade, "it has no WebSockets"),
            (setup.secure is not None, "its program speaks no TLS"),
            (setup.logged, "its program writes no log"),
            (setup.transfers, "it holds whole bodies in memory"),
        ):
            if wanted:
                return reason
        return super().refuses(setup)

    def version(self) -> str:
        """Twisted's."""
        return f"Twisted {importlib.metadata.version('Twisted')}"

    def start(self, setup: Setup, port: ReservedPort) -> Child:
        """See `Peer.start`."""
        command = [sys.executable, str(PROGRAM), str(port.number), str(setup.backend)]
        return Child(command, port, setup.cores.proxy, setup.folder / "twisted.out")
