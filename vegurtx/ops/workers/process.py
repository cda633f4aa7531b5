"""A child process: started, heard, and waited for. Nothing here forks in Python, and no signal is needed.

Its end is seen through a descriptor (pidfd_open(2)), since uvloop keeps SIGCHLD from Twisted; where the kernel has
none, by looking now and then. What it writes on standard error comes here line by line, to the last one, before its end
does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vegurtx.ops.workers.watch import Watch

#: bytes of a line; a longer one comes in parts
LINE_LIMIT = 65536
#: seconds between two looks, where the kernel does not tell
_LOOK = 0.1


class Process:
    """A child.

    :param pid: of a child of this process.
    :param errors: the reading end of the pipe that is its standard error.
    :param line: called with each line that it writes there, without the line end.
    :param ended: called once with how it ended (see `how_it_ended`).
    """

    def __init__(
        self,
        reactor: Any,
        pid: int,
        errors: int,
        line: Callable[[bytes], None],
        ended: Callable[[int], None],
        popen: subprocess.Popen[bytes] | None = None,
    ) -> None:
        self._reactor = reactor
        self.pid = pid
        self._popen = popen
        self._line = line
        self._ended = ended
        self._part = b""
        self._call: Any = None
        self._death: Watch | None = None
        self._alive = True
        os.set_blocking(errors, False)
        #: the pipe's descriptor; -1 when it is closed
        self.errors = errors
        self._reading: Watch | None = Watch(reactor, errors, self._read)
        try:
            self._descriptor = os.pidfd_open(pid)
        except OSError:
            self._descriptor = -1
            self._call = reactor.callLater(_LOOK, self._look)
        else:
            self._death = Watch(reactor, self._descriptor, self._look)

    @classmethod
    def start(
        cls,
        reactor: Any,
        command: Sequence[str],
        line: Callable[[bytes], None],
        ended: Callable[[int], None],
        *,
        environment: Mapping[str, str],
        directory: str,
        descriptors: Sequence[int] = (),
        output: int | None = None,
    ) -> Process:
        """Run `command`.

        :param descriptors: those that it inherits, under the same numbers.
        :param output: its standard output; None: ours.
        :raises OSError: it cannot be started.
        """
        reading, writing = os.pipe()
        try:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=writing,
                env=environment,
                cwd=directory,
                pass_fds=descriptors,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return cls(reactor, popen.pid, reading, line, ended, popen)

    @property
    def alive(self) -> bool:
        """Whether its end has not been seen yet."""
        return self._alive

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self._alive:  # until it has been waited for, the number is its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    # -- what it writes -------------------------------------------------------------------------------------------

    def _read(self) -> None:
        while self._reading is not None:
            try:
                data = os.read(self.errors, LINE_LIMIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._stop_reading()
                return
            *lines, part = (self._part + data).split(b"\n")
            while len(part) > LINE_LIMIT:
                lines.append(part[:LINE_LIMIT])
                part = part[LINE_LIMIT:]
            self._part = part
            for each in lines:
                self._line(each)

    def _stop_reading(self) -> None:
        if self._reading is None:
            return
        self._reading.stop()
        self._reading = None
        os.close(self.errors)
        self.errors = -1
        part, self._part = self._part, b""
        if part:
            self._line(part)

    # -- its end --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._call = None
        status = self._status()
        if status is None:
            if self._death is None:
                self._call = self._reactor.callLater(_LOOK, self._look)
            return
        self._alive = False
        if self._death is not None:
            self._death.stop()
            self._death = None
            os.close(self._descriptor)
        self._read()
        self._stop_reading()  # a grandchild may hold the pipe open for longer
        self._ended(status)

    def _status(self) -> int | None:
        if self._popen is not None:
            return self._popen.poll()
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return 0  # somebody else has waited for it
        return os.waitstatus_to_exitcode(status) if pid else None


def how_it_ended(status: int) -> str:
    """An exit status in words: ``with status 1``, ``by SIGKILL``.

    :param status: negative: the signal that ended it.
    """
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"
