"""Heroku's codes: how a request that went wrong is called in the log and in the metrics.

Which code a reason has stands in `vegurtx.errors`. Here is what depends on how far the request was: broken off in the
middle it is H18, and where a drain has cut it H24. Source: Heroku's "Error Codes" (the router's ``H`` series).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from vegurtx.errors import REASONS, UNKNOWN, Reason, entry

#: the status in the log where the client was gone before anything could be sent (nginx's number, and Heroku's)
CLIENT_GONE = 499

DESCRIPTIONS = {
    "H10": "App crashed",
    "H11": "Backlog too deep",
    "H12": "Request timeout",
    "H13": "Connection closed without response",
    "H14": "No web processes running",
    "H15": "Idle connection",
    "H17": "Poorly formatted HTTP response",
    "H18": "Server Request Interrupted",
    "H19": "Backend connection timeout",
    "H21": "Backend connection refused",
    "H22": "Connection limit reached",
    "H23": "Endpoint misconfigured",
    "H24": "Forced close",
    "H25": "HTTP Restriction",
    "H26": "Request Error",
    "H27": "Client Request Interrupted",
    "H28": "Client Connection Idle",
    "H80": "Maintenance mode",
    "H99": "Platform error",
}

#: what ends a response that has begun, and is not a matter of time
_INTERRUPTED = frozenset({"closed", "econnreset", "bad_chunk"})
_LONGEST = 200


class Ending(NamedTuple):
    """How a request went wrong."""

    code: str
    """Heroku's; empty where none fits, as for a router's own reasons."""
    description: str
    """In words: the code's, or the reason itself."""
    sock: str
    """Of an H18: whose socket broke, ``"client"`` or ``"backend"``; else empty."""
    status: int
    """What the client got, or 499."""
    label: str
    """The reason as one word out of a bounded number of them."""
    blame: str
    """``"upstream"``, ``"downstream"`` or ``"undefined"``."""


def ending(request: Any, reason: Reason) -> Ending:
    """Describe the end of `request` with `reason`. Called while the request's exchange is still known."""
    exchange = request.exchange
    line = entry(reason)
    status = request.response_code
    code, sock = line.code, ""
    word = _word(reason)
    stopped = exchange is not None and exchange.proxy.stopped
    if stopped and reason == ("upstream", "closed"):
        code = "H24"
    elif line.blame != "undefined" and word in _INTERRUPTED and _had_begun(exchange, status):
        code, sock = "H18", "client" if line.blame == "upstream" else "backend"
    return Ending(
        code,
        DESCRIPTIONS.get(code) or text_of(reason),
        sock,
        CLIENT_GONE if status is None else status,
        label_of(reason),
        line.blame,
    )


def _had_begun(exchange: Any, status: int | None) -> bool:
    """Whether a part of a response was out: it has a status, and that is no page's of ours."""
    return status is not None and not hasattr(exchange, "page_size")


def _word(reason: Reason) -> Any:
    """What went wrong, without the blame and without details."""
    if isinstance(reason, str):
        return reason
    what = reason[1] if len(reason) > 1 else reason[0]
    return what[0] if isinstance(what, tuple) and what else what


def label_of(reason: Reason) -> str:
    """`reason` as a label: ``downstream.timeout``, ``crashed``; ``other`` for what the reasons table does not have."""
    if entry(reason) is UNKNOWN:
        return "other"
    return reason if isinstance(reason, str) else f"{reason[0]}.{_word(reason)}"


def text_of(reason: Reason) -> str:
    """`reason` for people, 200 characters of it at the most. A router's own may hold anything: quote it."""
    if isinstance(reason, str):
        return reason[:_LONGEST]
    return ".".join(part[:_LONGEST] for part in reason if isinstance(part, str))[:_LONGEST]


#: every label that `label_of` may give
LABELS = frozenset({"other", *map(label_of, REASONS)})
