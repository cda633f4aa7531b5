"""Spans leave in batches, in a thread of their own: no collector keeps a request waiting.

    span's end → `SpanQueue.on_end`: a bounded queue → thread → the exporter, which blocks, waits and tries again

What finds no room is dropped and counted, so is what the exporter does not get rid of; the log says so, a line a
minute. The SDK's own `BatchSpanProcessor` counts neither for us, starts its thread before a daemon forks, and writes to
standard error what it finds wrong.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from twisted.logger import Logger

_log = Logger()

#: seconds between two complaints
COMPLAINT_INTERVAL = 60.0
#: seconds that the last spans have to get out when the program ends; a supervisor kills its workers after 5
CLOSE_LIMIT = 3.0
#: characters of what the exporter says that are repeated
_LONGEST = 300
#: the loggers through which the SDK speaks
_LOGGERS = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.attributes", "opentelemetry.trace")


@dataclass(frozen=True)
class QueueLimits:
    """How much may wait, and for how long. Source: OpenTelemetry's "Batch Span Processor" and its variables."""

    size: int = 2048
    """Spans that may wait at the most; ``OTEL_BSP_MAX_QUEUE_SIZE``."""
    batch: int = 512
    """Spans that go out together at the most; ``OTEL_BSP_MAX_EXPORT_BATCH_SIZE``."""
    delay: float = 5.0
    """Seconds that a span waits for others at the most; ``OTEL_BSP_SCHEDULE_DELAY``, in milliseconds."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> QueueLimits:
        """What the standard variables say.

        :raises ValueError: one of them is no positive whole number; the text says which.
        """
        size = _number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", cls.size)
        batch = _number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(cls.batch, size))
        delay = _number(environment, "OTEL_BSP_SCHEDULE_DELAY", int(cls.delay * 1000))
        if batch > size:
            raise ValueError("OTEL_BSP_MAX_EXPORT_BATCH_SIZE is larger than OTEL_BSP_MAX_QUEUE_SIZE")
        return cls(size, batch, delay / 1000)


class SpanQueue(SpanProcessor):
    """Takes ended spans in the reactor's thread, and exports them in its own.

    :param exporter: gets rid of them; it may block.
    :param reactor: for time, and for `callFromThread`.
    :param limits: how much may wait.
    """

    def __init__(self, exporter: SpanExporter, reactor: Any, limits: QueueLimits | None = None) -> None:
        self._exporter = exporter
        self._reactor = reactor
        self._limits = limits or QueueLimits()
        self._waiting: deque[ReadableSpan] = deque()
        self._wake = Event()
        self._thread: Thread | None = None
        self._closing = False
        self._heard = _Heard()
        self._complained_at: float | None = None
        self._complained_of = 0
        #: spans that found no room, or came too late
        self.dropped = 0
        # of the thread; read, but never written, by others
        #: spans that are out, and spans that the exporter could not get rid of
        self.exported = 0
        self.failed = 0
        self._going = 0  # spans that the exporter has now

    @property
    def lost(self) -> int:
        """Spans that nobody will see."""
        return self.dropped + self.failed

    # -- the reactor's thread ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to export. Not before a daemon has forked: threads stay behind."""
        if self._thread is None:
            self._heard.listen()
            self._thread = Thread(target=self._run, name="trace export", daemon=True)
            self._thread.start()

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """See `SpanProcessor`."""

    def on_end(self, span: ReadableSpan) -> None:
        """A span has ended; it goes out with others, unless there is no room."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        waiting = len(self._waiting)
        if self._closing or waiting >= self._limits.size:
            self.dropped += 1
            self._complain()
            return
        self._waiting.append(span)
        if waiting + 1 >= self._limits.batch and not self._wake.is_set():
            self._wake.set()

    def _complain(self) -> None:
        lost = self.lost
        now = self._reactor.seconds()
        at = self._complained_at
        if lost == self._complained_of or (at is not None and now - at < COMPLAINT_INTERVAL):
            return
        self._complained_at, self._complained_of = now, lost
        _log.error(
            "tracing: {lost} spans lost so far ({problem})",
            lost=lost,
            problem=self._heard.problem or "more came than could be exported",
        )

    def finish(self, timeout: float = CLOSE_LIMIT) -> None:
        """Export what is here, and end the thread; waits for it, `timeout` seconds at the most.

        For the end of a program, when nobody is served any more.
        """
        if self._thread is None:
            self.start()
        thread = self._thread
        assert thread is not None
        self._closing = True
        self._wake.set()
        thread.join(timeout)
        if thread.is_alive():  # in the exporter: it waits for its next try, or for an answer
            self.dropped += len(self._waiting) + self._going
            self._waiting.clear()
            self._exporter.shutdown()
        self._complained_at = None
        self._complain()

    def shutdown(self) -> None:
        """As `finish`; the SDK's name for it."""
        if not self._closing:
            self.finish()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Wake the thread; it is not waited for."""
        self._wake.set()
        return not self._waiting

    # -- its own thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._limits.delay)
            self._wake.clear()
            self._export_all()
        self._export_all()
        self._exporter.shutdown()
        self._heard.ignore()  # not before: the exporter may have last words

    def _export_all(self) -> None:
        waiting = self._waiting
        while waiting:
            batch = []
            try:
                for _ in range(min(self._limits.batch, len(waiting))):
                    batch.append(waiting.popleft())
            except IndexError:  # `finish` has lost its patience
                pass
            self._going = len(batch)
            done = self._export(batch)
            self._going = 0
            if done:
                self.exported += len(batch)
            else:
                self.failed += len(batch)
                if not self._closing:
                    self._reactor.callFromThread(self._complain)

    def _export(self, batch: list[ReadableSpan]) -> bool:
        try:
            return self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception as problem:  # the thread goes on, whatever it is
            self._heard.note(f"{type(problem).__name__}: {problem}")
            return False


class _Heard(logging.Handler):
    """What the SDK says through `logging`: the latest of it is kept for our own log, and nothing is written."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        #: in one line, without control characters
        self.problem = ""
        self._before: list[tuple[logging.Logger, bool]] = []

    def listen(self) -> None:
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            self._before.append((logger, logger.propagate))
            logger.propagate = False
            logger.addHandler(self)

    def ignore(self) -> None:
        for logger, propagate in self._before:
            logger.removeHandler(self)
            logger.propagate = propagate
        self._before = []

    def emit(self, record: logging.LogRecord) -> None:
        self.note(record.getMessage())

    def note(self, text: str) -> None:
        cut = " ".join(text.split())[:_LONGEST]
        self.problem = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and int(text[:10]) > 0 and len(text) < 10):
        raise ValueError(f"{name} is a positive whole number, not {text!r}")
    return int(text)
