"""What the admin API's tests share: a program that does as it is told, and questions without a socket."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vegurtx.ops.admin import Access, AdminApi
from vegurtx.ops.admin.answers import Answer
from vegurtx.ops.admin.api import Asked
from vegurtx.ops.metrics import Family

TOKEN = b"0123456789abcdef"
LOCAL = {b"host": b"127.0.0.1:9000"}
JSON = {**LOCAL, b"content-type": b"application/json"}

#: numbers of a program that has done nothing yet
LIVE: dict[str, Any] = {
    "time": 1000.0,
    "draining": False,
    "requests": {"2xx": 0},
    "errors": {},
    "rejected": 0,
    "bytes": {"received": 0, "sent": 0},
    "connections": {"open": 0, "opened": 0},
    "backends": {"idle": 0, "in_use": 0},
    "in_flight": 0,
    "tunnels": 0,
    "latency": {"bounds": [1.0], "counts": [0, 0], "sum": 0.0},
    "services": [],
    "recent": [],
}


class Program:
    """Stands in for a program: its attributes are its answers, where they are no exceptions."""

    def __init__(self) -> None:
        self.reason = ""
        self.problems: Any = []
        self.state_error: Exception | None = None
        self.states: list[tuple[str, str, str]] = []
        self.failure: Exception | None = None
        self.drain_error: Exception | None = None
        self.drains = 0

    def ready(self) -> str:
        """See `vegurtx.ops.admin.program.Program`."""
        return self.reason

    def snapshot(self) -> list[Family]:
        """One counter."""
        family = Family("vegurtx_x_total", "counter", "Some.")
        family.add(7)
        return [family]

    def services(self) -> Any:
        """Something that would be markup, were it not escaped."""
        if self.failure is not None:
            raise self.failure
        return {"services": [{"name": "<b>&"}]}

    def config(self) -> Any:
        """Settings."""
        return {"settings": {"timeout": 1}}

    def process(self) -> Any:
        """A number."""
        return {"pid": 1}

    def live(self) -> Any:
        """Numbers."""
        return dict(LIVE)

    def drain(self) -> None:
        """Remember it, or raise."""
        if self.drain_error is not None:
            raise self.drain_error
        self.drains += 1

    def reload(self) -> Any:
        """Problems, or what is raised."""
        if isinstance(self.problems, Exception):
            raise self.problems
        return self.problems

    def set_replica_state(self, service: str, key: str, state: str) -> None:
        """Remember it."""
        if self.state_error is not None:
            raise self.state_error
        self.states.append((service, key, state))


class AdminCase(SynchronousTestCase):
    """An API about a `Program`."""

    def setUp(self) -> None:
        """For anybody on this machine."""
        self.program = Program()
        self.api = AdminApi(self.program, Access())

    def answer(
        self, method: str, path: str, fields: dict[bytes, bytes] | None = None, body: bytes = b""
    ) -> Answer:
        """The answer to a question."""
        asked = Asked(
            method.encode(), path.encode("latin-1"), (LOCAL if fields is None else fields).get, body
        )
        answer: Answer = self.successResultOf(self.api.answer(asked))
        return answer

    def asked(self, method: str, path: str, *arguments: Any) -> tuple[int, Any]:
        """Its status, and what its JSON says."""
        answer = self.answer(method, path, *arguments)
        self.assertEqual(answer.content_type, "application/json")
        return answer.code, json.loads(answer.body)
