"""Many clients that have each been served once, and then say nothing: what memory the proxy keeps for them."""

from __future__ import annotations

import socket
from itertools import cycle

from benchmarks import procfs
from benchmarks.loads.sample import Sample, measured
from benchmarks.loads.target import Load, Target, shuffled_sources
from benchmarks.wrk import LoadFailed

_REQUEST = b"GET /small HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
#: clients that come and go before the first look, so that what a proxy sets up once is not counted
_WARM = 500
#: Linux' number; Python 3.11 has no name for it
_BIND_ADDRESS_NO_PORT = 24


def idle(clients: int = 10_000) -> Load:
    """Return a load of so many clients; its unit is a client, and its result the bytes of memory for each."""

    def load(target: Target) -> Sample:
        for client in _served(target, _WARM):
            client.close()
        before = procfs.memory(target.pid)
        with measured(target.pid) as sample:
            connected = _served(target, clients)
        try:
            sample.memory = (procfs.memory(target.pid) - before) / clients
            sample.units = clients
            for client in connected:  # they must all be there still
                client.setblocking(False)
                try:
                    if not client.recv(1):
                        raise LoadFailed("the proxy closed idle connections")
                except BlockingIOError:
                    continue
        finally:
            for client in connected:
                client.close()
        return sample

    return load


def _served(target: Target, count: int) -> list[socket.socket]:
    """Connect so many clients, one after the other, and let each be served once."""
    connected = []
    sources = cycle(shuffled_sources())
    for _ in range(count):
        client = socket.socket()
        connected.append(client)
        client.settimeout(10.0)
        client.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        client.bind((next(sources), 0))
        client.connect(("127.0.0.1", target.proxy.port))
        client.sendall(_REQUEST)
        answer = b""
        while b"hello world, hello world" not in answer:
            data = client.recv(4096)
            if not data:
                raise LoadFailed(f"the proxy closed after {answer!r}")
            answer += data
    return connected
