"""`vegurtx.testing`: scripted peers, to test a router, or the proxy itself, in memory or over real sockets.

The peers stand on both sides of the proxy: a client that a test drives by hand, and a back-end that it
drives by hand too, so that a test reads like the transcript of a conversation. Four ways to use them:

- **In memory**: `MemoryProxy` is the proxy without sockets and without a reactor, on a clock that the test turns. Its
  tests are plain functions. Best for routers, middlewares, settings and timeouts; see `docs/testing.md`.
- **Inside one process, on the reactor**: `ProxyTestCase` with `router_to` (a `RecordingRouter`), whose tests are
  `async def`, over loopback. Best for what depends on real sockets, TLS or the kernel's buffers.
- **Against the real program**: `ProxyProcess` starts `twistd vegur` on a free port; `BlockingClient` and
  `ThreadedBackend` are its peers, for ordinary blocking tests, gigabytes, and load.
- **Bytes alone**: `parse_request_head` and `parse_response_head` read exact bytes strictly.

A router author's test in full:

    from twisted.trial.unittest import SynchronousTestCase
    from vegurtx.testing import MemoryProxy, answering, response_bytes

    class MyRouterTests(SynchronousTestCase):
        def test_tenant_is_found(self):
            \"\"\"A tenant's requests reach the tenant's back-end.\"\"\"
            proxy = MemoryProxy(MyRouter({"tenant.example": 8081}))
            proxy.backend("127.0.0.1", 8081, answering(response_bytes(200, b"hi")))
            response = proxy.client().ask("GET", "http://tenant.example/")
            self.assertEqual((response.status, response.body), (200, b"hi"))

The names are loaded on first use: the blocking peers import neither trial nor a reactor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vegurtx.testing.blocking import BlockingClient as BlockingClient
    from vegurtx.testing.case import ProxyTestCase as ProxyTestCase
    from vegurtx.testing.case import RunningProxy as RunningProxy
    from vegurtx.testing.composing import request_bytes as request_bytes
    from vegurtx.testing.composing import response_bytes as response_bytes
    from vegurtx.testing.connection import ScriptedConnection as ScriptedConnection
    from vegurtx.testing.errors import ConversationError as ConversationError
    from vegurtx.testing.errors import MalformedMessage as MalformedMessage
    from vegurtx.testing.errors import PeerClosed as PeerClosed
    from vegurtx.testing.errors import PeerSilent as PeerSilent
    from vegurtx.testing.memory.backend import MemoryBackend as MemoryBackend
    from vegurtx.testing.memory.connection import MemoryClient as MemoryClient
    from vegurtx.testing.memory.connection import MemoryConnection as MemoryConnection
    from vegurtx.testing.memory.proxy import MemoryProxy as MemoryProxy
    from vegurtx.testing.messages import Request as Request
    from vegurtx.testing.messages import Response as Response
    from vegurtx.testing.messages import parse_request_head as parse_request_head
    from vegurtx.testing.messages import parse_response_head as parse_response_head
    from vegurtx.testing.process import ProcessFailed as ProcessFailed
    from vegurtx.testing.process import ProxyProcess as ProxyProcess
    from vegurtx.testing.router import Call as Call
    from vegurtx.testing.router import RecordingRouter as RecordingRouter
    from vegurtx.testing.router import in_turn as in_turn
    from vegurtx.testing.router import router_to as router_to
    from vegurtx.testing.server import ScriptedServer as ScriptedServer
    from vegurtx.testing.server import answering as answering
    from vegurtx.testing.threaded import ThreadedBackend as ThreadedBackend
    from vegurtx.testing.tls import Certificate as Certificate
    from vegurtx.testing.tls import SecureConnection as SecureConnection
    from vegurtx.testing.tls import client_context as client_context
    from vegurtx.testing.tls import context_factory as context_factory
    from vegurtx.testing.tls import self_signed as self_signed
    from vegurtx.testing.tls import server_context as server_context

_NAMES = {
    "blocking": ("BlockingClient",),
    "case": ("ProxyTestCase", "RunningProxy"),
    "composing": ("request_bytes", "response_bytes"),
    "connection": ("ScriptedConnection",),
    "errors": ("ConversationError", "MalformedMessage", "PeerClosed", "PeerSilent"),
    "memory.backend": ("MemoryBackend",),
    "memory.connection": ("MemoryClient", "MemoryConnection"),
    "memory.proxy": ("MemoryProxy",),
    "messages": ("Request", "Response", "parse_request_head", "parse_response_head"),
    "process": ("ProcessFailed", "ProxyProcess"),
    "router": ("Call", "RecordingRouter", "in_turn", "router_to"),
    "server": ("ScriptedServer", "answering"),
    "threaded": ("ThreadedBackend",),
    "tls": (
        "Certificate",
        "SecureConnection",
        "client_context",
        "context_factory",
        "self_signed",
        "server_context",
    ),
}

_HOME = {name: f"vegurtx.testing.{module}" for module, names in _NAMES.items() for name in names}

__all__ = [
    "BlockingClient",
    "Call",
    "Certificate",
    "ConversationError",
    "MalformedMessage",
    "MemoryBackend",
    "MemoryClient",
    "MemoryConnection",
    "MemoryProxy",
    "PeerClosed",
    "PeerSilent",
    "ProcessFailed",
    "ProxyProcess",
    "ProxyTestCase",
    "RecordingRouter",
    "Request",
    "Response",
    "RunningProxy",
    "ScriptedConnection",
    "ScriptedServer",
    "SecureConnection",
    "ThreadedBackend",
    "answering",
    "client_context",
    "context_factory",
    "in_turn",
    "parse_request_head",
    "parse_response_head",
    "request_bytes",
    "response_bytes",
    "router_to",
    "self_signed",
    "server_context",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module; raises `AttributeError` for any other name."""
    if name not in _HOME:
        raise AttributeError(f"module 'vegurtx.testing' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
