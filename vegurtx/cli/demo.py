"""``python -m vegurtx demo``: two demo back-ends and a proxy before them, ended together.

The proxy runs in this process. The back-ends are children that end when their standard input does: none outlives
this process, however it ends.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python import usage
from twisted.python.failure import Failure

from vegurtx.cli.dotted import LoadError
from vegurtx.cli.misuse import StrictOptions, cannot_listen, port_number
from vegurtx.cli.reactor import hear_children, install_fastest_reactor
from vegurtx.cli.router import load_router
from vegurtx.cli.run import run, stop
from vegurtx.service import ProxyService, address_text, bound_socket, make_service
from vegurtx.settings import Settings

TOY_ROUTER = "examples.toy_router.ToyRouter"
#: seconds that a back-end has to end by itself
_PATIENCE = 3.0


class DemoOptions(StrictOptions):
    """Options of the demo."""

    synopsis = "Usage: python -m vegurtx demo [options]"
    longdesc = "Two demo back-ends and a proxy before them."
    optParameters = [
        ["port", "p", "8080", "The proxy's port."],
        ["backends", "b", "8081,8082", "The back-ends' ports, with commas between them."],
        ["interface", "i", "127.0.0.1", "The IP address to listen on."],
        [
            "router",
            "r",
            TOY_ROUTER,
            "The router; the default one is in a checkout's examples, and knows 8081 and 8082.",
        ],
    ]

    backend_ports: list[int]
    router: Any

    def postOptions(self) -> None:
        """Check everything, then load the router.

        :raises usage.UsageError: something cannot be used.
        """
        self.port()
        self.backend_ports = [port_number("--backends", part.strip()) for part in self["backends"].split(",")]
        install_fastest_reactor()
        try:
            self.router = load_router(self["router"])
        except LoadError as problem:
            hint = "; the demo runs in a checkout, or with --router" if self["router"] == TOY_ROUTER else ""
            raise usage.UsageError(f"{problem}{hint}") from None


class Child(ProcessProtocol):
    """A back-end's process.

    :param reactor: starts it.
    :param port: where it shall listen; 0: the kernel chooses.
    :param gone: called with this object when the process has ended.
    """

    def __init__(self, reactor: Any, interface: str, port: int, gone: Callable[[Child], None]) -> None:
        self._reactor = reactor
        self._gone = gone
        self._said = b""
        self.port = port
        #: fires with this object when it listens; None then, and after the process has ended
        self.listening: Deferred[Child] | None = Deferred()
        self.ended: Deferred[None] = Deferred()
        command = [sys.executable, "-m", "vegurtx", "demo-backend", "--until-eof"]
        self.process: Any = reactor.spawnProcess(
            self,
            sys.executable,
            [*command, "--interface", interface, "--port", str(port)],
            env=None,
            childFDs={0: "w", 1: "r", 2: 2},
        )
        self.pid: int = self.process.pid

    def outReceived(self, data: bytes) -> None:
        """It says where it listens."""
        self._said += data
        if self.listening is not None and b"\n" in self._said:
            self.port = int(self._said.split(b"\n")[0].rpartition(b":")[2])
            listening, self.listening = self.listening, None
            listening.callback(self)

    def processEnded(self, reason: Failure) -> None:
        """See `ProcessProtocol`."""
        self.listening = None
        self._gone(self)
        self.ended.callback(None)

    def end(self) -> Deferred[None]:
        """Make it end; the result fires when it has."""
        self._signal("TERM")
        killing = self._reactor.callLater(_PATIENCE, self._signal, "KILL")

        def done(_: None) -> None:
            if killing.active():
                killing.cancel()

        return self.ended.addCallback(done)

    def _signal(self, name: str) -> None:
        with contextlib.suppress(ProcessExitedAlready):
            self.process.signalProcess(name)


class Demo:
    """The back-ends and the proxy, from the first start to the last end.

    :param options: parsed.
    :param proxy: the service to start once all back-ends listen.
    """

    def __init__(self, reactor: Any, options: DemoOptions, proxy: ProxyService) -> None:
        self._reactor = reactor
        self._options = options
        self._proxy = proxy
        self._children: list[Child] = []
        self._ending = False
        self.status = 0

    def startService(self) -> None:
        """Start the back-ends."""
        hear_children(self._reactor)
        interface = self._options["interface"]
        self._children = [
            Child(self._reactor, interface, port, self._child_gone) for port in self._options.backend_ports
        ]
        listening = [child.listening for child in self._children if child.listening is not None]
        DeferredList(listening).addCallback(self._all_listen)

    def stopService(self) -> Deferred[Any]:
        """End the proxy, then the back-ends."""
        self._ending = True
        stopping = self._proxy.stopService() if self._proxy.running else None
        children = DeferredList([child.end() for child in self._children])
        return children if stopping is None else DeferredList([stopping, children])

    def _all_listen(self, _: object) -> None:
        if not self._ending:
            self._proxy.startService()
            print(self._advice(), flush=True)

    def _child_gone(self, child: Child) -> None:
        if self._ending:
            return
        if self._proxy.running:
            print(f"The back-end on port {child.port} has ended.", flush=True)
        else:  # it has said why on standard error
            self.status = 1
            self._ending = True
            stop(self._reactor)

    def _advice(self) -> str:
        address = address_text(self._proxy.ports[0].getHost())
        kills = [
            f"    kill {child.pid}  # ends the back-end on port {child.port}" for child in self._children
        ]
        ports = ", ".join(str(child.port) for child in self._children)
        return "\n".join(
            [
                f"vegurtx listening on {address}, back-ends on {ports}.",
                "Try, in another terminal:",
                f"    curl http://{address}/hello  # some more times: who answers?",
                *kills,
                f"    curl -i http://{address}/hello  # the others take over; without any it is 502",
                "Ctrl-C ends everything.",
            ]
        )


def main(arguments: Sequence[str]) -> None:
    """Run the demo until SIGINT or SIGTERM.

    :raises SystemExit: with status 1 where a port is in use, or the router is none.
    """
    options = DemoOptions()
    options.parseOptions(arguments)
    from twisted.internet import reactor

    settings = Settings.from_mapping({})
    port, interface = options.port(), options["interface"]
    try:
        sock = bound_socket(interface, port, settings.acceptors)
    except CannotListenError as problem:
        cannot_listen(problem)
    proxy = make_service(options.router, settings, port=port, interface=interface, sock=sock, reactor=reactor)
    demo = Demo(reactor, options, proxy)
    run(demo, reactor)
    raise SystemExit(demo.status)
