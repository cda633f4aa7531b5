"""``--workers``: the service that supervises worker processes in place of a proxy, and hears signals for them.

SIGHUP: all workers read files again. SIGUSR1: all open their logs again. SIGUSR2: this program is replaced (see
`Upgrade`). SIGTERM, SIGINT: all drain. With ``--admin-port`` the admin API is here, and speaks for all workers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from vegurtx.cli.hangup import hear_again, on_signal
from vegurtx.cli.misuse import misuse
from vegurtx.cli.ops_options import admin_service, bind_admin_of
from vegurtx.cli.options import Options
from vegurtx.cli.run import stop, stop_on_signals
from vegurtx.cli.upgrade import Upgrade
from vegurtx.ops.workers.assignment import too_many
from vegurtx.ops.workers.sockets import SharedListener, Unshareable, bind_shared, descriptors_of
from vegurtx.ops.workers.succession import Succession
from vegurtx.ops.workers.supervisor import Supervisor
from vegurtx.ops.workers.worker import Command

if TYPE_CHECKING:
    from vegurtx.ops.admin import Bound
    from vegurtx.ops.workers.ended import Ended


class Administration:
    """The admin API of the whole program.

    :param options: what was asked for.
    :param bound: its socket.
    :param ended: what workers that have gone have counted.
    """

    def __init__(
        self, supervisor: Supervisor, options: Options, bound: Bound, ended: Ended, reactor: Any
    ) -> None:
        from vegurtx.ops.admin.whole import WholeProgram
        from vegurtx.ops.workers.reports import Reports

        self.bound = bound
        self._key = options.operations.admin_key
        self._reports = Reports(reactor, lambda: supervisor.workers, ended)
        supervisor.has_gone = self._reports.has_gone
        program = WholeProgram(
            supervisor,
            self._reports,
            reactor,
            settings=options.settings,
            drain=lambda: stop(reactor),
            wall=time.time,
        )
        self._service = admin_service(program, options.operations, bound, reactor)

    def start(self) -> None:
        """Serve, and ask the workers now and then."""
        self._reports.start()
        self._service.startService()

    def stop(self) -> Deferred[Any]:
        """End it."""
        self._reports.stop()
        return self._service.stopService()

    def rest(self) -> Deferred[None]:
        """Answer who has asked, and take no more clients until `resume`."""
        return self._service.rest()

    def resume(self) -> None:
        """Take clients again."""
        self._service.resume()

    def leave(self, state: Succession) -> None:
        """The next program of this process gets the socket, and the counts."""
        state.admin = self._key, self.bound.sock.fileno(), self.bound.path
        state.ended = self._reports.ended.message()


class Supervision(Service):
    """See the module's text.

    :param supervisor: not started yet.
    :param upgrade: what SIGUSR2 does.
    :param pid_file: is removed in the end; empty: there is none, or somebody else does that.
    :param administration: the admin API; `None`: there is none.
    :param logs: whether workers have logs that can be opened again.
    """

    name = "vegurtx"

    def __init__(
        self,
        supervisor: Supervisor,
        reactor: Any,
        upgrade: Upgrade,
        pid_file: str = "",
        administration: Administration | None = None,
        logs: bool = False,
    ) -> None:
        self.supervisor = supervisor
        self._reactor = reactor
        self._upgrade = upgrade
        self._pid_file = pid_file
        self._administration = administration
        self._logs = logs

    def startService(self) -> None:
        """Hear signals, and start the workers."""
        super().startService()  # type: ignore[no-untyped-call]
        reactor = self._reactor
        if not reactor.running:  # twistd starts services first; others hear the signals for us
            reactor.callWhenRunning(stop_on_signals, reactor, self.at_once)
        reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        reactor, supervisor = self._reactor, self.supervisor
        on_signal(signal.SIGHUP, reactor, lambda: supervisor.tell("reload"))
        if self._logs or signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:  # else twistd's, for its own log
            on_signal(signal.SIGUSR1, reactor, lambda: supervisor.tell("reopen"))
        on_signal(signal.SIGUSR2, reactor, self._upgrade.request)
        hear_again()
        if self.running:
            supervisor.start()
            if self._administration is not None:
                self._administration.start()

    def stopService(self) -> Deferred[Any]:
        """Let all workers drain; the Deferred fires when they have ended."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self.supervisor.stop().addCallback(self._stopped)

    def at_once(self) -> None:
        """Nobody wants to wait for the workers' clients."""
        self.supervisor.at_once()

    def _stopped(self, _: object) -> Any:
        if self._pid_file:
            with contextlib.suppress(OSError):
                os.unlink(self._pid_file)
        return None if self._administration is None else self._administration.stop()


def supervision_of(options: Options, reactor: Any) -> Supervision:
    """The service for `options`, which have been parsed and ask for workers. Its sockets are bound here.

    :raises SystemExit: after a line on standard error; the options cannot be followed.
    :raises CannotListenError, CertificateError, EndpointError: as for `vegurtx.listeners.bind_all`.
    """
    workers = options.workers
    assert workers is not None
    before = options.invocation.succession
    try:
        listeners = bind_shared(
            options.listeners,
            reactor,
            backlog=options.settings.acceptors,
            workers=workers,
            inherited=before.listeners_for(options.listeners) if before is not None else None,
        )
    except Unshareable as problem:
        misuse(str(problem))
    try:
        if too_many(len(descriptors_of(listeners, 0, workers)[1])):
            misuse("--workers: there are too many listeners")
        return _supervision(options, listeners, workers, reactor)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise


def _supervision(
    options: Options, listeners: list[SharedListener], workers: int, reactor: Any
) -> Supervision:
    invocation = options.invocation
    before = invocation.succession
    supervisor = Supervisor(
        reactor,
        listeners,
        workers,
        Command(invocation.worker_words(reactor), os.environ, invocation.directory),
        secret=before.secret if before else os.urandom(32),
        hard_stop_after=options.settings.hard_stop_after,
        take_output=invocation.is_twistd,
    )
    administration = _administration(options, supervisor, before, reactor)
    if before is not None:
        supervisor.replica_states = {(service, key): state for service, key, state in before.replica_states}
        supervisor.adopt(before.former_workers(), before.last_reports())
    return Supervision(
        supervisor,
        reactor,
        Upgrade(reactor, supervisor, invocation, administration),
        invocation.pid_file,
        administration,
        options.operations.log_path is not None,
    )


def _administration(
    options: Options, supervisor: Supervisor, before: Succession | None, reactor: Any
) -> Administration | None:
    """The admin API, where it is asked for; on the socket that a former program had, where it is at the same place."""
    spec = options.operations
    inherited = before.admin_socket(spec.admin_key) if before is not None else None
    if not spec.administered:
        return None
    from vegurtx.ops.admin import Bound
    from vegurtx.ops.workers.ended import Ended

    bound = bind_admin_of(spec) if inherited is None else Bound(*inherited)
    ended = Ended() if before is None or before.ended is None else Ended.of(before.ended)
    return Administration(supervisor, options, bound, ended, reactor)
