"""An event on its way from one process to another: a line of JSON, not longer than a pipe's reader allows.

What cannot be sent stays behind: objects in an event's fields. Message and traceback have been made of them before.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.logger import LogEvent, LogLevel

from vegurtx.ops.proxy_log.escaping import level_of, message_of, namespace_of, traceback_of
from vegurtx.ops.proxy_log.json_style import plain_fields

#: characters of a line
LONGEST_LINE = 60_000
#: characters of a message and of a traceback, where the whole was longer than that: escaped, one is 12 at the most
_SHORT = 2000
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def packed(event: LogEvent) -> str:
    """`event` as a line in ASCII, without a line feed."""
    message, traceback = message_of(event), traceback_of(event)
    said: dict[str, Any] = {
        "time": event.get("log_time"),
        "level": level_of(event),
        "namespace": namespace_of(event),
        "message": message,
        "traceback": traceback,
        "fields": plain_fields(event),
    }
    line = _encode(said)
    if len(line) > LONGEST_LINE:
        said |= {"message": message[:_SHORT], "traceback": traceback[-_SHORT:], "fields": {}}
        said["namespace"] = said["namespace"][:_SHORT]
        line = _encode(said)
    return line


def unpacked(line: str) -> LogEvent:
    """The event of which `packed` has made `line`.

    :raises ValueError: it is none.
    """
    said = json.loads(line)
    try:
        fields = dict(said["fields"])
        return {
            **{name: value for name, value in fields.items() if not name.startswith("log_")},
            "log_time": float(said["time"]),
            "log_level": LogLevel.levelWithName(said["level"]),
            "log_namespace": str(said["namespace"]),
            "log_format": "{log_text}",
            "log_text": str(said["message"]),
            "log_traceback": str(said["traceback"]),
        }
    except Exception as problem:
        raise ValueError(f"this is no event: {problem!r}") from None
