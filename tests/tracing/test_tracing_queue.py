"""The queue of spans: bounded, counted, and never in anybody's way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.tracing.otel.queue import COMPLAINT_INTERVAL, QueueLimits, SpanQueue

#: seconds; that something in another thread is waited for
PATIENCE = 30.0


class Hands(Clock):
    """A clock, and what the thread asks for is done when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: list[Callable[[], Any]] = []

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Keep it."""
        self._asked.append(lambda: call(*arguments))

    def turn(self) -> None:
        """Do what was asked for."""
        asked, self._asked = self._asked, []
        for call in asked:
            call()


class Scripted(SpanExporter):
    """Exports what it gets when it may.

    :param result: what each export comes to; an exception is raised.
    """

    def __init__(self, result: Any = SpanExportResult.SUCCESS) -> None:
        self.result = result
        self.batches: list[int] = []
        self.open = Event()
        self.open.set()
        self.entered = Event()
        self.closed = Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter`."""
        self.entered.set()
        self.open.wait(PATIENCE)
        self.batches.append(len(spans))
        if isinstance(self.result, Exception):
            raise self.result
        outcome: SpanExportResult = self.result
        return outcome

    def shutdown(self) -> None:
        """See `SpanExporter`."""
        self.closed.set()


class Queue(SynchronousTestCase):
    """`SpanQueue`."""

    def stage(self, exporter: Any, start: bool = True, **limits: Any) -> SpanQueue:
        """A queue before `exporter`, and a tracer that feeds it."""
        self.reactor = Hands()
        self.exporter = exporter
        queue = SpanQueue(
            exporter, self.reactor, QueueLimits(**{"size": 8, "batch": 4, "delay": 1000.0, **limits})
        )
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(queue)
        self.tracer = provider.get_tracer("test")
        if start:
            queue.start()
            self.addCleanup(queue.shutdown)
        return queue

    def end(self, spans: int) -> None:
        """So many spans end."""
        for _ in range(spans):
            self.tracer.start_span("x").end()

    def test_a_batch(self) -> None:
        """A batch goes out when it is full; what is left goes out in the end."""
        queue = self.stage(Scripted())
        self.end(4)
        self.assertTrue(self.exporter.entered.wait(PATIENCE))
        self.end(3)
        queue.finish(PATIENCE)
        self.assertEqual(sum(self.exporter.batches), 7)
        self.assertLessEqual(max(self.exporter.batches), 4)
        self.assertEqual((queue.exported, queue.lost), (7, 0))
        self.assertTrue(self.exporter.closed.is_set())

    def test_delay(self) -> None:
        """One span alone does not wait for ever."""
        self.stage(Scripted(), delay=0.01)
        self.end(1)
        self.assertTrue(self.exporter.entered.wait(PATIENCE))

    def test_not_before_start(self) -> None:
        """No thread is there before `start`: a daemon forks between the two. What ended before goes out then."""
        queue = self.stage(Scripted(), start=False)
        self.end(5)
        self.assertFalse(self.exporter.entered.is_set())
        queue.finish(PATIENCE)
        self.assertEqual(queue.exported, 5)

    def test_full(self) -> None:
        """What finds no room is dropped and counted, and the log says so: once a minute, not once a span."""
        self.exporter = Scripted()
        self.exporter.open.clear()
        queue = self.stage(self.exporter)
        self.end(4)
        self.assertTrue(self.exporter.entered.wait(PATIENCE))  # it has four, and hangs
        with capturedLogs() as events:
            self.end(8)
            self.assertEqual(queue.dropped, 0)
            self.end(100)
            self.assertEqual(queue.dropped, 100)
            self.assertEqual(
                [formatEvent(event) for event in events],
                ["tracing: 1 spans lost so far (more came than could be exported)"],
            )
            self.reactor.advance(COMPLAINT_INTERVAL)
            self.end(2)
            self.assertEqual(len(events), 2)
        self.exporter.open.set()
        queue.finish(PATIENCE)
        self.assertEqual((queue.exported, queue.dropped), (12, 102))

    def test_failures(self) -> None:
        """What the exporter cannot get rid of is counted; the thread goes on, whatever it raises."""
        for result, said in (
            (SpanExportResult.FAILURE, "more came than could be exported"),
            (RuntimeError("line one\nline \x1b[31mtwo"), r"RuntimeError: line one line \x1b[31mtwo"),
        ):
            queue = self.stage(Scripted(result))
            with capturedLogs() as events:
                self.end(4)
                self.assertTrue(self.exporter.entered.wait(PATIENCE))
                self.end(4)
                queue.finish(PATIENCE)
                self.reactor.turn()
            self.assertEqual((queue.failed, queue.exported), (8, 0))
            self.assertEqual(formatEvent(events[-1]), f"tracing: 8 spans lost so far ({said})")

    def test_hanging_at_the_end(self) -> None:
        """An exporter that hangs does not keep the program from ending; what waits is lost, and counted."""
        self.exporter = Scripted()
        self.exporter.open.clear()
        queue = self.stage(self.exporter)
        self.end(4)
        self.assertTrue(self.exporter.entered.wait(PATIENCE))
        self.end(3)
        with capturedLogs() as events:
            queue.finish(0.0)
        self.assertEqual(queue.dropped, 7)  # with the four that it has
        self.assertTrue(self.exporter.closed.is_set())
        self.assertEqual(len(events), 1)
        self.end(1)
        self.assertEqual(queue.dropped, 8)
        self.exporter.open.set()
        queue.finish(PATIENCE)

    def test_not_sampled(self) -> None:
        """What is not sampled is not exported."""
        queue = self.stage(Scripted())
        provider = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
        provider.add_span_processor(queue)
        provider.get_tracer("test").start_span("x").end()
        queue.finish(PATIENCE)
        self.assertEqual((queue.exported, self.exporter.batches), (0, []))

    def test_the_sdks_words(self) -> None:
        """What the SDK says through `logging` while it exports is kept for the one line, and written nowhere."""
        written: list[str] = []

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                written.append(record.getMessage())

        class Talking(Scripted):
            def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
                logging.getLogger("opentelemetry.exporter.otlp").error("no way to %s", "collector")
                super().export(spans)
                return SpanExportResult.FAILURE

        handler = Handler()
        logging.getLogger().addHandler(handler)
        self.addCleanup(logging.getLogger().removeHandler, handler)
        queue = self.stage(Talking())
        with capturedLogs() as events:
            self.end(1)
            queue.finish(PATIENCE)
        self.assertEqual(written, [])
        self.assertEqual(formatEvent(events[0]), "tracing: 1 spans lost so far (no way to collector)")
        logging.getLogger("opentelemetry.exporter.otlp").error("later")
        self.assertEqual(written, ["later"])


class Limits(SynchronousTestCase):
    """`QueueLimits.from_environment`."""

    def test_variables(self) -> None:
        """The standard variables; a small queue has small batches."""
        read = QueueLimits.from_environment
        self.assertEqual(read({}), QueueLimits(2048, 512, 5.0))
        self.assertEqual(
            read(
                {
                    "OTEL_BSP_MAX_QUEUE_SIZE": "10",
                    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5",
                    "OTEL_BSP_SCHEDULE_DELAY": "200",
                }
            ),
            QueueLimits(10, 5, 0.2),
        )
        self.assertEqual(read({"OTEL_BSP_MAX_QUEUE_SIZE": "10"}).batch, 10)

    def test_refused(self) -> None:
        """What is no positive number is named."""
        for text in ("0", "-1", "1.5", "many", "9" * 30):
            refused = self.assertRaises(
                ValueError, QueueLimits.from_environment, {"OTEL_BSP_SCHEDULE_DELAY": text}
            )
            self.assertIn("OTEL_BSP_SCHEDULE_DELAY", str(refused))
        self.assertRaises(
            ValueError,
            QueueLimits.from_environment,
            {"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "11"},
        )
