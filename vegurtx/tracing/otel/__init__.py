"""OpenTelemetry: a server span for each request, a client span for each try to ask a back-end, exported over OTLP.

An optional extra, ``pip install vegurtx[otel]``; nothing outside this package imports it before it is asked for.

    request → `SpanRecorder` (in the reactor's thread) → `SpanQueue`, bounded → a thread of its own → the exporter
"""
