"""``--workers``: the service that supervises worker processes in place of a proxy, and hears signals for them.

SIGHUP: all workers read files again. SIGUSR2: this program is replaced (see `Upgrade`). SIGTERM, SIGINT: all drain.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from vegurtx.cli.hangup import on_signal
from vegurtx.cli.misuse import misuse
from vegurtx.cli.options import Options
from vegurtx.cli.run import stop_on_signals
from vegurtx.cli.upgrade import Upgrade, hear_again
from vegurtx.ops.workers.assignment import too_many
from vegurtx.ops.workers.sockets import Unshareable, bind_shared, descriptors_of
from vegurtx.ops.workers.supervisor import Supervisor
from vegurtx.ops.workers.worker import Command


class Supervision(Service):
    """See the module's text.

    :param supervisor: not started yet.
    :param upgrade: what SIGUSR2 does.
    :param pid_file: is removed in the end; empty: there is none, or somebody else does that.
    """

    name = "vegurtx"

    def __init__(self, supervisor: Supervisor, reactor: Any, upgrade: Upgrade, pid_file: str = "") -> None:
        self.supervisor = supervisor
        self._reactor = reactor
        self._upgrade = upgrade
        self._pid_file = pid_file

    def startService(self) -> None:
        """Hear signals, and start the workers."""
        super().startService()  # type: ignore[no-untyped-call]
        reactor = self._reactor
        if not reactor.running:  # twistd starts services first; others hear the signals for us
            reactor.callWhenRunning(stop_on_signals, reactor, self.at_once)
        reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        on_signal(signal.SIGHUP, self._reactor, self.supervisor.reload)
        signal.signal(signal.SIGUSR2, lambda *_: self._reactor.callFromThread(self._upgrade.request))
        hear_again()
        if self.running:
            self.supervisor.start()

    def stopService(self) -> Deferred[Any]:
        """Let all workers drain; the Deferred fires when they have ended."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self.supervisor.stop().addCallback(self._stopped)

    def at_once(self) -> None:
        """Nobody wants to wait for the workers' clients."""
        self.supervisor.at_once()

    def _stopped(self, _: object) -> None:
        if self._pid_file:
            with contextlib.suppress(OSError):
                os.unlink(self._pid_file)


def supervision_of(options: Options, reactor: Any) -> Supervision:
    """The service for `options`, which have been parsed and ask for workers. Its sockets are bound here.

    :raises SystemExit: after a line on standard error; the options cannot be followed.
    :raises CannotListenError, CertificateError, EndpointError: as for `vegurtx.listeners.bind_all`.
    """
    workers, invocation = options.workers, options.invocation
    assert workers is not None
    before = invocation.succession
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
    if too_many(len(descriptors_of(listeners, 0, workers)[1])):
        misuse("--workers: there are too many listeners")
    supervisor = Supervisor(
        reactor,
        listeners,
        workers,
        Command(invocation.worker_words(reactor), os.environ, invocation.directory),
        secret=before.secret if before else os.urandom(32),
        hard_stop_after=options.settings.hard_stop_after,
        take_output=invocation.is_twistd,
    )
    if before is not None:
        supervisor.adopt(before.former_workers())
    return Supervision(supervisor, reactor, Upgrade(reactor, supervisor, invocation), invocation.pid_file)
