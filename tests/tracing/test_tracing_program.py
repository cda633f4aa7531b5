"""The options of tracing, and the real program with a collector."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from otlp_receiver import Receiver, attributes
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Router
from vegurtx.cli import tracing_options
from vegurtx.cli.tracing_options import TracingSpec, traced, tracing_spec
from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend


class Options(SynchronousTestCase):
    """`tracing_spec`."""

    def spec(self, **given: Any) -> TracingSpec:
        """What these options ask for."""
        names = [each[0] for each in (*tracing_options.PARAMETERS, *tracing_options.FLAGS)]
        return tracing_spec({name: given.pop(name.replace("-", "_"), None) for name in names})

    def refused(self, **given: Any) -> str:
        """What is wrong with them, in one line."""
        problem = str(self.assertRaises(usage.UsageError, self.spec, **given))
        self.assertNotIn("\n", problem)
        return problem

    def test_off(self) -> None:
        """Without an option nothing stands around the router."""
        self.assertEqual(self.spec(), TracingSpec())
        router = Router()
        self.assertIs(traced(router, self.spec(tracing="off"), None), router)

    def test_modes(self) -> None:
        """Each mode, with what goes with it."""
        self.assertEqual(
            self.spec(tracing="propagate", trace_sample="0.25", trace_restart=1),
            TracingSpec("propagate", 0.25, True),
        )
        self.assertEqual(self.spec(tracing="otel"), TracingSpec("otel", None, False))

    def test_refused(self) -> None:
        """What has no meaning is named."""
        self.assertIn("off, propagate, otel", self.refused(tracing="on"))
        for text in ("-1", "2", "nan", "half"):
            self.assertIn("from 0 to 1", self.refused(tracing="otel", trace_sample=text))
        self.assertIn("--trace-sample needs --tracing", self.refused(trace_sample="1"))
        self.assertIn("--trace-restart needs --tracing", self.refused(trace_restart=1))

    def test_not_installed(self) -> None:
        """Without the extra, one line says what to install."""
        self.patch(tracing_options, "_EXTRA", ("nobody_has.this.module",))
        self.assertIn("pip install 'vegurtx[otel]'", self.refused(tracing="otel"))

    def test_variables(self) -> None:
        """A variable of OpenTelemetry's that cannot be used is told here: not by each worker."""
        with mock.patch.dict("os.environ", {"OTEL_TRACES_EXPORTER": "zipkin"}):
            self.assertIn("OTEL_TRACES_EXPORTER", self.refused(tracing="otel"))


class Programs(SynchronousTestCase):
    """``--tracing otel`` with and without workers."""

    def test_exports(self) -> None:
        """Each request's spans reach the collector: the last ones while the program ends."""
        for more in ((), ("--workers", "2")):
            collector = Receiver()
            self.addCleanup(collector.stop)
            variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
            with tempfile.TemporaryDirectory() as folder, ThreadedBackend() as backend:
                config = Path(folder) / "config.yaml"
                file = f"services: [{{name: web, matcher: /, replicas: [{{url: 'http://127.0.0.1:{backend.port}'}}]}}]"
                config.write_text(file, "utf-8")
                options = ["--config", str(config), "--tracing", "otel", *more]
                with ProxyProcess(None, options, environment=variables, program="module") as proxy:
                    for _ in range(5):
                        with BlockingClient(proxy.port) as client:
                            self.assertEqual(client.request("GET", "/").status, 200)
                    self.assertEqual(collector.spans, [])
                    self.assertEqual(proxy.stop(), 0)
            collector.wait(10)
            servers = [span for span, _ in collector.spans if span.kind == 2]
            self.assertEqual([attributes(span)["http.route"] for span in servers], ["web"] * 5)
            self.assertEqual(len({span.trace_id for span, _ in collector.spans}), 5)
