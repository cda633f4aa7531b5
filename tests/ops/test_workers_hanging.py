"""A worker that hangs, with a process that is never there, on a clock that is turned by hand."""

from __future__ import annotations

import signal
import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.ops.workers import worker as module
from vegurtx.ops.workers.worker import START_LIMIT, Command, State, Worker


class NoProcess:
    """Stands for one; keeps the signals that it is sent."""

    alive = True
    pid = 4242
    errors = 2

    def __init__(self) -> None:
        self.signals: list[int] = []

    def signal(self, number: int) -> None:
        """Sent to it."""
        self.signals.append(number)


class NoChannel:
    """The line, which nobody reads."""

    def __init__(self, reactor: Any, sock: socket.socket, received: Any, lost: Any) -> None:
        sock.close()

    def send(self, message: Any, descriptors: Any = ()) -> bool:
        """On its way."""
        return True


class NoAssignment:
    """Nothing to do."""

    descriptors = ()

    def message(self) -> dict[str, Any]:
        """Empty."""
        return {}


class Hanging(SynchronousTestCase):
    """It is not waited for for ever."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.process = NoProcess()
        self.patch(module, "Channel", NoChannel)
        self.patch(module.Process, "start", lambda *_, **__: self.process)
        self.worker = Worker(self.clock, 0, 35.0, lambda _: None)
        assignment: Any = NoAssignment()
        self.worker.start(Command(["program"], {}, "/"), assignment)

    def test_at_the_start(self) -> None:
        """Killed, after a time in which every program starts; that counts as a start that failed."""
        self.clock.advance(START_LIMIT - 0.1)
        self.assertEqual(self.process.signals, [])
        self.clock.advance(0.1)
        self.assertEqual(self.process.signals, [signal.SIGKILL])
        self.assertIs(self.worker.state, State.STARTING)

    def test_ready_in_time(self) -> None:
        """It lives."""
        self.clock.advance(START_LIMIT - 0.1)
        self.worker._received({"news": "ready"}, [])
        self.clock.advance(10 * START_LIMIT)
        self.assertEqual(self.process.signals, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_at_the_end(self) -> None:
        """Killed when its patience is over."""
        self.worker._received({"news": "ready"}, [])
        self.worker.leave()
        self.clock.advance(34.9)
        self.assertEqual(self.process.signals, [])
        self.clock.advance(0.1)
        self.assertEqual(self.process.signals, [signal.SIGKILL])
