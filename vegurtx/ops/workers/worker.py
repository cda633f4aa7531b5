"""One worker, as the supervisor sees it: a process, the line to it, and how far its life has come.

    STARTING → READY → LEAVING → GONE

A worker says itself when it is ready, and when it leaves without having been told to; and with its last word, how
everything stands.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from vegurtx.ops.workers import WORKER_VARIABLE
from vegurtx.ops.workers.assignment import Assignment
from vegurtx.ops.workers.channel import Channel, Message, channel_pair
from vegurtx.ops.workers.process import Process, how_it_ended
from vegurtx.ops.workers.questions import ANSWER_LIMIT, Questions
from vegurtx.ops.workers.relay import log_line

_log = Logger()

#: seconds that a worker has beyond `hard_stop_after`, at which it cuts off its clients itself
MARGIN = 5.0
#: seconds to its first word; one that hangs while it starts would keep its place for ever
START_LIMIT = 60.0


class State(Enum):
    """How far a worker is."""

    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"  # it drains, or is to
    GONE = "gone"


class Command(NamedTuple):
    """How a worker's process is started."""

    words: Sequence[str]
    environment: Mapping[str, str]
    directory: str


class Worker:
    """See the module's text.

    :param number: of its place, from 0 on.
    :param patience: seconds that it has to leave before it is killed.
    :param news: called with this object when its state has changed; its former state is in `before`.
    """

    def __init__(self, reactor: Any, number: int, patience: float, news: Callable[[Worker], None]) -> None:
        self._reactor = reactor
        self._patience = patience
        self._news = news
        self._process: Process | None = None
        self._channel: Channel | None = None
        self._killing: Any = None
        self._questions = Questions(reactor, self._send)
        self.number = number
        self.state = State.STARTING
        self.before = State.STARTING
        self.since: float = reactor.seconds()
        #: the last that it has told of its numbers; `None`: nothing yet
        self.report: Message | None = None
        #: whether it has not answered when it was last asked for them
        self.silent = False

    def start(self, command: Command, assignment: Assignment) -> None:
        """Start its process.

        :raises OSError: that cannot be done.
        """
        ours, theirs = channel_pair()
        try:
            environment = {**command.environment, WORKER_VARIABLE: str(theirs.fileno())}
            self._process = Process.start(
                self._reactor,
                command.words,
                self._said,
                self._ended,
                environment=environment,
                directory=command.directory,
                descriptors=(theirs.fileno(),),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._channel = Channel(self._reactor, ours, self._received, self._line_ended)
        self._channel.send(assignment.message(), assignment.descriptors)
        self._kill_later(START_LIMIT)

    def adopt(self, pid: int, line: socket.socket, errors: int, state: State) -> None:
        """It runs already: this process had another program before."""
        self.state = self.before = state
        self._process = Process(self._reactor, pid, errors, self._said, self._ended)
        self._channel = Channel(self._reactor, line, self._received, self._line_ended)
        if state is State.LEAVING:
            self._kill_later(self._patience)

    # -- what is known of it ---------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Its process; 0 where there was none."""
        return 0 if self._process is None else self._process.pid

    @property
    def descriptors(self) -> tuple[int, int] | None:
        """The line to it and its standard error, as `adopt` takes them; None where one of them has ended."""
        process, channel = self._process, self._channel
        if process is None or channel is None or process.errors < 0 or channel.fileno() < 0:
            return None
        return channel.fileno(), process.errors

    @property
    def lived(self) -> float:
        """Seconds since it was started."""
        return float(self._reactor.seconds() - self.since)

    # -- orders ----------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Drain, and end. One that is not ready yet serves nobody: it ends at once."""
        if self.state is State.STARTING:
            self._signal(signal.SIGKILL)
        elif self.state is State.READY:
            self.tell("drain")
            self._kill_later(self._patience)
        self._becomes(State.LEAVING)

    def leave_at_once(self) -> None:
        """End, whoever is being served."""
        self.leave()
        self.tell("stop")
        self._kill_later(MARGIN)

    def tell(self, order: str, descriptors: Sequence[int] = (), /, **more: Any) -> bool:
        """Give an order, and copies of `descriptors` with it. One that is not ready yet follows it when it is.

        :returns: whether it is on its way.
        """
        return self._send({"order": order, **more}, descriptors)

    def ask(self, order: str, limit: float = ANSWER_LIMIT, /, **more: Any) -> Deferred[Any]:
        """Give an order that has an answer.

        :param limit: seconds that it may take.
        :returns: fires with the answer. Fails with `Silent` or `Refused` (see `vegurtx.ops.workers.questions`).
        """
        return self._questions.ask({"order": order, **more}, limit)

    def _send(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        return self._channel is not None and self._channel.send(message, descriptors)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.signal(number)

    def _kill_later(self, seconds: float) -> None:
        if self._killing is not None:
            self._killing.cancel()
        self._killing = self._reactor.callLater(seconds, self._kill)

    def _kill(self) -> None:
        self._killing = None
        what = "has not become ready in time" if self.state is State.STARTING else "does not end"
        _log.error(
            "worker {number} (process {pid}) {what}: killed", number=self.number, pid=self.pid, what=what
        )
        self._signal(signal.SIGKILL)

    def _let_live(self) -> None:
        if self._killing is not None:
            self._killing.cancel()
            self._killing = None

    # -- what it says ------------------------------------------------------------------------------------------------

    def _received(self, message: Message, descriptors: list[int]) -> None:
        news = message.get("news")
        if news == "answer":
            self._questions.answered(message)
        elif news == "report":
            self.report = message.get("value")
        elif news == "ready" and self.state is State.STARTING:
            self._let_live()
            self._becomes(State.READY)
        elif news == "leaving" and self.state is not State.LEAVING:
            self._kill_later(self._patience)
            self._becomes(State.LEAVING)

    def _said(self, line: bytes) -> None:
        log_line(self.number, line)

    def _line_ended(self) -> None:
        """It ends, or has closed what it must not: it cannot be told anything any more."""
        self._questions.end()
        if self._process is not None and self._process.alive and self._killing is None:
            self._kill_later(MARGIN)

    def _ended(self, status: int) -> None:
        if self._channel is not None:  # its last words may be there still
            self._channel.read_rest()
            self._channel.close()
        self._questions.end()
        asked = self.state is State.LEAVING
        say = _log.info if asked and status in (0, -signal.SIGTERM) else _log.warn
        say(
            "worker {number} (process {pid}) has ended {how}",
            number=self.number,
            pid=self.pid,
            how=how_it_ended(status),
        )
        self._let_live()
        self._becomes(State.GONE)

    def _becomes(self, state: State) -> None:
        if state is not self.state:
            self.before, self.state = self.state, state
            self._news(self)

    def __repr__(self) -> str:
        return f"<worker {self.number} {self.state.value} process {self.pid}>"
