"""What the access log's tests share: a writer that keeps lines, a reader of each format, and proxies in memory."""

from __future__ import annotations

import json
import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend
from vegurtx.ops.access_log import AccessLog
from vegurtx.testing import MemoryProxy, router_to

A = Backend("127.0.0.1", 8081)
KEPT = Backend("127.0.0.1", 8081, keepalive="default")
GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"

_PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "=]*)(?: |$)')
_COMBINED = re.compile(
    r'(?P<peer>[^ ]+) - - \[(?P<time>[^]]+)\] "(?P<line>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
)


class Lines:
    """Stands in for a `LineWriter`."""

    def __init__(self) -> None:
        self.batch: list[bytes] = []
        self.write = self.batch.append

    def look(self) -> None:
        """Nobody waits for them."""


def logfmt(line: bytes) -> dict[str, str]:
    """What a line of ``key=value`` says; raises `AssertionError` where it is none."""
    text = one_line(line)
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _PAIR.match(text, place)
        assert match is not None, text[place:]
        key, value = match.groups()
        assert key not in found, key
        found[key] = json.loads(value) if value.startswith('"') else value
        place = match.end()
    return found


def combined(line: bytes) -> dict[str, str]:
    """What a line in Apache's format says."""
    match = _COMBINED.fullmatch(one_line(line))
    assert match is not None, line
    return {key: unescaped(value) for key, value in match.groupdict().items()}


def unescaped(value: str) -> str:
    """The text of which Apache's escapes were made."""
    return re.sub(
        r"\\(x[0-9a-f]{2}|.)",
        lambda match: chr(int(match[1][1:], 16)) if len(match[1]) == 3 else match[1],
        value,
    )


def one_line(line: bytes) -> str:
    """The text of one line of printable ASCII."""
    assert line.endswith(b"\n") and line.count(b"\n") == 1, line
    text = line[:-1].decode("ascii")
    assert text.isprintable(), line
    return text


class LogCase(SynchronousTestCase):
    """A proxy in memory, and what its log says."""

    def proxy(self, router: Any = None, format: str = "router", **settings: Any) -> MemoryProxy:
        """A proxy with a log; by default its router leads to `A`."""
        proxy = MemoryProxy(router_to(A) if router is None else router, settings)
        self.lines = Lines()
        proxy.factory.observer = AccessLog(format, self.lines, proxy.factory.wall)
        return proxy

    def said(self) -> dict[str, str]:
        """What the one line of the log in the format ``router`` says."""
        return logfmt(self.line())

    def line(self) -> bytes:
        """The one line of the log."""
        self.assertEqual(len(self.lines.batch), 1, self.lines.batch)
        return self.lines.batch.pop()

    def assert_said(self, **expected: str) -> None:
        """The one line says this, among other things."""
        said = self.said()
        self.assertEqual({key: said.get(key) for key in expected}, expected, said)
