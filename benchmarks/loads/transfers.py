"""A gigabyte, down or up, through one connection."""

from __future__ import annotations

import re
import socket

from benchmarks.loads.sample import Sample, measured
from benchmarks.loads.target import Load, Target
from benchmarks.programs.origin import GIGABYTE
from benchmarks.wrk import LoadFailed

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
#: seconds that one step may take
_PATIENCE = 20.0


def download() -> Load:
    """Return a load of one download of a gigabyte, which is its unit."""

    def load(target: Target) -> Sample:
        with _connected(target) as client, measured(target.pid) as sample:
            client.sendall(b"GET /1g HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            _discard(client, _length(client))
            sample.units = 1
        return sample

    return load


def upload() -> Load:
    """Return a load of one upload of a gigabyte, which is its unit."""

    def load(target: Target) -> Sample:
        piece = bytes(1 << 20)
        with _connected(target) as client, measured(target.pid) as sample:
            client.sendall(
                b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % GIGABYTE
            )
            whole, rest = divmod(GIGABYTE, len(piece))
            for _ in range(whole):
                client.sendall(piece)
            client.sendall(piece[:rest])
            _length(client)
            sample.units = 1
        return sample

    return load


def _connected(target: Target) -> socket.socket:
    return socket.create_connection(("127.0.0.1", target.proxy.port), timeout=_PATIENCE)


def _length(client: socket.socket) -> int:
    """Read a response's head and what came with it; return how many bytes of its body are missing."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(4096)
        if not data:
            raise LoadFailed(f"the proxy closed after {head!r}")
        head += data
    head, _, body = head.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if b" 200 " not in head[:16] or length is None:
        raise LoadFailed(f"the proxy answered {head[:200]!r}")
    return int(length[1]) - len(body)


def _discard(client: socket.socket, missing: int) -> None:
    """Receive so many bytes, which the kernel drops without copying them to us."""
    while missing:
        took = client.recv_into(_nothing, min(missing, len(_nothing)), socket.MSG_TRUNC)
        if not took:
            raise LoadFailed(f"{missing} bytes did not come")
        missing -= took


_nothing = bytearray(1 << 20)
