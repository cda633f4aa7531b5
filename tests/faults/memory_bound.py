"""The bound on memory of `docs/robustness.md`, computed from the settings and the code's own constants."""

from __future__ import annotations

from typing import NamedTuple

from vegurtx import Settings
from vegurtx.net.server import HOLD
from vegurtx.net.tls.layer import EARLY, HANDSHAKE_LIMIT, SLICE
from vegurtx.wire.limits import BodyLimits, ResponseLimits

#: the largest read of uvloop's (UV_STREAM_RECV_BUF_SIZE); Twisted's own transports read 64 KiB
READ = 256_000
#: asyncio's and Twisted's mark from which a transport has its producer wait
HIGH_WATER = 65_536
#: the objects of one connection, however little it has said: measured 3 to 5 kB, rounded up
CONNECTION = 8_192
#: the objects of one request with its connection to a back-end, without any bytes
EXCHANGE = 16_384
#: OpenSSL's session and buffers of a TLS connection that is handshaken and idle
SESSION = 131_072
#: what the allocator keeps, whatever comes: arenas that are not full, caches, code that is used for the first time
ALLOCATOR = 16 * 1_048_576


class Bound(NamedTuple):
    """What one client's connection can have the proxy hold, in bytes, by what it is; see the page's table."""

    head: int
    held: int
    chunk_line: int
    retry: int
    response_head: int
    bodies: int
    tls: int


def bound(settings: Settings) -> Bound:
    """The page's table for these settings."""
    return Bound(
        head=4 * settings.max_head_length + READ,
        held=HOLD + READ,
        chunk_line=settings.max_chunk_line_length + BodyLimits().trailer,
        retry=settings.retry_buffer_limit,
        response_head=4 * ResponseLimits().head + READ,
        # the unsent rest of a segment keeps all of it
        bodies=2 * (HIGH_WATER + 2 * READ),
        tls=2 * (HANDSHAKE_LIMIT + SLICE + EARLY),
    )


def total(settings: Settings) -> int:
    """All that all peers can have one process hold, in bytes."""
    each = CONNECTION + EXCHANGE + sum(bound(settings))
    return settings.max_connections * each + settings.pool_max_idle * (EXCHANGE + 3 * 8192) + ALLOCATOR
