"""Passive health: a replica whose requests fail is ejected for a while (outlier detection).

It costs no probe, and sees what probes do not: a replica that answers them and fails its work. An ejection lasts longer
each time, up to a limit, and steps are forgotten as the replica stays in service. Too many are never ejected at once,
and never the last one that can be used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from vegurtx.balance.health.slow_start import start_slowly
from vegurtx.balance.health.window import Window
from vegurtx.balance.replica import Replica, Service
from vegurtx.errors import Reason

_log = Logger()

#: steps by which an ejection doubles at the most
_MOST_STEPS = 32
#: characters of a reason that are logged
_LONGEST_REASON = 60


class PassiveHealth:
    """What the requests of one service say about its replicas.

    :param config: a `PassiveHealthConfig`.
    :param reactor: gives the time and the one delayed call.
    :param on_change: called as ``on_change(replica)`` after its `ejected_until` has changed.
    """

    def __init__(
        self, config: Any, reactor: Any, on_change: Callable[[Replica], object] = lambda replica: None
    ) -> None:
        self.config = config
        #: ejections so far, of all replicas
        self.ejections = 0
        self._reactor = reactor
        self._on_change = on_change
        self._outliers: dict[Replica, _Outlier] = {}
        self._call: Any = None

    def reconfigure(self, config: Any) -> None:
        """Go by another `PassiveHealthConfig` from now on; counts, streaks and ejections stay (a window of another
        length begins anew).
        """
        if config.window != self.config.window:
            for outlier in self._outliers.values():
                outlier.window = Window(config.window)
        self.config = config

    # -- what requests say ------------------------------------------------------------------------------------------

    def succeeded(self, service: Service, replica: Replica, now: float) -> None:
        """A try at `replica` went well, at the reactor's time `now`."""
        outlier = self._outliers.get(replica)
        if outlier is None:
            outlier = self._meet(service, replica)
        outlier.streak = 0
        outlier.window.add(True, now)

    def failed(self, service: Service, replica: Replica, reason: Reason, now: float) -> None:
        """A try at `replica` failed, for `reason`; that may eject it."""
        outlier = self._outliers.get(replica)
        if outlier is None:
            outlier = self._meet(service, replica)
        outlier.streak += 1
        outlier.window.add(False, now)
        if replica.ejected_until:  # it was in flight when the replica was ejected, or there is a panic
            return
        config, window = self.config, outlier.window
        if outlier.streak >= config.consecutive_errors:
            why = f"{outlier.streak} errors in a row"
        elif window.requests >= config.min_requests and window.errors >= config.error_rate * window.requests:
            why = f"{window.errors} errors in {window.requests} requests"
        else:
            return
        if self._may_eject(service, replica):
            self._eject(service, replica, outlier, f"{why}; the last: {_shown(reason)}", now)

    def _meet(self, service: Service, replica: Replica) -> _Outlier:
        """Remember one more replica, and forget those that have gone."""
        if len(self._outliers) >= len(service.replicas):
            present = set(service.replicas)
            self._outliers = {known: outlier for known, outlier in self._outliers.items() if known in present}
        outlier = self._outliers[replica] = _Outlier(self.config.window)
        return outlier

    # -- ejections ---------------------------------------------------------------------------------------------------

    def _may_eject(self, service: Service, replica: Replica) -> bool:
        """Whether one more may go: others can be used, and no more than the share are ejected (but one always may)."""
        ejected = sum(1 for other in service.replicas if other.ejected_until)
        allowed = self.config.max_ejected * len(service.replicas)
        if allowed <= 0 or ejected + 1 > max(1.0, allowed):
            return False
        return any(other.available for other in service.replicas if other is not replica)

    def _eject(self, service: Service, replica: Replica, outlier: _Outlier, why: str, now: float) -> None:
        config = self.config
        steps = outlier.steps_at(now, config.window)
        seconds = min(config.ejection_time * 2.0**steps, config.max_ejection_time)
        outlier.steps = min(steps + 1, _MOST_STEPS)
        outlier.ejections += 1
        self.ejections += 1
        replica.ejected_until = now + seconds
        _log.warn(
            "{service}: replica {replica} is ejected for {seconds:g} s ({why})",
            service=service.name,
            replica=replica.key,
            seconds=seconds,
            why=why,
        )
        self._sleep(service, now)
        self._on_change(replica)

    def expire(self, service: Service, now: float) -> list[Replica]:
        """End the ejections whose time is over at the reactor's time `now`; those replicas."""
        back = [replica for replica in service.replicas if 0.0 < replica.ejected_until <= now]
        for replica in back:
            replica.ejected_until = 0.0
            outlier = self._outliers.get(replica)
            if outlier is not None:
                outlier.returned(now)
            start_slowly(replica, now)
            _log.info("{service}: replica {replica} is back", service=service.name, replica=replica.key)
        self._sleep(service, now)
        for replica in back:
            self._on_change(replica)
        return back

    def _sleep(self, service: Service, now: float) -> None:
        """See to it that the one delayed call comes when the next ejection ends."""
        ends = [replica.ejected_until for replica in service.replicas if replica.ejected_until]
        call = self._call
        if call is not None and call.active():
            call.cancel()
        self._call = None
        if ends:
            self._call = self._reactor.callLater(max(0.0, min(ends) - now), self._wake, service)

    def _wake(self, service: Service) -> None:
        self._call = None
        self.expire(service, self._reactor.seconds())

    # -- the end, and what is shown ------------------------------------------------------------------------------------

    def stop(self, service: Service | None = None) -> None:
        """Leave no delayed call.

        :param service: whose ejections shall end, because passive health is not wanted any more: nobody would end them.
        """
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        if service is not None:
            for replica in service.replicas:
                if replica.ejected_until:
                    replica.ejected_until = 0.0
                    self._on_change(replica)

    def report(self, replica: Replica, now: float) -> dict[str, Any]:
        """What is known of `replica`, for the admin API: plain values, times in seconds."""
        outlier = self._outliers.get(replica)
        return {
            "ejected_for": max(0.0, replica.ejected_until - now) if replica.ejected_until else 0.0,
            "ejections": outlier.ejections if outlier else 0,
            "errors_in_a_row": outlier.streak if outlier else 0,
            "window_requests": outlier.window.requests if outlier else 0,
            "window_errors": outlier.window.errors if outlier else 0,
        }


class _Outlier:
    """What the requests say about one replica."""

    __slots__ = ("ejections", "returned_at", "steps", "streak", "window")

    def __init__(self, window: float) -> None:
        #: errors in a row
        self.streak = 0
        self.window = Window(window)
        self.ejections = 0
        #: how often the next ejection's time is doubled, as of `returned_at`
        self.steps = 0
        self.returned_at = 0.0

    def returned(self, now: float) -> None:
        """It is in service again, with a clean slate but for how long its next ejection will be."""
        self.streak = 0
        self.window.clear()
        self.returned_at = now

    def steps_at(self, now: float, window: float) -> int:
        """Each `window` seconds in service take one step off."""
        return max(0, self.steps - int((now - self.returned_at) / window))


def _shown(reason: Reason) -> str:
    """A reason for the log: a word as it is; whatever else quoted and cut, as a router may say anything."""
    if isinstance(reason, str) and reason.isidentifier() and len(reason) <= _LONGEST_REASON:
        return reason
    return ascii(reason)[:_LONGEST_REASON]
