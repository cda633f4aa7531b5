"""SIGUSR2: the program itself is replaced, and no client notices.

    checked (in a child) → this process executes it: same process number, same sockets, workers go on
                         → it starts workers of its own → they are ready → the former ones drain

Where the new program does not pass the check, everything stays as it is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from twisted.logger import Logger

from vegurtx.cli.hangup import IN_BETWEEN, hear_again, hold_back
from vegurtx.cli.invocation import CHECK_VARIABLE, Invocation
from vegurtx.ops.workers.process import Process, how_it_ended
from vegurtx.ops.workers.succession import VERSION, Succession
from vegurtx.ops.workers.supervisor import Supervisor

_log = Logger()

#: seconds that the check may take
CHECK_LIMIT = 60.0
#: seconds in which signals that were heard by this program are followed
_SETTLING = 0.05
#: lines of what the check says that are logged
_WORDS = 20


class Upgrade:
    """See the module's text.

    :param supervisor: what is handed on.
    :param invocation: the command, which is run again.
    :param estate: what else there is to be handed on; `None`: nothing. Its ``rest()`` returns a Deferred that fires
        when it can be, ``leave(succession)`` adds it, and ``resume()`` goes on where all was in vain.
    """

    def __init__(
        self,
        reactor: Any,
        supervisor: Supervisor,
        invocation: Invocation,
        estate: Any = None,
    ) -> None:
        self._reactor = reactor
        self._supervisor = supervisor
        self._invocation = invocation
        self._estate = estate
        self._check: Process | None = None
        self._limit: Any = None
        self._said: list[str] = []
        self._waiting = False

    def request(self) -> None:
        """Replace the program, as soon as the workers are ready, or do not come up: that may be what the new program is
        for. Asked while it is under way, it is done once.
        """
        if self._waiting or self._check is not None or self._supervisor.stopping:
            return
        if self._invocation.is_twistd and self._invocation.twistd["chroot"]:
            _log.error("SIGUSR2: not with --chroot; the running program stays")
            return
        self._waiting = True
        self._supervisor.when_settled(self._begin_check)

    def _begin_check(self) -> None:
        self._waiting = False
        _log.info("SIGUSR2: checking the program that is to follow")
        self._said = []
        try:
            self._check = Process.start(
                self._reactor,
                self._invocation.program,
                self._hear,
                self._checked,
                environment={**os.environ, CHECK_VARIABLE: str(VERSION)},
                directory=self._invocation.directory,
                output=subprocess.DEVNULL,
            )
        except OSError as problem:
            self._refuse(str(problem))
            return
        self._limit = self._reactor.callLater(CHECK_LIMIT, self._check.signal, signal.SIGKILL)

    def _hear(self, line: bytes) -> None:
        if len(self._said) < _WORDS:
            self._said.append(ascii(line.decode("utf-8", "replace"))[1:-1])

    def _checked(self, status: int) -> None:
        self._check = None
        if self._limit.active():
            self._limit.cancel()
        if self._supervisor.stopping:
            return
        if status:
            self._refuse("; ".join(self._said) or f"it ended {how_it_ended(status)}")
        else:
            _log.info("SIGUSR2: replacing the program")
            self._waiting = True
            hold_back(IN_BETWEEN)
            # What has been heard before is done first: it would be lost with this program.
            self._reactor.callLater(_SETTLING, self._settle)

    def _refuse(self, why: str) -> None:
        _log.error("SIGUSR2: the running program stays, the new one cannot follow: {why}", why=why)

    def _settle(self) -> None:
        if self._estate is None:
            self._replace()
        else:
            self._estate.rest().addCallback(lambda _: self._replace())

    def _replace(self) -> None:
        self._waiting = False
        if self._supervisor.stopping:
            self._go_on()
            return
        invocation = self._invocation
        pid_file = invocation.present_pid_file()
        state = Succession.of(self._supervisor, pid_file)
        if self._estate is not None:
            self._estate.leave(state)
        here = os.getcwd()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            os.chdir(invocation.directory)
            os.execve(invocation.program[0], invocation.program, {**os.environ, **state.leave()})
        except OSError as problem:
            state.keep()
            os.chdir(here)
            self._go_on()
            self._refuse(str(problem))

    def _go_on(self) -> None:
        """This program stays."""
        if self._estate is not None:
            self._estate.resume()
        hear_again()
