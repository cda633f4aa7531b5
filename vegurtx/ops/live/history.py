"""The last quarter of an hour, in memory: a page that was just opened shows plots at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

#: seconds from one sample to the next
INTERVAL = 5.0
#: samples that are kept: fifteen minutes of them
KEPT = 180

#: what of a snapshot is kept: its numbers, neither services nor errors
_NUMBERS = (
    *("time", "requests", "errors", "rejected", "bytes", "connections", "backends"),
    *("in_flight", "tunnels", "latency"),
)


class History:
    """Samples of what `live` says, while it is started.

    :param live: returns what `vegurtx.ops.live.snapshot` does, or a Deferred of it.
    """

    def __init__(self, live: Callable[[], Any]) -> None:
        self._live = live
        self._samples: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._sampling: LoopingCall | None = None
        self._failing = False

    def start(self, reactor: Any) -> None:
        """Take a sample now, and every `INTERVAL` seconds from now on. It may be started already."""
        if self._sampling is None:
            self._sampling = sampling = LoopingCall(self._sample)
            sampling.clock = reactor
            sampling.start(INTERVAL)

    def stop(self) -> None:
        """Take no more. What there is stays."""
        sampling, self._sampling = self._sampling, None
        if sampling is not None and sampling.running:
            sampling.stop()

    def report(self) -> dict[str, Any]:
        """The samples, the oldest first, as plain values: snapshots without services and recent errors."""
        return {"interval": INTERVAL, "kept": KEPT, "samples": list(self._samples)}

    def _sample(self) -> Deferred[None]:
        # A LoopingCall ends when what it calls fails; and the next sample may be good again.
        return maybeDeferred(self._live).addCallbacks(self._keep, self._failed)

    def _keep(self, snapshot: dict[str, Any]) -> None:
        self._failing = False
        self._samples.append({name: snapshot[name] for name in _NUMBERS})

    def _failed(self, failure: Failure) -> None:
        if not self._failing:  # once, not every five seconds
            self._failing = True
            _log.failure("no sample for the admin page's plots", failure)
