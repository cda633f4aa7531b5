"""The supervisor: it holds the listening sockets and keeps so many workers alive that serve them.

    start → all places filled → all ready ("listening") → … → stop: all drain, then nothing is left

It is told of signals by whoever runs it; it knows none itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from vegurtx.ops.workers.assignment import Assignment
from vegurtx.ops.workers.channel import Message
from vegurtx.ops.workers.lending import FAILURES, Lending
from vegurtx.ops.workers.slot import Slot
from vegurtx.ops.workers.sockets import SharedListener, descriptors_of
from vegurtx.ops.workers.worker import MARGIN, Command, State, Worker

_log = Logger()


class Supervisor:
    """See the module's text.

    :param listeners: bound; they are the supervisor's from now on.
    :param workers: how many.
    :param command: starts a worker.
    :param secret: what all workers sign sticky cookies with.
    :param hard_stop_after: seconds that a worker has for its clients when it is to end.
    :param take_output: whether what a worker prints is logged.
    """

    def __init__(
        self,
        reactor: Any,
        listeners: Sequence[SharedListener],
        workers: int,
        command: Command,
        *,
        secret: bytes,
        hard_stop_after: float,
        take_output: bool = False,
    ) -> None:
        self._reactor = reactor
        self._command = command
        self._patience = hard_stop_after + MARGIN
        self._take_output = take_output
        self._ended: Deferred[None] | None = None
        self._waiting: list[Callable[[], None]] = []
        self._unsettled: list[Callable[[], None]] = []
        self.listeners = listeners
        self.secret = secret
        #: ``(service, replica's key) → state``, as an operator has set them; without those that are ready
        self.replica_states: dict[tuple[str, str], str] = {}
        #: told of each worker that has gone
        self.has_gone: Callable[[Worker], object] = lambda worker: None
        self._lending = Lending(listeners, workers)
        self.slots = [Slot(reactor, number, self._hire, self._changed) for number in range(workers)]
        #: workers of the program that this process had before; they serve until the new ones do
        self.former: list[Worker] = []

    # -- its life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the workers. Once all of them are ready, log ``vegurtx listening on HOST:PORT`` for each listener."""
        self.when_ready(self._all_listen)
        for slot in self.slots:
            slot.fill()

    def _all_listen(self) -> None:
        for listener in self.listeners:
            label = listener.spec.label
            text = f"vegurtx listening on {listener.address}{'' if label == 'http' else f' ({label})'}"
            _log.info(text.replace("{", "{{").replace("}", "}}"))
        pids = ", ".join(str(slot.worker.pid) for slot in self.slots if slot.worker is not None)
        _log.info("{count} workers serve: processes {pids}", count=len(self.slots), pids=pids)
        for worker in list(self.former):
            worker.leave()

    def stop(self) -> Deferred[None]:
        """Let all workers drain. Nobody listens any more, and nobody is started. Fires when all of them have ended."""
        if self._ended is None:
            self._ended = Deferred()
            self._waiting.clear()
            self._unsettled.clear()
            for slot in self.slots:
                slot.give_up()
            for worker in list(self.former):
                worker.leave()
            for listener in self.listeners:
                listener.close()
            self._look_whether_ended()
        return self._ended

    def at_once(self) -> None:
        """As `stop`, but no client is waited for."""
        self.stop()
        for slot in self.slots:
            slot.end_at_once()
        for worker in list(self.former):
            worker.leave_at_once()

    def tell(self, order: str, **more: Any) -> None:
        """Give all workers an order; those who start follow it when they are ready."""
        for worker in self.workers:
            worker.tell(order, **more)

    # -- what is known -----------------------------------------------------------------------------------------------

    @property
    def workers(self) -> list[Worker]:
        """All that have not gone."""
        present = [*self.former]
        for slot in self.slots:
            present += [slot.worker] if slot.worker is not None else []
            present += slot.leaving
        return present

    @property
    def ready(self) -> bool:
        """Whether there is a worker in each place that serves, and none of a former program that does."""
        return all(slot.ready for slot in self.slots) and not any(
            worker.state is State.READY for worker in self.former
        )

    @property
    def serves(self) -> bool:
        """Whether there is anybody who serves."""
        return any(worker.state is State.READY for worker in self.workers)

    def restarts(self, worker: Worker) -> int:
        """How many have been started in the place of `worker`, but for the first; 0 for a former program's."""
        return 0 if worker in self.former else self.slots[worker.number].starts - 1

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._ended is not None

    def when_ready(self, function: Callable[[], None]) -> None:
        """Call `function` once all places have workers that serve; never, where it is stopped before."""
        self._waiting.append(function)
        self._changed()

    def when_settled(self, function: Callable[[], None]) -> None:
        """As `when_ready`; places whose workers end again and again before they are ready are not waited for."""
        self._unsettled.append(function)
        self._changed()

    # -- behind it ---------------------------------------------------------------------------------------------------

    def adopt(
        self,
        workers: Iterable[tuple[int, int, int, int, State]],
        reports: Mapping[int, Message | None] | None = None,
    ) -> None:
        """Workers of the program that this process had before.

        :param workers: of each its number, its process, the line to it, its standard error, and its state.
        :param reports: by their processes, what they have told last.
        """
        for number, pid, line, errors, state in workers:
            worker = Worker(self._reactor, number, self._patience, self._former_changed)
            self.former.append(worker)
            worker.report = (reports or {}).get(pid)
            worker.adopt(pid, socket.socket(fileno=line), errors, state)

    def _hire(self, number: int, news: Callable[[Worker], None]) -> Worker:
        indices, descriptors = descriptors_of(self.listeners, number, len(self.slots))
        states = [[*replica, state] for replica, state in self.replica_states.items()]
        assignment = Assignment(
            number, len(self.slots), self.secret, self._take_output, indices, descriptors, states
        )

        def told(worker: Worker) -> None:
            if worker.state is State.GONE:
                self.has_gone(worker)
            news(worker)

        worker = Worker(self._reactor, number, self._patience, told)
        worker.start(self._command, assignment)
        return worker

    def _former_changed(self, worker: Worker) -> None:
        if worker.state is State.GONE:
            self.former.remove(worker)
            self.has_gone(worker)
        self._changed()

    def _changed(self) -> None:
        if self._ended is not None:
            self._look_whether_ended()
            return
        self._lending.look(self.slots)
        if self._waiting and all(slot.ready for slot in self.slots):
            waiting, self._waiting = self._waiting, []
            for function in waiting:
                function()
        if self._unsettled and all(slot.ready or slot.failures >= FAILURES for slot in self.slots):
            waiting, self._unsettled = self._unsettled, []
            for function in waiting:
                function()

    def _look_whether_ended(self) -> None:
        ended = self._ended
        if ended is not None and not ended.called and not self.workers:
            ended.callback(None)
