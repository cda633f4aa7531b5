"""The program that options make: the bound sockets are the ones that are served, and all parts start and stop."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError

from tests.cli.cli_case import outcome_of
from vegurtx import ProxyFactory
from vegurtx.cli.options import Options
from vegurtx.cli.program import WATCH_INTERVAL, Program
from vegurtx.cli.run import run
from vegurtx.cli.tap import makeService
from vegurtx.service import ProxyService
from vegurtx.testing import ProxyTestCase, router_to

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Parts:
    """Stands in for the balancer and for what reloads it, and writes down what is asked of them."""

    def __init__(self, said: list[Any]) -> None:
        self._said = said

    def __getattr__(self, name: str) -> Any:
        def asked(*arguments: Any) -> Deferred[None]:
            self._said.append((name, *arguments))
            return succeed(None)

        return asked


class Recorded(ProxyService):
    """A service that writes down when it stops."""

    said: list[Any]

    def stopService(self) -> Deferred[Any]:
        """See `ProxyService`."""
        self.said.append(("proxy stops",))
        return super().stopService()


class Refusing:
    """An endpoint that cannot listen."""

    def listen(self, factory: object) -> Deferred[Any]:
        """See `IStreamServerEndpoint`."""
        result: Deferred[Any] = Deferred()
        result.errback(CannotListenError("::", 1, OSError("no")))
        return result


class FakeReactor:
    """Runs what it is told, and remembers that it was stopped."""

    def __init__(self) -> None:
        self._calls: list[Any] = []
        self._last: list[Any] = []
        self.stopped = False

    def callWhenRunning(self, function: Any, *arguments: Any) -> None:
        """See `IReactorCore`."""
        self._calls.append((function, arguments))

    def addSystemEventTrigger(self, phase: str, event: str, function: Any) -> None:
        """See `IReactorCore`."""
        self._last.append(function)

    def run(self) -> None:
        """See `IReactorCore`."""
        for function, arguments in self._calls:
            function(*arguments)
        for function in self._last:
            function()

    def stop(self) -> None:
        """See `IReactorCore`."""
        self.stopped = True


class Made(ProxyTestCase):
    """`makeService`."""

    async def test_bound_sockets_are_served(self) -> None:
        """Each is bound before it starts, and it is this one that clients then reach: who came before is served."""
        options = Options()
        options.parseOptions(
            [
                *("--router", "examples.toy_router.ToyRouter", "--interface", "127.0.0.1", "--port", "0"),
                *("--proxy-port", "0", "--listen", "tcp:0:interface=127.0.0.1"),
                *("--middleware", "tests.cli.test_cli_program.teapot", "--max-headers", "77"),
            ]
        )
        program = makeService(options)
        sockets = [listener.sock for listener in program.proxy.endpoints]  # type: ignore[union-attr]
        addresses = [sock.getsockname() for sock in sockets if sock is not None]
        self.assertEqual(len(addresses), 3)
        clients = [await self.connect(address) for address in addresses]
        for client, header in zip(clients, (b"", b"PROXY UNKNOWN\r\n", b""), strict=True):
            client.send(header + GET)
        program.startService()
        for client in clients:
            self.assertEqual((await client.receive_response()).status, 418)
        hosts = [port.getHost() for port in program.proxy.ports]
        self.assertEqual([(host.host, host.port) for host in hosts], addresses)
        self.assertEqual(program.proxy.factory.settings.max_headers, 77)
        await program.stopService()

    async def test_backlog(self) -> None:
        """``--acceptors`` reaches the bound sockets."""
        options = Options()
        arguments = ["--router", "examples.toy_router.ToyRouter", "--interface", "127.0.0.1", "--port", "0"]
        options.parseOptions([*arguments, "--acceptors", "1"])
        program = makeService(options)
        (listener,) = program.proxy.endpoints
        self.assertEqual(listener._backlog, 1)  # type: ignore[union-attr]
        program.startService()
        await program.stopService()


class Life(ProxyTestCase):
    """Starting, reloading, stopping."""

    def program(self, said: list[Any], endpoints: Any = (), **options: Any) -> Program:
        """A program with parts that write down what is asked of them."""
        proxy = Recorded(ProxyFactory(router_to(), reactor=self.reactor), endpoints)
        proxy.said = said
        return Program(proxy, self.reactor, balancer=Parts(said), reloader=Parts(said), **options)

    async def test_order(self) -> None:
        """The balancer starts before clients come, and stops after they have gone."""
        said: list[Any] = []
        program = self.program(said, watch=True)
        program.startService()
        await program.stopService()
        self.assertEqual(
            said, [("start",), ("watch", WATCH_INTERVAL), ("stop",), ("proxy stops",), ("stop",)]
        )

    async def test_not_watched(self) -> None:
        """Unless it was asked for."""
        said: list[Any] = []
        program = self.program(said)
        program.startService()
        self.assertEqual(said, [("start",)])
        await program.stopService()

    async def test_hangup(self) -> None:
        """While it runs the signal is a reload; before and after it is what it was."""
        before = signal.getsignal(signal.SIGHUP)
        said: list[Any] = []
        program = self.program(said)
        program.startService()
        os.kill(os.getpid(), signal.SIGHUP)
        await self.until(lambda: ("reload",) in said)
        await program.stopService()
        self.assertIs(signal.getsignal(signal.SIGHUP), before)

    async def test_cannot_listen(self) -> None:
        """One line where the user looks, whatever has become of ``sys.stderr``; then it can be stopped."""
        program = self.program([], [Refusing()])
        outcome = outcome_of(lambda: self.started_badly(program))
        self.assertEqual(outcome, (1, "", "vegurtx: cannot listen on [::]:1: no\n"))
        await program.stopService()

    def started_badly(self, program: Program) -> None:
        """Start it with what stands for the terminal in the place of the real one."""
        self.patch(sys, "__stderr__", sys.stderr)
        program.startService()

    def test_run_ends_with_the_status(self) -> None:
        """A start that ends the program ends the reactor first, and everything is stopped."""
        reactor, said = FakeReactor(), []

        class Service:
            def startService(self) -> None:
                raise SystemExit(1)

            def stopService(self) -> None:
                said.append("stopped")

        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.assertEqual(outcome_of(lambda: run(Service(), reactor)).status, 1)
        self.assertEqual((reactor.stopped, said), (True, ["stopped"]))


def teapot(request: Any) -> Any:
    """A stage that answers everything."""
    from vegurtx import Response

    return Response(418)
