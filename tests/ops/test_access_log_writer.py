"""The access log's writer: batches, a bounded queue, files that fail, log rotation, and the end."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from vegurtx.ops.access_log import LineWriter
from vegurtx.ops.access_log.file import LogFile
from vegurtx.ops.access_log.writer import BATCH, FLUSH_INTERVAL, PIECE

PATIENCE = 20.0


class Gate:
    """A file that takes nothing until it is opened, and may fail."""

    def __init__(self, path: str = "") -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.data = b""
        self.written = 0
        self.error: Exception | None = None
        self.reopened = 0
        self.closed = False

    def append(self, data: bytes) -> None:
        """Wait, then take it, or fail behind the first line."""
        self.reached.set()
        assert self.open.wait(PATIENCE)
        self.written = 0
        if self.error is not None:
            self.written = data.index(b"\n") + 1
            self.data += data[: self.written]
            raise self.error
        self.data += data

    def reopen(self) -> None:
        """Count it."""
        if self.error is not None:
            raise self.error
        self.reopened += 1

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class WriterCase(SynchronousTestCase):
    """With a clock, and complaints that are kept."""

    def setUp(self) -> None:
        """Nothing has been said yet."""
        self.clock = Clock()
        self.complaints: list[str] = []
        globalLogPublisher.addObserver(self._note)
        self.addCleanup(globalLogPublisher.removeObserver, self._note)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("log_namespace") == "vegurtx.ops.access_log.writer":
            self.complaints.append(event["log_format"].format(**event))

    def gated(self, **options: Any) -> tuple[LineWriter, Gate]:
        """A writer whose file waits."""
        gate = Gate()
        writer = LineWriter("some.log", self.clock, open_file=lambda path: gate, **options)
        self.addCleanup(writer.close)
        self.addCleanup(gate.open.set)
        return writer, gate

    def folder(self) -> Path:
        """A folder for files."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        return Path(made.name)


class Batches(WriterCase):
    """When lines are handed on."""

    def test_by_number(self) -> None:
        """Enough lines are joined, and wait on; they count as lines from then on."""
        writer, gate = self.gated()
        for number in range(BATCH - 1):
            writer.write(b"%d\n" % number)
        self.assertEqual((len(writer.batch), writer.lines), (BATCH - 1, 0))
        writer.write(b"last\n")
        self.assertEqual((writer.batch, writer.lines), ([], BATCH))
        self.assertFalse(gate.reached.is_set())
        self.clock.advance(FLUSH_INTERVAL)
        self.assertTrue(gate.reached.wait(PATIENCE))
        gate.open.set()
        writer.close()
        self.assertEqual(gate.data.split(), [b"%d" % number for number in range(BATCH - 1)] + [b"last"])

    def test_by_size(self) -> None:
        """When a piece is full, the thread has it at once."""
        writer, gate = self.gated()
        line = b"x" * (PIECE // BATCH) + b"\n"
        for _ in range(BATCH):
            writer.write(line)
        self.assertTrue(gate.reached.wait(PATIENCE))
        self.assertEqual((writer.batch, writer.lines, writer.dropped), ([], BATCH, 0))

    def test_by_time(self) -> None:
        """A single line waits for half a second; then there is no timer any more."""
        writer, gate = self.gated()
        writer.write(b"one\n")
        self.clock.advance(FLUSH_INTERVAL / 2)
        writer.write(b"two\n")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(FLUSH_INTERVAL / 2)
        self.assertTrue(gate.reached.wait(PATIENCE))
        gate.open.set()
        writer.close()
        self.assertEqual((gate.data, gate.closed), (b"one\ntwo\n", True))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_fills_the_batch(self) -> None:
        """The batch is the same list for ever."""
        writer, gate = self.gated()
        batch = writer.batch
        batch.append(b"one\n")
        writer.look()
        self.clock.advance(FLUSH_INTERVAL)
        self.assertIs(writer.batch, batch)
        gate.open.set()
        writer.close()
        self.assertEqual(gate.data, b"one\n")

    def test_no_thread_before_a_line(self) -> None:
        """A daemon forks after its writer was made."""
        before = threading.active_count()
        writer, _ = self.gated()
        self.assertEqual(threading.active_count(), before)
        writer.write(b"x\n")
        self.assertEqual(threading.active_count(), before)


class Losses(WriterCase):
    """Lines that cannot be written: counted, told once a minute, and nobody waits."""

    def test_overflow(self) -> None:
        """What does not fit into the queue is dropped; what fits is written, in its order."""
        writer, gate = self.gated(queue_limit=100)
        for number in range(5):
            writer.write(b"%030d\n" % number)
            writer.flush()
        self.assertEqual((writer.dropped, writer.dropped_queue, writer.lines), (2, 2, 5))
        self.clock.advance(FLUSH_INTERVAL)
        self.assertEqual(
            self.complaints,
            ["access log some.log: 2 lines lost so far (more came than could be written)"],
        )
        gate.open.set()
        writer.close()
        self.assertEqual(gate.data, b"".join(b"%030d\n" % number for number in range(3)))

    def test_disk_full(self) -> None:
        """The lines that the file did not take are counted; when it takes them again, all is well."""
        writer, gate = self.gated()
        gate.error = OSError(errno.ENOSPC, "No space left on device")
        gate.open.set()
        for line in (b"1\n", b"2\n", b"3\n"):
            writer.write(line)
        writer.flush()
        self._done(writer)
        self.assertEqual((writer.dropped, writer.dropped_file), (2, 2))
        gate.error = None
        writer.write(b"4\n")
        writer.close()
        self.assertEqual(gate.data, b"1\n4\n")

    def test_told_once_a_minute(self) -> None:
        """However often it happens."""
        writer, gate = self.gated()
        gate.error = OSError(errno.EIO, "Input/output error")
        gate.open.set()
        for _ in range(200):
            writer.write(b"1\n2\n")  # one line that is two: one of them is lost
            self.clock.advance(FLUSH_INTERVAL)
            self._done(writer)
        self.assertEqual(len(self.complaints), 2)
        self.assertIn("Input/output error", self.complaints[0])

    def test_quiet_when_all_is_told(self) -> None:
        """Behind a complaint no timer runs on."""
        writer, _ = self.gated(queue_limit=1)
        writer.write(b"12\n")
        self.clock.pump([FLUSH_INTERVAL] * 2)
        self.assertEqual((len(self.complaints), self.clock.getDelayedCalls()), (1, []))

    def test_anything_else_goes_wrong(self) -> None:
        """The thread goes on."""
        writer, gate = self.gated()
        gate.error = RuntimeError("odd")
        gate.open.set()
        writer.write(b"1\n2\n")
        writer.flush()
        self._done(writer)
        gate.error = None
        writer.write(b"3\n")
        writer.close()
        self.assertEqual((gate.data, writer.problem), (b"1\n3\n", "odd"))

    def test_after_the_end(self) -> None:
        """Lines behind the end are lost, and no more than a batch of them is kept."""
        writer, gate = self.gated()
        gate.open.set()
        writer.close()
        for _ in range(3 * BATCH):
            writer.write(b"late\n")
        self.assertEqual((writer.dropped_queue, gate.data), (3 * BATCH, b""))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def _done(self, writer: LineWriter) -> None:
        """Wait for the thread: a reopening is behind everything."""
        seen = threading.Event()
        writer._queue.put(b"")
        real = writer._file.append
        writer._file.append = lambda data: seen.set() if not data else real(data)
        self.assertTrue(seen.wait(PATIENCE))
        writer._file.append = real


class Files(WriterCase):
    """Real files."""

    def test_modes(self) -> None:
        """Made for its owner and group, appended to."""
        path = self.folder() / "a.log"
        for line in (b"1\n", b"2\n"):
            file = LogFile(str(path))
            file.append(line)
            file.close()
        self.assertEqual(path.read_bytes(), b"1\n2\n")
        self.assertEqual(path.stat().st_mode & 0o137, 0)

    def test_cannot_be_opened(self) -> None:
        """That is told at once."""
        with self.assertRaises(OSError):
            LineWriter(str(self.folder() / "no" / "a.log"), self.clock)

    def test_rotation(self) -> None:
        """Lines before `reopen` are in the old file, those after it in the new one."""
        path = self.folder() / "a.log"
        writer = LineWriter(str(path), self.clock)
        writer.write(b"old\n")
        path.rename(path.with_suffix(".1"))
        writer.reopen()
        writer.write(b"new\n")
        writer.close()
        self.assertEqual(path.with_suffix(".1").read_bytes(), b"old\n")
        self.assertEqual(path.read_bytes(), b"new\n")

    def test_rotation_fails(self) -> None:
        """The old file stays open, and it is told."""
        folder = self.folder() / "logs"
        folder.mkdir()
        path = folder / "a.log"
        writer = LineWriter(str(path), self.clock)
        other = folder.with_name("moved")
        folder.rename(other)
        writer.reopen()
        writer.write(b"x\n")
        writer.close()
        self.assertEqual((other / "a.log").read_bytes(), b"x\n")
        self.assertEqual((writer.reopen_failures, writer.dropped), (1, 0))

    @skipUnless(os.path.exists("/dev/full"), "needs /dev/full")
    def test_full_device(self) -> None:
        """A device without room: every line is counted, nothing is raised."""
        writer = LineWriter("/dev/full", self.clock)
        for _ in range(2 * BATCH):
            writer.write(b"x\n")
        writer.close()
        self.assertEqual((writer.dropped_file, writer.lines), (2 * BATCH, 2 * BATCH))
        self.assertIn("No space left", writer.problem)

    def test_removed(self) -> None:
        """A file that somebody has removed is made again; where that cannot be, its lines are counted as lost."""
        folder = self.folder() / "logs"
        folder.mkdir()
        path = folder / "a.log"
        file = LogFile(str(path))
        file.append(b"1\n")
        path.unlink()
        file.append(b"2\n")
        self.assertEqual(path.read_bytes(), b"2\n")
        path.unlink()
        folder.rmdir()
        with self.assertRaises(FileNotFoundError):
            file.append(b"3\n")
        self.assertEqual(file.written, 0)
        folder.mkdir()
        file.append(b"4\n")
        file.close()
        self.assertEqual(path.read_bytes(), b"4\n")

    def test_pipe_without_a_reader(self) -> None:
        """Neither its opening nor its lines wait for one; when one is there, it gets what follows."""
        path = self.folder() / "pipe"
        os.mkfifo(path)
        file = LogFile(str(path))
        with self.assertRaisesRegex(OSError, "Nobody reads from the pipe"):
            file.append(b"1\n")
        self.assertEqual(file.written, 0)
        for line in (b"2\n", b"4\n"):
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            file.append(line)
            self.assertEqual(os.read(reader, 100), line)
            os.close(reader)
            with self.assertRaises(BrokenPipeError):
                file.append(b"3\n")
        file.reopen()
        file.close()

    def test_socket(self) -> None:
        """A UNIX socket is no file to write to, and no pipe that may get a reader."""
        path = self.folder() / "socket"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            with self.assertRaises(OSError):
                LogFile(str(path))

    def test_torn_line(self) -> None:
        """What a full disk has left of a line does not join the next one."""
        path = self.folder() / "a.log"
        file = LogFile(str(path))
        wrote: list[bytes] = []
        real = os.write

        def short(descriptor: int, data: bytes) -> int:
            if wrote:
                raise OSError(errno.ENOSPC, "full")
            wrote.append(data)
            return real(descriptor, data[:5])

        self.patch(os, "write", short)
        with self.assertRaises(OSError):
            file.append(b"one\ntwo\n")
        self.assertEqual(file.written, 5)
        self.patch(os, "write", real)
        file.append(b"three\n")
        file.close()
        self.assertEqual(path.read_bytes(), b"one\nt\nthree\n")

    def test_pipe(self) -> None:
        """Into a pipe lines go whole, although several processes write: no write is too large."""
        read_end, write_end = os.pipe()
        sizes: list[int] = []
        real = os.write

        def write(descriptor: int, data: bytes) -> int:
            sizes.append(len(data))
            return real(descriptor, data)

        file = LogFile(f"/dev/fd/{write_end}")
        os.close(write_end)
        self.patch(os, "write", write)
        lines = b"".join(b"%0*d\n" % (width, width) for width in (100, 2000, 4095, 5000, 1, 3000, 1200))
        file.append(lines)
        file.close()
        self.assertEqual(os.read(read_end, 1 << 16), lines)
        os.close(read_end)
        self.assertEqual(sizes, [2102, 4096, 5001, 3003, 1201])

    def test_pipe_that_is_full(self) -> None:
        """A reader that does not block is waited for, in the thread."""
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        file = LogFile(f"/dev/fd/{write_end}")
        os.set_blocking(file._descriptor, False)
        data = b"x" * 99 + b"\n"
        filler = threading.Thread(target=file.append, args=(data * 5000,))
        filler.start()
        got = 0
        while got < 500_000:
            got += len(os.read(read_end, 65536))
        filler.join(PATIENCE)
        file.close()
        os.close(write_end)
        os.close(read_end)
        self.assertEqual((got, file.written), (500_000, 500_000))


class Stopping(TestCase):
    """The program's end."""

    def test_stop(self) -> None:
        """The Deferred fires in the reactor's thread when all is written and the file is closed."""
        reactor = MemoryReactorClock()
        woken = threading.Event()
        reactor.callFromThread = lambda function: (waiting.append(function), woken.set())
        waiting: list[Any] = []
        gate = Gate()
        writer = LineWriter("x", reactor, open_file=lambda path: gate)
        writer.write(b"1\n")
        stopped = writer.stop()
        self.assertNoResult(stopped)
        gate.open.set()
        self.assertTrue(woken.wait(PATIENCE))
        waiting[0]()
        self.successResultOf(stopped)
        self.assertEqual((gate.data, gate.closed, reactor.getDelayedCalls()), (b"1\n", True, []))

    def test_stop_has_a_bound(self) -> None:
        """A file that hangs does not keep the program."""
        reactor = MemoryReactorClock()
        reactor.callFromThread = lambda function: None
        gate = Gate()
        self.addCleanup(gate.open.set)
        writer = LineWriter("x", reactor, open_file=lambda path: gate)
        writer.write(b"1\n")
        stopped = writer.stop()
        reactor.advance(5)
        self.successResultOf(stopped)

    async def test_with_a_real_reactor(self) -> None:
        """The same, with nothing in the place of anything."""
        from twisted.internet import reactor

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.log"
            writer = LineWriter(str(path), reactor)
            for number in range(1000):
                writer.write(b"%d\n" % number)
            await writer.stop()
            self.assertEqual(path.read_bytes(), b"".join(b"%d\n" % number for number in range(1000)))
