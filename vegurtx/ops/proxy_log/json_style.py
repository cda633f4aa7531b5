"""The style ``json``: an object an event, on a line of its own, for whatever collects logs.

    {"time":"2026-11-21T08:32:00.123Z","level":"warn","namespace":"vegurtx.net.complaints","message":"…","where":"…"}

``traceback`` is there with failures, ``worker`` under a supervisor; what else is there are the event's own fields, as
far as they are plain: text, numbers, truth values. Everything is in ASCII.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

from twisted.logger import LogEvent

from vegurtx.ops.proxy_log.escaping import level_of, message_of, namespace_of, traceback_of

#: characters of a field
LONGEST_FIELD = 4096
#: not among an event's fields: said otherwise, or put there for Twisted's old observers
_NOT_ITS_OWN = frozenset(
    {
        *("time", "level", "namespace", "message", "traceback"),
        *("format", "isError", "logLevel", "system", "why", "failure"),
    }
)
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def json_line(event: LogEvent) -> str:
    """The line of `event`, with the line feed; empty where there is nothing to say."""
    message, traceback = message_of(event), traceback_of(event)
    if not message and not traceback:
        return ""
    said: dict[str, Any] = {
        "time": _time(event.get("log_time")),
        "level": level_of(event),
        "namespace": namespace_of(event),
        "message": message,
    }
    if traceback:
        said["traceback"] = traceback
    said |= plain_fields(event)
    return _encode(said) + "\n"


def plain_fields(event: LogEvent) -> dict[str, Any]:
    """The fields of `event` that JSON has: text, not longer than `LONGEST_FIELD`, numbers and truth values."""
    plain: dict[str, Any] = {}
    for name, value in event.items():
        if name.startswith("log_") or name in _NOT_ITS_OWN:
            continue
        if isinstance(value, str):
            plain[name] = value[:LONGEST_FIELD]
        elif value is None or isinstance(value, (bool, int)):
            plain[name] = value
        elif isinstance(value, float):
            plain[name] = value if math.isfinite(value) else str(value)
    return plain


def _time(at: Any) -> str | None:
    """Seconds since the epoch as RFC 3339 has it, in UTC."""
    if not isinstance(at, (int, float)):
        return None
    second, millisecond = divmod(int(at * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{millisecond:03d}Z"
