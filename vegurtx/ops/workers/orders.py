"""A worker's end of the line: what the supervisor orders is done, and what it must know is told."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from vegurtx.ops.workers.channel import Channel, Message


class Orders:
    """See the module's text.

    :param line: the worker's end.
    :param orders: what to do, by the order's word: ``drain``, ``stop``, ``reload``. The supervisor's own end is an
        order to drain: nobody would replace or stop this worker any more.
    """

    def __init__(self, reactor: Any, line: socket.socket, orders: Mapping[str, Callable[[], object]]) -> None:
        self._orders = orders
        self._channel = Channel(reactor, line, self._received, self._supervisor_lost)

    def _supervisor_lost(self) -> None:
        self._orders["drain"]()

    def ready(self) -> None:
        """Tell that this worker listens."""
        self._channel.send({"news": "ready"})

    def leaving(self) -> None:
        """Tell that it does not listen any more, and will end."""
        self._channel.send({"news": "leaving"})

    def close(self) -> None:
        """Neither tell nor hear anything any more."""
        self._channel.close()

    def _received(self, message: Message) -> None:
        order = self._orders.get(message.get("order", ""))
        if order is not None:
            order()
