"""How this program was started, so that it can start workers of its own kind, and itself again (SIGUSR2)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.application.reactors import getReactorTypes
from twisted.python import usage

from vegurtx.listeners import ListenerSpec, bind
from vegurtx.net.certificates import CertificateError
from vegurtx.net.endpoint_strings import EndpointError
from vegurtx.net.endpoints import runs_on_uvloop
from vegurtx.ops.workers.succession import VERSION, Succession, succession

#: the variable that asks a program whether it could follow another one, whose `VERSION` is its value
CHECK_VARIABLE = "VEGURTX_CHECK"
MOST_WORKERS = 512


def worker_count(text: str | None) -> int | None:
    """The value of ``--workers`` as a number; None where it was not given.

    :raises usage.UsageError: it is none.
    """
    if text is None:
        return None
    if not sys.platform.startswith("linux"):
        raise usage.UsageError("--workers needs Linux")
    if text == "auto":
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_WORKERS):
        raise usage.UsageError(
            f"--workers: {text!r} is not allowed; it must be a whole number from 1 to {MOST_WORKERS}, or auto"
        )
    return int(text)


@dataclass
class Invocation:
    """See the module's text.

    :param program: the words of the whole command; the first one is Python.
    :param arguments: our own options among them.
    :param directory: where it was started.
    :param twistd: the options of twistd, or of twist, whose plugin we are; None: ``python -m vegurtx``.
    """

    program: list[str]
    arguments: list[str]
    directory: str
    twistd: Any = None
    #: what a former program of this process has left
    succession: Succession | None = None

    @classmethod
    def of_this_process(cls, arguments: Sequence[str], twistd: Any) -> Invocation:
        """How this process was started; `arguments` are our own."""
        return cls([sys.executable, *sys.orig_argv[1:]], list(arguments), _directory(), twistd)

    def prepare(self, specs: Sequence[ListenerSpec]) -> None:
        """All options are good: take over what a former program has left. Where only a check was asked for, end.

        :raises usage.UsageError: this program cannot follow the one that asks.
        :raises SystemExit: with status 0; it could.
        """
        asking = os.environ.pop(CHECK_VARIABLE, None)
        if asking is not None:
            self._check(asking, specs)
            raise SystemExit(0)
        self.succession = succession()
        if self.succession is not None and self.is_twistd:
            self._settle(self.twistd)

    def worker_words(self, reactor: Any) -> list[str]:
        """The command of a worker, which runs on a reactor like `reactor`."""
        # What multiprocessing does for its own children: -I, -O, -W, -X and the like.
        flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        words = [sys.executable, *flags, "-m", "vegurtx", *self.arguments]
        if self.twistd is None or runs_on_uvloop(reactor):
            return words
        module = type(reactor).__module__
        names = [kind.shortName for kind in getReactorTypes() if getattr(kind, "moduleName", "") == module]
        return [*words, *(["--reactor", names[0]] if names else [])]

    # -- under twistd ----------------------------------------------------------------------------------------------

    @property
    def is_twistd(self) -> bool:
        """Whether twistd runs it, with its daemon, its pid file and its log file."""
        return self.twistd is not None and "nodaemon" in self.twistd

    @property
    def pid_file(self) -> str:
        """The pid file that the last program of this process has to remove: not twistd, which knows nothing of the
        programs that were there before."""
        return "" if self.succession is None else self.succession.pid_file

    def present_pid_file(self) -> str:
        """The pid file that names this process; empty: there is none."""
        if self.pid_file or not self.is_twistd or not self.twistd["pidfile"]:
            return self.pid_file
        return os.path.abspath(str(self.twistd["pidfile"]))

    def _settle(self, twistd: Any) -> None:
        """This process is a daemon already, with its pid file and without its privileges, or none of it is wanted."""
        if not twistd["nodaemon"] and not twistd["logfile"]:
            twistd["logfile"] = "twistd.log"  # twistd's own default for a daemon
        twistd["nodaemon"] = True
        twistd["pidfile"] = ""
        twistd["uid"] = twistd["gid"] = None

    def _check(self, asking: str, specs: Sequence[ListenerSpec]) -> None:
        if asking != str(VERSION):
            raise usage.UsageError("--workers: this version cannot follow the running one; start it anew")
        for spec in specs:
            # The running program has the address. All the rest is as when the new one takes the sockets over.
            with socket.socket() as stand_in:
                try:
                    bind(spec, None, sock=stand_in)
                except CertificateError as problem:
                    raise usage.UsageError(str(problem)) from None
                except EndpointError as problem:
                    raise usage.UsageError(f"--listen: {problem}") from None
        log = self.twistd["logfile"] if self.is_twistd else None
        if log and log != "-" and os.path.exists(log) and not os.access(log, os.W_OK):
            raise usage.UsageError(f"--logfile: {log} cannot be written to")


def _directory() -> str:
    """The present directory, by the name that the user's shell has for it: a link may lead elsewhere one day."""
    here = os.getcwd()
    name = os.environ.get("PWD", "")
    try:
        return name if os.path.isabs(name) and os.path.samefile(name, here) else here
    except OSError:
        return here
