"""``python -m vegurtx demo-backend``: a small HTTP server that says which port answered. For trying the proxy out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from vegurtx.cli.misuse import StrictOptions, cannot_listen
from vegurtx.cli.run import stop, stop_on_signals
from vegurtx.service import address_text, bound_socket

_BACKLOG = 1024


class BackendOptions(StrictOptions):
    """Options of the demo back-end."""

    synopsis = "Usage: python -m vegurtx demo-backend [options]"
    longdesc = "A small HTTP server that says which port answered."
    optParameters = [
        ["port", "p", "8081", "The port to listen on; 0: the kernel chooses."],
        ["interface", "i", "127.0.0.1", "The IP address to listen on."],
    ]
    optFlags = [
        ["until-eof", None, "End when standard input ends, as it does when the parent process has ended."]
    ]

    def postOptions(self) -> None:
        """Check them."""
        self.port()


class WhichPort(Resource):
    """Answers every request of every path and method with the port that it came to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def render(self, request: Request) -> bytes:
        """See `Resource`."""
        port = request.getHost().port
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Hello from port %d: %b %b\n" % (port, request.method, request.uri)


class UntilEnd(Protocol):
    """Calls `ended` when its input ends."""

    def __init__(self, ended: Any) -> None:
        self._ended = ended

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See `Protocol`."""
        self._ended()


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGINT or SIGTERM."""
    options = BackendOptions()
    options.parseOptions(arguments)
    try:
        sock = bound_socket(options["interface"], options.port(), _BACKLOG)
    except CannotListenError as problem:
        cannot_listen(problem)
    from twisted.internet import reactor, stdio

    port: Any = reactor.adoptStreamPort(sock.fileno(), sock.family, Site(WhichPort()))  # type: ignore[attr-defined]
    sock.close()
    if options["until-eof"]:
        stdio.StandardIO(UntilEnd(partial(stop, reactor)))
    reactor.callWhenRunning(stop_on_signals, reactor)
    # Said only now: whoever reads it may send a signal at once, and that must find its handler.
    line = f"demo back-end listening on {address_text(port.getHost())}"
    reactor.callWhenRunning(partial(print, line, flush=True))
    reactor.run()
