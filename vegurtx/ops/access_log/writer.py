"""Lines go to their file in batches, in a thread of their own: no disk and no pipe keeps a request waiting.

    request → `LineWriter.write`: a list of lines → 64 of them are joined → 1 MiB, or half a second → thread → file

To wake the thread costs as much as dozens of lines, since both want the interpreter: hence few and large pieces.

What does not fit into the queue is dropped, and counted; so is what the file does not take.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from vegurtx.ops.access_log.file import LogFile

_log = Logger()

#: lines that are joined: few enough to be in the processor's cache still
BATCH = 64
#: bytes that the thread is given at once
PIECE = 1024 * 1024
#: seconds that a line waits for others at the most
FLUSH_INTERVAL = 0.5
#: bytes that may wait for the thread
QUEUE_LIMIT = 8 * 1024 * 1024
#: seconds between two complaints
COMPLAINT_INTERVAL = 60.0
#: seconds that the last lines have to get out when the program ends
CLOSE_LIMIT = 5.0

_REOPEN, _CLOSE = object(), object()


class LineWriter:
    """Writes lines to a file. Everything but the file is done in the reactor's thread.

    :param path: as for `LogFile`.
    :param reactor: for time; `stop` also wants its ``callFromThread``.
    :param queue_limit: bytes that may wait for the thread.
    :param open_file: opens the file.
    :raises OSError: it cannot be opened.
    """

    def __init__(
        self,
        path: str,
        reactor: Any,
        *,
        queue_limit: int = QUEUE_LIMIT,
        open_file: Callable[[str], Any] = LogFile,
    ) -> None:
        self.path = path
        self._file = open_file(path)
        self._reactor = reactor
        self._queue_limit = queue_limit
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._thread: Thread | None = None
        self._closed = False
        #: lines that wait to become a batch. Who fills it himself calls `look` for the first, and for the last
        self.batch: list[bytes] = []
        self._joined: list[bytes] = []
        self._joined_size = 0
        self._call: Any = None
        self._queued = 0  # bytes, from the beginning; those in `_joined` are among them
        #: lines that were written to it, and those of them that found no room in the queue
        self.lines = 0
        self.dropped_queue = 0
        self._complained_at: float | None = None
        self._complained_of = 0
        self._stopped: Callable[[], object] | None = None
        # of the thread; read, but never written, by others
        self._done = 0  # bytes
        #: lines that the file did not take, how often opening it again has failed, and what was said the last time
        self.dropped_file = 0
        self.reopen_failures = 0
        self.problem = ""

    @property
    def dropped(self) -> int:
        """Lines that are lost."""
        return self.dropped_queue + self.dropped_file

    # -- the reactor's thread ---------------------------------------------------------------------------------------

    def write(self, line: bytes) -> None:
        """Take a line, with its line feed."""
        self.batch.append(line)
        self.look()

    def look(self) -> None:
        """A line is in `batch`: join them if they are `BATCH`, and see to it that they do not wait for too long."""
        if len(self.batch) >= BATCH:
            self._join()
            if self._joined_size >= PIECE:
                self.flush()
        self._arm()

    def _arm(self) -> None:
        if self._call is None and not self._closed:
            self._call = self._reactor.callLater(FLUSH_INTERVAL, self._due)

    def _due(self) -> None:
        self._call = None
        self.flush()
        self._complain()
        if self._queued > self._done or self.dropped + self.reopen_failures > self._complained_of:
            self._arm()  # the thread may find something wrong yet, and has nobody to tell it

    def _join(self) -> None:
        count = len(self.batch)
        if not count:
            return
        data = b"".join(self.batch)
        self.batch.clear()  # the same list: others fill it, too
        self.lines += count
        if self._closed or self._queued - self._done + len(data) > self._queue_limit:
            self.dropped_queue += count
            self._arm()  # to complain
            return
        self._queued += len(data)
        self._joined.append(data)
        self._joined_size += len(data)

    def flush(self) -> None:
        """Hand on what is here. It is in the file when the thread has got to it."""
        self._join()
        if not self._joined:
            return
        joined, self._joined = self._joined, []
        self._joined_size = 0
        self._queue.put(joined[0] if len(joined) == 1 else b"".join(joined))
        if self._thread is None:  # not before: a daemon has forked by now
            self._start()

    def reopen(self) -> None:
        """Open the path anew, behind all lines so far: the old file has been moved away by log rotation."""
        if self._closed:
            return
        self.flush()
        self._queue.put(_REOPEN)
        if self._thread is None:
            self._start()
        self._arm()

    def _start(self) -> None:
        self._thread = Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def _complain(self) -> None:
        lost = self.dropped + self.reopen_failures
        now = self._reactor.seconds()
        at = self._complained_at
        if lost == self._complained_of or (at is not None and now - at < COMPLAINT_INTERVAL):
            return
        self._complained_at, self._complained_of = now, lost
        _log.error(
            "access log {path}: {dropped} lines lost so far ({problem})",
            path=self.path,
            dropped=self.dropped,
            problem=self.problem or "more came than could be written",
        )

    def stop(self) -> Deferred[None]:
        """Write what is here, and close the file. The Deferred fires when that is done, or after `CLOSE_LIMIT`."""
        stopped: Deferred[None] = Deferred()
        deadline = self._reactor.callLater(CLOSE_LIMIT, stopped.callback, None)

        def done() -> None:
            if deadline.active():
                deadline.cancel()
                stopped.callback(None)

        self._stopped = lambda: self._reactor.callFromThread(done)
        self._end()
        return stopped

    def close(self, timeout: float = CLOSE_LIMIT) -> None:
        """As `stop`, but wait for it, `timeout` seconds at the most."""
        self._end()
        if self._thread is not None:
            self._thread.join(timeout)

    def _end(self) -> None:
        if not self._closed:
            self.flush()
            self._closed = True
            self._queue.put(_CLOSE)
            if self._thread is None:
                self._start()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    # -- its own thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._queue.get()) is not _CLOSE:
            if item is _REOPEN:
                self._reopen()
            else:
                self._append(item)
        self._file.close()
        if self._stopped is not None:
            self._stopped()

    def _append(self, data: bytes) -> None:
        try:
            self._file.append(data)
        except Exception as problem:  # mostly an OSError; whatever it is, the thread goes on
            self.problem = str(problem)
            self.dropped_file += data.count(b"\n", self._file.written)
        finally:
            self._done += len(data)

    def _reopen(self) -> None:
        try:
            self._file.reopen()
        except OSError as problem:
            self.problem = str(problem)
            self.reopen_failures += 1
