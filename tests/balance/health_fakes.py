"""What the tests of health put in the place of sockets and chance."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from vegurtx.balance.config import HealthCheckConfig, PassiveHealthConfig
from vegurtx.balance.health.state import Outcome
from vegurtx.balance.replica import Replica, Service
from vegurtx.message import Backend

GOOD = Outcome(True, "connected")
BAD = Outcome(False, "connection refused")


def check(**keys: Any) -> HealthCheckConfig:
    """A `health_check` section."""
    return HealthCheckConfig.model_validate(keys)


def passive(**keys: Any) -> PassiveHealthConfig:
    """A `passive_health` section."""
    return PassiveHealthConfig.model_validate(keys)


def replica(number: int = 1, **options: Any) -> Replica:
    """A replica that nobody connects to."""
    return Replica(f"http://127.0.0.1:{8080 + number}", Backend("127.0.0.1", 8080 + number), **options)


def service(count: int, name: str = "service1") -> Service:
    """A service of `count` replicas."""
    return Service(name, None, None, [replica(number + 1) for number in range(count)])


class ScriptedAttempt:
    """A probe that ends when the test says so."""

    def __init__(self, replica: Replica, check: Any) -> None:
        self.replica = replica
        self.check = check
        self.over: Deferred[Outcome] = Deferred()
        self.cut: Outcome | None = None
        #: where a connection takes a while to close, a test ends a broken-off probe itself
        self.lingers = False

    def cut_off(self, outcome: Outcome) -> None:
        """See `Attempt`."""
        self.cut = outcome
        if not self.lingers:
            self.over.callback(outcome)


class ScriptedProbe:
    """Starts `ScriptedAttempt`s, and answers by itself as long as `answer` is set."""

    def __init__(self) -> None:
        self.attempts: list[ScriptedAttempt] = []
        self.answer: Outcome | None = None
        self.started_at: list[float] = []

    def __call__(self, reactor: Any, replica: Replica, check: Any) -> Any:
        """See `vegurtx.balance.health.checker.Probe`."""
        attempt = ScriptedAttempt(replica, check)
        self.attempts.append(attempt)
        self.started_at.append(reactor.seconds())
        if self.answer is not None:
            attempt.over.callback(self.answer)
        return attempt

    @property
    def running(self) -> list[ScriptedAttempt]:
        """Those that have not ended."""
        return [attempt for attempt in self.attempts if not attempt.over.called]


def logged(case: TestCase) -> list[str]:
    """The lines that are logged from now on until the test's end."""
    lines: list[str] = []

    def note(event: LogEvent) -> None:
        if str(event.get("log_namespace", "")).startswith("vegurtx.balance"):
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(note)
    case.addCleanup(globalLogPublisher.removeObserver, note)
    return lines
