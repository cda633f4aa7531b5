"""The cases: what clients do, what the proxies are told for it, and what one unit of the work is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.loads.idle import idle
from benchmarks.loads.paced import paced
from benchmarks.loads.requests import BROWSER, requests
from benchmarks.loads.target import Load
from benchmarks.loads.transfers import download, upload
from benchmarks.loads.websockets import echoes

Result = Literal["cost", "memory", "p99"]


@dataclass(frozen=True)
class Case:
    """One comparison.

    Its text stands in the page.
    """

    name: str
    """For options and results."""
    title: str
    """For people."""
    text: str
    """What is done, in a sentence or two."""
    load: Load
    unit: str = "request"
    result: Result = "cost"
    """What is compared: CPU time a unit, memory a unit, or the time that one request in a hundred exceeds."""
    origin: Literal["files", "own"] = "files"
    """Which of `benchmarks.origins` stands behind the proxies."""
    setup: Mapping[str, Any] = field(default_factory=dict)
    """What of `Setup` differs from its defaults."""
    secure: bool = False
    fresh: bool = False
    """Each run has a new process."""
    only: tuple[str, ...] | None = None
    """The proxies that this makes sense for; all, if `None`."""
    rounds: int | None = None
    """At the most."""


_CASES = (
    Case(
        "small",
        "Small keep-alive GET",
        "32 clients that keep their connections, a response of 24 bytes, pooled connections to the back-end.",
        requests("/small"),
    ),
    Case(
        "browser",
        "The same with a browser's head",
        "Ten header fields, 500 bytes, in each request.",
        requests("/small", headers=BROWSER),
    ),
    Case(
        "new-client",
        "A new client connection for each request",
        "Each client says `Connection: close`, and connects again.",
        requests("/small", headers=("Connection: close",)),
    ),
    Case(
        "new-backend",
        "A new back-end connection for each request",
        "Clients keep their connections; the proxy opens one to the back-end for each request, and closes it.",
        requests("/small"),
        setup={"pooled": False, "router": "Unpooled"},
    ),
    Case("64k", "Responses of 64 kB", "As the first case, with larger responses.", requests("/64k")),
    Case(
        "1m",
        "Responses of 1 MB",
        "8 clients.",
        requests("/1m", connections=8),
        setup={"transfers": True},
    ),
    Case(
        "upload",
        "Uploads of 1 MB",
        "8 clients; the back-end reads the whole body, and then answers.",
        requests("/upload", connections=8, script="upload.lua"),
        origin="own",
        setup={"transfers": True},
    ),
    Case(
        "download-1g",
        "A download of 1 GB",
        "One client, one response of 1,000,000,000 bytes.",
        download(),
        unit="GB",
        setup={"transfers": True},
    ),
    Case(
        "upload-1g",
        "An upload of 1 GB",
        "One client, one request of 1,000,000,000 bytes.",
        upload(),
        unit="GB",
        origin="own",
        setup={"transfers": True},
    ),
    Case(
        "chunked",
        "Chunked responses",
        "16 chunks of 1 kB each, which arrive together.",
        requests("/chunked"),
        origin="own",
    ),
    Case(
        "tls",
        "Small keep-alive GET over TLS",
        "The first case with TLS 1.3 between client and proxy; one certificate (P-256) for all.",
        requests("/small"),
        secure=True,
    ),
    Case(
        "websocket",
        "WebSocket messages",
        "32 clients; each sends 64 bytes, waits for its echo, and sends the next. One unit is a message and its echo.",
        echoes(),
        unit="message",
        origin="own",
        setup={"upgrade": True},
    ),
    Case(
        "idle",
        "10,000 idle clients",
        "Each has been served one request and keeps its connection. The result is how much the proxy's own memory has "
        "grown, a client; what the kernel keeps for a socket is the same for all, and not counted.",
        idle(),
        unit="client",
        result="memory",
        setup={"connections": 12_000},
        fresh=True,
        rounds=2,
    ),
    Case(
        "deferred",
        "A router that answers later",
        "The first case, with a router whose `checkout_service` returns a Deferred that fires in a later turn.",
        requests("/small"),
        setup={"router": "Deferring"},
        only=("vegurtx", "vegurtx-epoll", "haproxy"),
    ),
    Case(
        "access-log",
        "With access log and metrics",
        "The first case; each request is a line in a file, and counted for `/metrics`.",
        requests("/small"),
        setup={"logged": True},
    ),
    Case(
        "workers",
        "Two workers",
        "The first case with `--workers 2`. Load, back-end and both workers share all cores here.",
        requests("/small", connections=64),
        setup={"workers": 2},
        only=("vegurtx", "vegurtx-epoll", "vegurtx-bare"),
    ),
    Case(
        "paced",
        "At four fifths of what it carries",
        "64 clients ask at a constant rate: 80 % of what this proxy carried just before with the same load program. "
        "A request's time counts from when it was due.",
        paced(),
        result="p99",
    ),
)

CASES: dict[str, Case] = {case.name: case for case in _CASES}
"""Name → case, in the order of the page."""
QUICK = ("small",)
"""What a quick run does."""
