"""A worker: the program as without ``--workers``, on sockets that the supervisor has bound, and under its orders."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from vegurtx.cli.options import CommandOptions
from vegurtx.cli.program import Program
from vegurtx.cli.run import run, stop
from vegurtx.ops.workers.assignment import line_of_worker, received_assignment
from vegurtx.ops.workers.orders import Orders
from vegurtx.ops.workers.relay import log_to_supervisor
from vegurtx.settings import Settings

#: A terminal sends SIGINT to the supervisor, too, and that tells us; the others are the supervisor's alone.
_NOT_OURS = (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Worker:
    """A worker's service, for `run`: a `Program`, and the line to the supervisor.

    :param line: the worker's end of it.
    """

    def __init__(self, program: Program, line: socket.socket, reactor: Any) -> None:
        self._program = program
        self._line = line
        self._reactor = reactor
        self._orders: Orders | None = None

    def startService(self) -> None:
        """Serve, and tell the supervisor so."""
        self._program.startService()
        self._orders = Orders(
            self._reactor,
            self._line,
            {
                "drain": lambda: stop(self._reactor),
                "stop": self._stop_at_once,
                "reload": self._program.reload,
            },
        )
        self._orders.ready()

    def stopService(self) -> Deferred[Any]:
        """Tell the supervisor, and drain."""
        orders = self._orders
        if orders is None:
            return self._program.stopService()
        orders.leaving()
        return self._program.stopService().addBoth(self._stopped, orders)

    def _stopped(self, result: Any, orders: Orders) -> Any:
        orders.close()
        return result

    def _stop_at_once(self) -> None:
        self._program.at_once()
        stop(self._reactor)


def work(arguments: Sequence[str]) -> None:
    """Be the worker that the supervisor wants this process to be; returns when it has ended.

    :param arguments: the options of ``python -m vegurtx``.
    :raises SystemExit: with status 1 after a line on standard error, where they cannot be followed any more.
    """
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor may hold some back just now
    line = line_of_worker()
    assert line is not None
    assignment = received_assignment(line)
    if assignment is None:
        return  # the supervisor is gone
    log_to_supervisor(sys.stderr, take_output=assignment.take_output)
    options = CommandOptions()
    options.secret = assignment.secret
    options.parseOptions(arguments)
    options.settings = share_of(options.settings, assignment.workers)
    from twisted.internet import reactor

    from vegurtx.cli.tap import program_of

    listeners = assignment.bind(options.listeners, reactor, options.settings.acceptors)
    run(Worker(program_of(options, listeners, reactor), line, reactor), reactor)


def share_of(settings: Settings, workers: int) -> Settings:
    """The settings of one of so many workers: bounds on the whole are divided between them, and rounded up."""
    return settings.model_copy(update={"max_connections": -(-settings.max_connections // workers)})
