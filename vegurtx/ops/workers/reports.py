"""The numbers of all workers: asked for over their lines when somebody wants them, and now and then for those who die.

A worker that does not answer in time is counted with what it has told last. One that has gone stays in the sum (see
`Ended`): it has told everything with its last word, or, where it was killed, `REPORT_INTERVAL` before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from vegurtx.ops.workers.ended import Ended
from vegurtx.ops.workers.questions import Refused, Silent
from vegurtx.ops.workers.worker import State, Worker

_log = Logger()

#: seconds after which everybody is asked for each part of a report, though nobody wants to know
REPORT_INTERVAL = 10.0
PARTS = ("metrics", "live", "services", "process")


class Reports:
    """See the module's text.

    :param workers: returns all that have not gone.
    :param ended: the sum of those who have.
    """

    def __init__(self, reactor: Any, workers: Callable[[], Sequence[Worker]], ended: Ended) -> None:
        self._reactor = reactor
        self._workers = workers
        self.ended = ended
        self._rounds = {part: _Round(self._ask, part) for part in PARTS}
        self._turn = cycle(PARTS)
        self._call: Any = None

    def gather(self, part: str) -> Deferred[None]:
        """Ask for one of `PARTS`; fires when each worker has answered, or had its time. See `of`."""
        return self._rounds[part].join()

    def of(self, part: str) -> list[tuple[Worker, Any]]:
        """What the workers have told of `part` last, with whoever has told it."""
        told = ((worker, (worker.report or {}).get(part)) for worker in self._workers())
        return [(worker, value) for worker, value in told if value is not None]

    def has_gone(self, worker: Worker) -> None:
        """Its last numbers stay."""
        try:
            self.ended.add(worker.report, asked=worker.before is State.LEAVING)
            present = [each.report for each in self._workers() if each.report and "metrics" in each.report]
            if present:
                self.ended.forget_strangers(present)
        except Exception:  # an unlike program's worker; the others' numbers are good
            _log.failure("the last numbers of {worker} cannot be read", worker=worker)

    def start(self) -> None:
        """Ask now and then, from now on."""
        self._call = self._reactor.callLater(REPORT_INTERVAL / len(PARTS), self._ask_by_itself)

    def stop(self) -> None:
        """Ask no more by itself."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _ask_by_itself(self) -> None:
        """One part after the other: of a thousand replicas, each is some milliseconds' work."""
        self.start()
        part = next(self._turn)
        if self._reactor.seconds() - self._rounds[part].ended_at >= REPORT_INTERVAL / 2:
            self.gather(part)

    def _ask(self, part: str) -> Deferred[Any]:
        """Ask everybody who can answer."""
        asked = []
        for worker in self._workers():
            if worker.state in (State.READY, State.LEAVING):
                asking = worker.ask("report", part=part)
                asked.append(asking.addCallbacks(_told, _silent, (worker, part), errbackArgs=(worker,)))
        answered: Deferred[Any] = DeferredList(asked)
        return answered.addCallback(lambda _: self._reactor.seconds())


def _told(value: Any, worker: Worker, part: str) -> None:
    worker.silent = False
    worker.report = {**(worker.report or {}), part: value}


def _silent(failure: Failure, worker: Worker) -> None:
    failure.trap(Silent, Refused)
    worker.silent = failure.check(Silent) is not None and worker.state is not State.GONE


class _Round:
    """One question to everybody at a time. Who comes while it goes round waits for the next one: its answer would be
    older than the question."""

    def __init__(self, ask: Callable[[str], Deferred[Any]], part: str) -> None:
        self._ask = ask
        self._part = part
        self._waiting: list[Deferred[None]] = []
        self._under_way = False
        #: the reactor's seconds
        self.ended_at = float("-inf")

    def join(self) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        if not self._under_way:
            self._begin()
        return waiting

    def _begin(self) -> None:
        taken, self._waiting = self._waiting, []
        self._under_way = True
        self._ask(self._part).addCallback(self._done, taken)

    def _done(self, at: float, taken: list[Deferred[None]]) -> None:
        self._under_way = False
        self.ended_at = at
        for waiting in taken:
            waiting.callback(None)
        if self._waiting and not self._under_way:
            self._begin()
