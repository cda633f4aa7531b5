"""A worker: the program as without ``--workers``, on sockets that the supervisor has bound, and under its orders."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from vegurtx.cli.options import CommandOptions
from vegurtx.cli.program import Program
from vegurtx.cli.run import run, stop
from vegurtx.listeners import ListenerSpec
from vegurtx.ops.workers.assignment import Assignment, line_of_worker, listeners_of, received_assignment
from vegurtx.ops.workers.loans import Loans
from vegurtx.ops.workers.orders import Order, Orders
from vegurtx.ops.workers.relay import log_to_supervisor
from vegurtx.ops.workers.replica_states import ReplicaStates
from vegurtx.settings import Settings

if TYPE_CHECKING:
    from vegurtx.ops.workers.reporting import Reporting

#: A terminal sends SIGINT to the supervisor, too, and that tells us; the others are the supervisor's alone.
_NOT_OURS = (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Worker:
    """A worker's service, for `run`: a `Program`, and the line to the supervisor.

    :param line: the worker's end of it.
    :param assignment: what the supervisor has told first.
    :param specs: the listeners' descriptions.
    """

    def __init__(
        self,
        program: Program,
        line: socket.socket,
        reactor: Any,
        assignment: Assignment,
        specs: Sequence[ListenerSpec],
    ) -> None:
        self._program = program
        self._line = line
        self._reactor = reactor
        self._orders: Orders | None = None
        self._reporting: Reporting | None = None
        self._states: ReplicaStates | None = None
        backlog = program.proxy.factory.settings.acceptors
        self._loans = Loans(
            program.proxy, lambda indices, taken: listeners_of(indices, taken, specs, reactor, backlog)
        )
        operations = program.operations
        if operations is not None and operations.program is not None:
            from vegurtx.ops.workers.reporting import Reporting

            self._reporting = Reporting(operations.program, assignment.number)
            self._states = ReplicaStates(operations.program, assignment.replica_states)

    def startService(self) -> None:
        """Serve, and tell the supervisor so."""
        self._program.startService()
        if self._states is not None:
            self._states.apply()
        self._orders = Orders(
            self._reactor,
            self._line,
            {
                "drain": lambda order: stop(self._reactor),
                "stop": self._stop_at_once,
                "reload": self._reload,
                "reload-files": self._reload_files,
                "reopen": self._reopen,
                "report": self._report,
                "config": self._config,
                "replica-state": self._set_replica_state,
                "lend": self._lend,
                "return": lambda order: self._loans.give_back(order.message["place"]),
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
        if self._reporting is not None:
            orders.report(self._reporting.whole())
        orders.close()
        return result

    # -- orders ----------------------------------------------------------------------------------------------------

    def _stop_at_once(self, order: Order) -> None:
        self._program.at_once()
        stop(self._reactor)

    def _reload(self, order: Order) -> None:
        self._program.reload()
        self._apply_states()

    def _reload_files(self, order: Order) -> list[str]:
        problems = self._program.reload_files()
        self._apply_states()
        return problems

    def _reopen(self, order: Order) -> None:
        if self._program.operations is not None:
            self._program.operations.reopen()

    def _apply_states(self) -> None:
        if self._states is not None:
            self._states.apply()

    def _report(self, order: Order) -> Any:
        if self._reporting is None:
            raise LookupError("nothing is counted here")
        self._apply_states()
        return self._reporting.part(order.message["part"])

    def _config(self, order: Order) -> Any:
        if self._reporting is None:
            raise LookupError("nobody has asked for an admin API")
        return self._program.operations.program.config()

    def _set_replica_state(self, order: Order) -> None:
        message = order.message
        if self._states is None:
            raise KeyError(message["service"])
        self._states.set(message["service"], message["key"], message["state"])

    def _lend(self, order: Order) -> None:
        self._loans.take(order.message["place"], order.message["listeners"], order.descriptors)


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
    wanted = log_to_supervisor(sys.stderr, take_output=assignment.take_output)
    options = CommandOptions()
    options.secret = assignment.secret
    options.parseOptions(arguments)
    options.log.levels.apply(wanted)
    options.settings = share_of(options.settings, assignment.workers)
    options.operations = options.operations.of_worker()
    from twisted.internet import reactor

    from vegurtx.cli.tap import program_of

    listeners = assignment.bind(options.listeners, reactor, options.settings.acceptors)
    program = program_of(options, listeners, reactor)
    run(Worker(program, line, reactor, assignment, options.listeners), reactor)


def share_of(settings: Settings, workers: int) -> Settings:
    """The settings of one of so many workers: bounds on the whole are divided between them, and rounded up."""
    return settings.model_copy(update={"max_connections": -(-settings.max_connections // workers)})
