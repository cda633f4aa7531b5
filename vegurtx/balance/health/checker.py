"""Active health checks: asks each replica now and then whether it is well.

    watch → RESTING → WAITING → PROBING → RESTING …    (unwatch or stop: GONE)

A watched replica has one delayed call at the most: while it rests, that of its next probe; while it is probed, that of
the probe's time limit; while others are probed and it waits for its turn, none. First probes come soon and spread out,
and never more than `AT_ONCE` probes are on their way.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger, LogLevel

from vegurtx.balance.health.attempt import Attempt
from vegurtx.balance.health.http_probe import http_probe
from vegurtx.balance.health.slow_start import start_slowly
from vegurtx.balance.health.state import HealthState, Key, Outcome, ProbeRecord, Standing, check_name
from vegurtx.balance.health.tcp_probe import tcp_probe
from vegurtx.balance.health.tls import TlsFilesError
from vegurtx.balance.replica import Replica
from vegurtx.balance.turnstile import Turnstile

_log = Logger()

#: probes on their way at once, each one socket; with a thousand dead hosts the others still get their turn in time
AT_ONCE = 128
#: seconds between the first probes of replicas that came together, unless they had to wait for an interval
SPREAD = 0.01
#: seconds between two probes of a replica at the least, however many connects to it fail
PAUSE = 1.0
#: the share of an interval that lies between the end of a long probe and the next one at the least
_LEAST_REST = 0.1

#: starts one probe: ``(reactor, replica, check) → Attempt``
Probe = Callable[[Any, Replica, Any], Attempt]

PROBES: dict[str, Probe] = {"tcp": tcp_probe, "http": http_probe}


class Phase(Enum):
    """Where a watched replica is between two probes."""

    RESTING = "resting"
    WAITING = "waiting"
    PROBING = "probing"
    GONE = "gone"


class HealthChecker:
    """Probes the replicas that it is given, sets `Replica.healthy`, and says what has changed.

    :param reactor: for connections, time and delayed calls.
    :param on_change: called as ``on_change(replica)`` after its `healthy` has changed.
    :param state: where to keep what was found; one's own to keep it for longer than the checker.
    :param probes: ``type → probe``, in the place of `PROBES`.
    :param chance: gives numbers from 0 to 1, for jitter and spread.
    """

    def __init__(
        self,
        reactor: Any,
        on_change: Callable[[Replica], object],
        state: HealthState | None = None,
        *,
        probes: dict[str, Probe] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.state = HealthState() if state is None else state
        self._reactor = reactor
        self._on_change = on_change
        self._probes = PROBES if probes is None else probes
        self._chance = chance
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._turnstile = Turnstile(AT_ONCE)
        self._running: set[Attempt] = set()
        self._next_first = float("-inf")

    def watch(self, service_name: str, replica: Replica, check: Any) -> None:
        """Probe `replica` from now on.

        Called again for the same service and `Replica.key` (after a reload), it takes the new replica and check in the
        place of the old ones. What is known stays as long as the check asks the same; `interval` and the like may
        change. The replica's `healthy` becomes what is known; a replica or a check that is new starts up.

        :param check: a `HealthCheckConfig`.
        """
        watch = self._watches.get((service_name, replica.key))
        key = Key(service_name, replica.key, check_name(check))
        now = self._reactor.seconds()
        if watch is not None:
            if watch.key == key:
                watch.replica, watch.check = replica, check
                self._tell(watch)
                return
            self._stop(watch)
        watch = _Watch(key, replica, check, self.state.open(key, now))
        watch.job = lambda: self._probe(watch)
        self._watches[key[:2]] = watch
        self._rest(watch, self._first(check.interval, now))
        self._tell(watch)

    def unwatch(self, service_name: str, replica: Replica) -> None:
        """Probe `replica` no more. As nobody would find out otherwise, it counts as healthy from now on."""
        watch = self._watches.pop((service_name, replica.key), None)
        if watch is not None:
            self._stop(watch)
            _set_health(watch.replica, True, self._on_change)

    def connect_failed(self, service_name: str, replica: Replica) -> None:
        """A request could not connect to `replica`: probe it soon, but not more often than every `PAUSE` seconds.

        What is known to be down is probed at its interval all the same.
        """
        watch = self._watches.get((service_name, replica.key))
        if watch is None or watch.phase is not Phase.RESTING or not replica.healthy:
            return
        delay = max(0.0, watch.started + PAUSE - self._reactor.seconds())
        if watch.call.getTime() > self._reactor.seconds() + delay:
            watch.call.reset(delay)

    def stop(self) -> Deferred[Any] | None:
        """Probe nobody any more; replicas keep the health that they have.

        :returns: a Deferred that fires when the last connection is closed, or ``None`` if there is none.
        """
        watches = list(self._watches.values())
        self._watches.clear()
        for watch in watches:
            self._stop(watch)
        if not self._running:
            return None
        return DeferredList([_fork(attempt.over) for attempt in self._running])

    # -- one replica's round ---------------------------------------------------------------------------------------

    def _first(self, interval: float, now: float) -> float:
        """Seconds to a first probe: `SPREAD` behind the one before; any time in `interval` if that is over then."""
        at = self._next_first = max(self._next_first + SPREAD, now)
        delay = at - now
        return delay if delay < interval else interval * self._chance()

    def _rest(self, watch: _Watch, delay: float) -> None:
        watch.phase = Phase.RESTING
        watch.call = self._reactor.callLater(delay, self._wait, watch)

    def _wait(self, watch: _Watch) -> None:
        watch.call = None
        watch.phase = Phase.WAITING
        self._turnstile.enter(watch.job)

    def _probe(self, watch: _Watch) -> None:
        watch.phase = Phase.PROBING
        watch.started = self._reactor.seconds()
        check = watch.check
        late = Outcome(False, f"timeout after {check.timeout:g} s")
        try:
            attempt = self._probes[check.type](self._reactor, watch.replica, check)
        except TlsFilesError as error:
            self._turnstile.leave()
            self._found(watch, Outcome(False, str(error)))
            return
        except Exception:  # a fault of ours says nothing about the replica
            _log.failure(
                "{service}: a probe of {replica} crashed",
                service=watch.key.service,
                replica=watch.key.replica,
            )
            self._turnstile.leave()
            self._rest(watch, check.interval)
            return
        watch.attempt = attempt
        watch.call = self._reactor.callLater(check.timeout, attempt.cut_off, late)
        self._running.add(attempt)
        attempt.over.addCallback(self._over, watch, attempt)

    def _over(self, outcome: Outcome, watch: _Watch, attempt: Attempt) -> Outcome:
        self._running.discard(attempt)
        self._turnstile.leave()
        if watch.attempt is attempt and watch.phase is Phase.PROBING:
            watch.attempt = None
            call, watch.call = watch.call, None
            if call.active():
                call.cancel()
            self._found(watch, outcome)
        return outcome

    def _found(self, watch: _Watch, outcome: Outcome) -> None:
        check, now = watch.check, self._reactor.seconds()
        interval = check.interval * (1.0 + check.jitter * (2.0 * self._chance() - 1.0))
        self._rest(watch, max(watch.started + interval - now, check.interval * _LEAST_REST))
        changed = watch.record.add(outcome, now, now - watch.started, rise=check.rise, fall=check.fall)
        if changed:
            _report(watch)
            if outcome.ok:
                start_slowly(watch.replica, now)
        self._tell(watch)

    def _tell(self, watch: _Watch) -> None:
        _set_health(watch.replica, watch.record.standing is Standing.UP, self._on_change)

    def _stop(self, watch: _Watch) -> None:
        phase, watch.phase = watch.phase, Phase.GONE
        call, watch.call = watch.call, None
        if call is not None and call.active():
            call.cancel()
        if phase is Phase.WAITING:
            self._turnstile.forget(watch.job)
        self.state.park(watch.key, self._reactor.seconds())
        attempt, watch.attempt = watch.attempt, None
        if attempt is not None:
            attempt.cut_off(Outcome(False, "not watched any more"))
        watch.job = _nothing  # it knows the watch, and the watch knows it

    def __repr__(self) -> str:
        return f"<HealthChecker {self.state!r} {self._turnstile!r}>"


class _Watch:
    """One replica that is probed."""

    __slots__ = ("attempt", "call", "check", "job", "key", "phase", "record", "replica", "started")

    def __init__(self, key: Key, replica: Replica, check: Any, record: ProbeRecord) -> None:
        self.key = key
        self.replica = replica
        self.check = check
        self.record = record
        self.phase = Phase.RESTING
        self.call: Any = None
        self.attempt: Attempt | None = None
        self.started = float("-inf")
        self.job: Callable[[], None] = _nothing


def _set_health(replica: Replica, healthy: bool, on_change: Callable[[Replica], object]) -> None:
    if replica.healthy is not healthy:
        replica.healthy = healthy
        on_change(replica)


def _report(watch: _Watch) -> None:
    """One line for a change of standing."""
    record = watch.record
    assert record.last is not None
    down = record.standing is Standing.DOWN
    row = "failure" if down else "success"
    if record.in_a_row != 1:
        row += "s" if down else "es"
    _log.emit(
        LogLevel.warn if down else LogLevel.info,
        "{service}: replica {replica} is {state} ({count} {row} in a row)",
        service=watch.key.service,
        replica=watch.key.replica,
        state=f"down: {record.last.text}" if down else "up",
        count=record.in_a_row,
        row=row,
    )


def _fork(over: Deferred[Outcome]) -> Deferred[None]:
    """Fires when `over` does."""
    fork: Deferred[None] = Deferred()

    def pass_on(outcome: Outcome) -> Outcome:
        fork.callback(None)
        return outcome

    over.addCallback(pass_on)
    return fork


def _nothing() -> None:
    """The job of a watch that is gone."""
