"""What lives on behind an exchange when the garbage collector does not run: nothing must.

Shared by the tests of exchanges that are broken off and of those that end by themselves.
"""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

from twisted.logger import globalLogPublisher

from tests.behaviour.conversation import Conversation
from vegurtx.net.backend import BackendConnection
from vegurtx.net.server import ClientConnection
from vegurtx.net.timer import Timer
from vegurtx.net.tunnel import Tunnel
from vegurtx.net.uv.adapter import UvloopTransport
from vegurtx.proxy.exchange import Exchange
from vegurtx.proxy.log import RequestLog
from vegurtx.proxy.relay import Relay
from vegurtx.proxy.request import Request

PARTS = (
    BackendConnection,
    ClientConnection,
    Exchange,
    Relay,
    Request,
    RequestLog,
    Timer,
    Tunnel,
    UvloopTransport,
)


def keep_no_failure(event: dict[str, Any]) -> None:
    """Logging has not begun under test, and all events are kept until it does: but no frames with them."""
    for key in ("log_failure", "failure", "log_legacy"):
        event.pop(key, None)


class WithoutCollector(Conversation):
    """What stays is to be seen: the collector rests."""

    timeout = 120.0

    def setUp(self) -> None:
        """Begin without garbage."""
        super().setUp()
        gc.collect()
        gc.freeze()  # what is here already need not be looked through each time
        gc.disable()
        self.addCleanup(gc.enable)
        self.addCleanup(gc.unfreeze)
        globalLogPublisher.addObserver(keep_no_failure)
        self.addCleanup(globalLogPublisher.removeObserver, keep_no_failure)

    def assert_gone(self) -> None:
        """Nothing of an exchange lives."""
        living = Counter(type(each).__name__ for each in gc.get_objects() if type(each) in PARTS)
        self.assertEqual(living, Counter(), "only the collector could free these")
