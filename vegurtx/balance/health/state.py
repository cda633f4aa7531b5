"""What the probes have said so far, and what follows from it: rise and fall.

A replica starts up. `fall` failures in a row take it down, `rise` successes in a row bring it back; whatever breaks a
row starts it anew. One `ProbeRecord` is kept for each (service, replica, check), so that a reload which changes
something else forgets nothing, and a check that has changed is judged by itself.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

#: records of replicas that are not watched any more: how many are kept, and for how many seconds
PARKED = 4096
PARKED_FOR = 60.0


class Outcome(NamedTuple):
    """What one probe found."""

    ok: bool
    #: one short line for people, made of our own words: nothing that the replica sent is in it
    text: str


class Standing(Enum):
    """What all probes together say of a replica."""

    UP = "up"
    DOWN = "down"


class Key(NamedTuple):
    """Whom a record is about."""

    service: str
    replica: str
    #: what is asked of the replica, as `check_name` puts it
    check: str


#: ``(standing, outcome) → (the standing that a long enough row leads to, what says how long that is)``; the others stay
_TURNS: dict[tuple[Standing, bool], tuple[Standing, str]] = {
    (Standing.UP, False): (Standing.DOWN, "fall"),
    (Standing.DOWN, True): (Standing.UP, "rise"),
}


class ProbeRecord:
    """The probes of one replica by one check. Times are the reactor's, in seconds."""

    __slots__ = ("failures", "in_a_row", "last", "last_at", "last_duration", "since", "standing", "successes")

    def __init__(self) -> None:
        self.standing = Standing.UP
        #: when the standing last changed; ``None``: never
        self.since: float | None = None
        #: the last probe: what it found, when it ended and how long it took; ``None``: there was none yet
        self.last: Outcome | None = None
        self.last_at: float | None = None
        self.last_duration = 0.0
        #: how many probes in a row have ended as the last one did
        self.in_a_row = 0
        #: of all probes
        self.successes = 0
        self.failures = 0

    def add(self, outcome: Outcome, now: float, duration: float, *, rise: int, fall: int) -> bool:
        """A probe has ended; whether that changes the standing.

        :param now: the reactor's time; `duration`: how long the probe took; both in seconds.
        :param rise: successes in a row that bring a replica back; `fall`: failures in a row that take it down.
        """
        same = self.last is not None and self.last.ok is outcome.ok
        self.in_a_row = self.in_a_row + 1 if same else 1
        self.last, self.last_at, self.last_duration = outcome, now, duration
        if outcome.ok:
            self.successes += 1
        else:
            self.failures += 1
        turn = _TURNS.get((self.standing, outcome.ok))
        if turn is None or self.in_a_row < (rise if turn[1] == "rise" else fall):
            return False
        self.standing, self.since = turn[0], now
        return True

    def report(self, now: float) -> dict[str, Any]:
        """The record for the admin API: plain values; ages in seconds before the reactor's time `now`."""
        return {
            "state": self.standing.value,
            "state_age": None if self.since is None else now - self.since,
            "last_ok": None if self.last is None else self.last.ok,
            "last_result": None if self.last is None else self.last.text,
            "last_age": None if self.last_at is None else now - self.last_at,
            "last_duration": None if self.last is None else self.last_duration,
            "in_a_row": self.in_a_row,
            "successes": self.successes,
            "failures": self.failures,
        }

    def __repr__(self) -> str:
        return f"<ProbeRecord {self.standing.value} +{self.successes} -{self.failures}, {self.in_a_row} in a row>"


class HealthState:
    """All records. It outlives reloads, and may outlive a `HealthChecker` (as ``HealthChecker(state=…)``).

    Records of replicas that are not watched any more stay for `PARKED_FOR` seconds, and no more than `PARKED` of them:
    an address that is gone from a name's answer for a moment comes back with what is known of it.
    """

    def __init__(self) -> None:
        self._records: dict[Key, ProbeRecord] = {}
        self._parked: dict[Key, tuple[float, ProbeRecord]] = {}

    def open(self, key: Key, now: float) -> ProbeRecord:
        """The record of what is watched from now on: the one that there was, else a new one, which is up."""
        record = self._records.get(key)
        if record is None:
            since, record = self._parked.pop(key, (now, ProbeRecord()))
            if now - since > PARKED_FOR:
                record = ProbeRecord()
            self._records[key] = record
        return record

    def park(self, key: Key, now: float) -> None:
        """It is not watched any more."""
        record = self._records.pop(key, None)
        if record is None:
            return
        self._parked[key] = (now, record)
        while self._parked:
            oldest = next(iter(self._parked))
            if len(self._parked) <= PARKED and now - self._parked[oldest][0] <= PARKED_FOR:
                break
            del self._parked[oldest]

    def get(self, service: str, replica: str) -> dict[str, ProbeRecord]:
        """The records of one replica that is watched: ``check → record``."""
        return {key.check: record for key, record in self._records.items() if key[:2] == (service, replica)}

    def items(self) -> list[tuple[Key, ProbeRecord]]:
        """All records of what is watched."""
        return list(self._records.items())

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        down = sum(record.standing is Standing.DOWN for record in self._records.values())
        return f"<HealthState {len(self._records)} watched, {down} down, {len(self._parked)} parked>"


def check_name(check: Any) -> str:
    """What a `HealthCheckConfig` asks of a replica, in one line; how often it asks is no part of it.

    Two checks of one name ask the same, so what one has found holds for the other.
    """
    at = f" at port {check.port}" if check.port else ""
    if check.type == "tcp":
        return f"tcp{at}"
    name = f"http {check.method} {check.path}{at}"
    if check.host:
        name += f" of {check.host}"
    name += f" expects {statuses(check.expect)}"
    return name if check.expect.body is None else f"{name} and {check.expect.body!r}"


def statuses(expect: Any) -> str:
    """The statuses that an `ExpectConfig` allows, as people write them: ``200-299, 404``."""
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in expect.status)
