"""The log's file: opened to append, written whole lines at a time, opened anew where log rotation asks for it.

Used by the writer's thread alone, so it may block. Several processes may have the same file open: each write appends.
"""

from __future__ import annotations

import os
import select
import stat

#: what POSIX promises to go into a pipe in one piece is 512; Linux has this
_PIPE_BUF = select.PIPE_BUF
STANDARD_OUTPUT = "-"


class LogFile:
    """A file that lines are appended to.

    :param path: made where it is not there, for its owner and group to read (0640); ``"-"`` is standard output.
    :raises OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        #: bytes of the last `append` that were written
        self.written = 0
        self._torn = False  # the last write ended in the middle of a line
        self._descriptor, self._pipe = self._opened()

    def _opened(self) -> tuple[int, bool]:
        if self.path == STANDARD_OUTPUT:
            descriptor = os.dup(1)  # not sys.stdout: twistd puts its log there
        else:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            descriptor = os.open(self.path, flags, 0o640)
        mode = os.fstat(descriptor).st_mode
        return descriptor, stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)

    def reopen(self) -> None:
        """Open the path again; what was open is closed.

        :raises OSError: it cannot be opened; then the file that was open stays.
        """
        if self.path == STANDARD_OUTPUT:
            return
        before = self._descriptor
        self._descriptor, self._pipe = self._opened()
        self._torn = False
        os.close(before)

    def append(self, data: bytes) -> None:
        """Append `data`, which is whole lines.

        :raises OSError: not all of it could be written; `written` says how much was.
        """
        self.written = 0
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
        os.close(self._descriptor)


def _line_end(data: bytes, begin: int) -> int:
    """Where the last line ends that goes into a pipe in one piece; of a longer one, its own end."""
    end = data.rfind(b"\n", begin, begin + _PIPE_BUF) + 1
    if end <= begin:
        end = data.find(b"\n", begin) + 1
    return end or len(data)
