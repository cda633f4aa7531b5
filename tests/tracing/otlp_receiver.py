"""A collector for tests: takes OTLP over HTTP, and keeps the spans that it decodes."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

#: seconds
PATIENCE = 30.0


class Receiver:
    """Listens on a free port of 127.0.0.1, in threads of its own.

    :param status: what it answers with.
    """

    def __init__(self, status: int = 200) -> None:
        self.status = status
        #: every span that came, as protobuf messages, each with its resource's attributes
        self.spans: list[tuple[Any, dict[str, Any]]] = []
        #: how many requests came, and the header fields of the last one
        self.requests = 0
        self.headers: dict[str, str] = {}
        self._came = Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver._take(self.path, dict(self.headers.items()), body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(receiver.status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Nothing is written."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        with self._came:
            self.requests += 1
            self.headers = {**headers, "path": path}
            if self.status == 200:
                for part in request.resource_spans:
                    resource = attributes(part.resource)
                    self.spans += [(span, resource) for scope in part.scope_spans for span in scope.spans]
            self._came.notify_all()

    def wait(self, spans: int) -> None:
        """Wait until so many spans have come.

        :raises AssertionError: they do not.
        """
        with self._came:
            assert self._came.wait_for(lambda: len(self.spans) >= spans, PATIENCE), (
                f"{len(self.spans)} spans came"
            )

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def attributes(message: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in message.attributes}
