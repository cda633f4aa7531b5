"""A worker's place: there is always one in it, or one on its way. Who dies is followed by another, with a back-off."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from twisted.logger import Logger

from vegurtx.ops.workers.backoff import Backoff
from vegurtx.ops.workers.worker import State, Worker

_log = Logger()

#: seconds; who leaves in order after a shorter life is followed with a back-off, too
SHORT_LIFE = 1.0
#: so many deaths one after the other, none of them ready before, are worth a louder word
HOPELESS = 5


class Place(Enum):
    """What becomes of a place."""

    KEPT = auto()
    GIVEN_UP = auto()


class Slot:
    """See the module's text.

    :param number: from 0 on.
    :param hire: makes and starts a worker for this place; it gets the place, and what is to be called with the worker
        when its state has changed.
    :param changed: called with this object when its worker has become ready, or anybody has gone.
    """

    def __init__(
        self,
        reactor: Any,
        number: int,
        hire: Callable[[int, Callable[[Worker], None]], Worker],
        changed: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._hire = hire
        self._changed = changed
        self._backoff = Backoff()
        self._call: Any = None
        self._place = Place.KEPT
        self.number = number
        #: who is in it; None: the next one has to wait
        self.worker: Worker | None = None
        #: who was in it, and has not gone yet
        self.leaving: set[Worker] = set()
        #: how many workers, one after the other, have ended before they were ready, or could not even be started
        self.failures = 0
        #: how many have been started
        self.starts = 0

    @property
    def ready(self) -> bool:
        """Whether its worker serves."""
        return self.worker is not None and self.worker.state is State.READY

    @property
    def empty(self) -> bool:
        """Whether nobody of it is left."""
        return self.worker is None and not self.leaving

    def fill(self) -> None:
        """Start a worker."""
        self._call = None
        self.starts += 1
        try:
            self.worker = self._hire(self.number, self._news)
        except OSError as problem:
            _log.error("worker {number} cannot be started: {problem}", number=self.number, problem=problem)
            self.failures += 1
            self._later(0.0)
            self._changed()

    def give_up(self) -> None:
        """Whoever is in it drains and ends, and nobody follows."""
        self._place = Place.GIVEN_UP
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self.worker is not None:
            self.worker.leave()

    def end_at_once(self) -> None:
        """As `give_up`, and nobody drains."""
        self.give_up()
        for worker in list(self.leaving):
            worker.leave_at_once()

    def _news(self, worker: Worker) -> None:
        state = worker.state
        if state is State.READY:
            self.failures = 0
        elif worker is self.worker:
            self.worker = None
            if state is State.LEAVING:
                self.leaving.add(worker)
            if self._place is Place.KEPT:
                self._replace(worker)
        if state is State.GONE:
            self.leaving.discard(worker)
        self._changed()

    def _replace(self, worker: Worker) -> None:
        if worker.state is State.LEAVING and worker.lived >= SHORT_LIFE:
            self.fill()  # it leaves in order; its sockets are not to wait for its last client
            return
        if worker.before is State.STARTING:
            self.failures += 1
        self._later(worker.lived)

    def _later(self, lived: float) -> None:
        delay = self._backoff.delay(lived)
        say = _log.info
        if self.failures and self.failures % HOPELESS == 0:
            say = _log.error
        text = "worker {number} is started again in {delay:.1f} s"
        if self.failures:
            text += "; {failures} in a row have ended before they were ready"
        say(text, number=self.number, delay=delay, failures=self.failures)
        self._call = self._reactor.callLater(delay, self.fill)
