"""The log's file: opened to append, written whole lines at a time, opened anew where log rotation asks for it.

Used by the writer's thread alone, so it may block. Several processes may have the same file open: each write appends.
"""

from __future__ import annotations

import errno
import os
import select
import stat

#: what POSIX promises to go into a pipe in one piece is 512; Linux has this
_PIPE_BUF = select.PIPE_BUF
STANDARD_OUTPUT = "-"


class LogFile:
    """A file that lines are appended to.

    A file that somebody has removed is made anew, and a named pipe is opened when somebody reads from it; each `append`
    looks.

    :param path: made where it is not there, for its owner and group to read (0640); ``"-"`` is standard output.
    :raises OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        #: bytes of the last `append` that were written
        self.written = 0
        self._torn = False  # the last write ended in the middle of a line
        #: -1: a named pipe that nobody reads from
        self._descriptor = self._opened()
        self._pipe = self._regular = False
        self._look()

    def _opened(self) -> int:
        if self.path == STANDARD_OUTPUT:
            return os.dup(1)  # not sys.stdout: twistd puts its log there
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        try:
            # Not to block: a named pipe's first reader may come tomorrow.
            return os.open(self.path, flags | os.O_NONBLOCK, 0o640)
        except OSError as problem:
            if problem.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(self.path).st_mode):
                return -1
            raise

    def _look(self) -> None:
        """See what kind of a file it is."""
        mode = stat.S_IFIFO if self._descriptor < 0 else os.fstat(self._descriptor).st_mode
        self._pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self._regular = stat.S_ISREG(mode)

    def reopen(self) -> None:
        """Open the path again; what was open is closed.

        :raises OSError: it cannot be opened; then the file that was open stays.
        """
        if self.path == STANDARD_OUTPUT:
            return
        before = self._descriptor
        self._descriptor = self._opened()
        self._torn = False
        self._look()
        if before >= 0:
            os.close(before)

    def _make_sure(self) -> None:
        """What is open can be read by somebody.

        :raises OSError: it cannot.
        """
        if self._descriptor < 0 or (self._regular and not os.fstat(self._descriptor).st_nlink):
            self.reopen()
            if self._descriptor < 0:
                raise OSError(errno.ENXIO, "Nobody reads from the pipe")

    def append(self, data: bytes) -> None:
        """Append `data`, which is whole lines.

        :raises OSError: not all of it could be written; `written` says how much was.
        """
        self.written = 0
        self._make_sure()
        if self._torn:  # what is there of a line shall not join the next one
            os.write(self._descriptor, b"\n")
            self._torn = False
        end = len(data)
        while self.written < end:
            begin = self.written
            # of a pipe's other writers no line may come in between ours
            stop = _line_end(data, begin) if self._pipe else end
            try:
                self.written += os.write(self._descriptor, data[begin:stop] if begin or stop < end else data)
            except BlockingIOError:
                self._wait()
            finally:
                self._torn = self.written > 0 and data[self.written - 1] != 10

    def _wait(self) -> None:
        ready = select.poll()
        ready.register(self._descriptor, select.POLLOUT)
        ready.poll()

    def close(self) -> None:
        """Close it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _line_end(data: bytes, begin: int) -> int:
    """Where the last line ends that goes into a pipe in one piece; of a longer one, its own end."""
    end = data.rfind(b"\n", begin, begin + _PIPE_BUF) + 1
    if end <= begin:
        end = data.find(b"\n", begin) + 1
    return end or len(data)
