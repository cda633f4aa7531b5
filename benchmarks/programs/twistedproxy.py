"""A reverse proxy of ``twisted.web.proxy``: ``twistedproxy.py PORT BACKEND``.

It adds no fields, and keeps no connection.
"""

from __future__ import annotations

import sys

from twisted.internet import epollreactor

epollreactor.install()

from typing import Any  # noqa: E402

from twisted.internet import reactor as _installed  # noqa: E402
from twisted.web.proxy import ReverseProxyResource  # noqa: E402
from twisted.web.server import Site  # noqa: E402


class Quiet(Site):
    """A site without a log of requests, as the others have none."""

    noisy = False

    def log(self, request: object) -> None:
        """Write nothing."""


reactor: Any = _installed
site: Any = Quiet(ReverseProxyResource("127.0.0.1", int(sys.argv[2]), b""))  # type: ignore[no-untyped-call]
reactor.listenTCP(int(sys.argv[1]), site, backlog=1024, interface="127.0.0.1")
reactor.run()
