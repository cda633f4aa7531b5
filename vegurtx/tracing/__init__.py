"""Distributed tracing: W3C Trace Context, passed on or begun, and OpenTelemetry's spans as an extra.

A traced proxy is a proxy whose router is a `TracedRouter`; without one, no request pays anything.
"""

from __future__ import annotations

from vegurtx.tracing.propagation import Propagation
from vegurtx.tracing.router import TracedRouter
from vegurtx.tracing.trace import META, Trace

__all__ = ["META", "Propagation", "Trace", "TracedRouter"]
