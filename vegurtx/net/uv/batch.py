"""Small writes of one turn of the loop, sent together at its end.

Each write to a socket on the same machine may wake its reader, and that costs the writer more than all the rest of
the system call. Written one by one, with some microseconds of our own work between them, they find the reader asleep
again and again; written in a row they wake it once: first all that goes to back-ends, then all that goes to clients.

A turn that had one write only (few clients, little load) would wait for nothing, so the next ones go out at once.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from twisted.logger import Logger

_log = Logger()
#: writes that are kept for the end of a turn, to each of both sides; more go out before it
LENGTH = 32
#: bytes of a write that is kept; a longer one is worth a wake-up of its own
SIZE = 16384
#: writes that go out at once after a turn with only one
AT_ONCE = 16

_batches: WeakKeyDictionary[Any, Batch] = WeakKeyDictionary()


class Batch:
    """What transports on one loop write in its present turn."""

    __slots__ = ("__weakref__", "at_once", "clients", "servers", "waiting")

    def __init__(self) -> None:
        #: `(transport, data)`, for those whom we have connected to, and for those who have connected to us
        self.servers: list[tuple[Any, bytes]] = []
        self.clients: list[tuple[Any, bytes]] = []
        #: whether there is something in them
        self.waiting = False
        #: how many of the next writes are not kept
        self.at_once = 0

    def flush(self) -> None:
        """Send what is kept."""
        self.waiting = False
        servers, clients = self.servers, self.clients
        entries = servers + clients
        if len(entries) == 1:
            self.at_once = AT_ONCE
        servers.clear()
        clients.clear()
        for transport, data in entries:
            try:
                transport.put(data)
            except Exception:  # uvloop's own: it must not keep the others from being sent
                _log.failure("{transport} could not send", transport=transport)
                transport.abortConnection()


def batch_of(loop: Any) -> Batch:
    """The batch of all transports on `loop`."""
    batch = _batches.get(loop)
    if batch is None:
        batch = _batches[loop] = Batch()
    return batch
