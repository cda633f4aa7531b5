"""A reverse proxy of ``twisted.web.proxy``: ``twistedproxy.py PORT BACKEND``. It adds no fields and keeps no connection."""

from __future__ import annotations

import sys

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor  # noqa: E402 - the one that was just installed
from twisted.web.proxy import ReverseProxyResource  # noqa: E402
from twisted.web.server import Site  # noqa: E402


class Quiet(Site):
    """A site without a log of requests, as the others have none."""

    noisy = False

    def log(self, request: object) -> None:
        """Write nothing."""


site = Quiet(ReverseProxyResource("127.0.0.1", int(sys.argv[2]), b""))
reactor.listenTCP(int(sys.argv[1]), site, backlog=1024, interface="127.0.0.1")  # type: ignore[attr-defined]
reactor.run()  # type: ignore[attr-defined]
