"""`vegurtx.testing`: scripted peers, to test a router, or the proxy itself, over real sockets.

The peers stand on both sides of the proxy: a client that a test drives by hand, and a back-end that it
drives by hand too, so that a test reads like the transcript of a conversation. Three ways to use them:

- **Inside one process, on the reactor**: `ProxyTestCase` with `router_to` (a `RecordingRouter`), whose
tests are
  `async def`. Best for rules about bytes, orders of events, and who is told what.
- **Against the real program**: `ProxyProcess` starts `twistd vegur` on a free port; `BlockingClient` and
  `ThreadedBackend` are its peers, for ordinary blocking tests, gigabytes, and load.
- **Without any socket**: `parse_request_head` and `parse_response_head` read exact bytes strictly.

A router author's test in full:

    from vegurtx.testing import ProxyTestCase, answering

    class MyRouterTests(ProxyTestCase):
        async def test_tenant_is_found(self):
            \"\"\"A tenant's requests reach the tenant's back-end.\"\"\"
            hello = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi"
            backend = await self.backend(handler=answering(hello))
            proxy = await self.proxy(MyRouter({"tenant.example": backend.as_backend()}))
            client = await proxy.connect()
            client.send(b"GET / HTTP/1.1\\r\\nHost: tenant.example\\r\\n\\r\\n")
            self.assertEqual((await client.receive_response()).status, 200)

The names are loaded on first use: the blocking peers import neither trial nor a reactor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vegurtx.testing.blocking import BlockingClient as BlockingClient
    from vegurtx.testing.case import ProxyTestCase as ProxyTestCase
    from vegurtx.testing.case import RunningProxy as RunningProxy
    from vegurtx.testing.connection import ScriptedConnection as ScriptedConnection
    from vegurtx.testing.errors import ConversationError as ConversationError
    from vegurtx.testing.errors import MalformedMessage as MalformedMessage
    from vegurtx.testing.errors import PeerClosed as PeerClosed
    from vegurtx.testing.errors import PeerSilent as PeerSilent
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
    "connection": ("ScriptedConnection",),
    "errors": ("ConversationError", "MalformedMessage", "PeerClosed", "PeerSilent"),
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
