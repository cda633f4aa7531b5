"""`ProxyTestCase` itself: what it finds when a test leaves something behind."""

from __future__ import annotations

import unittest
from typing import Any, ClassVar

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.testing import ConversationError, ProxyTestCase, ScriptedConnection
from vegurtx.testing.leaks import open_sockets
from vegurtx.testing.waiting import running_reactor


class Deaf(Protocol):
    """A protocol that keeps its connection whatever happens to it: as a leaking proxy would."""

    kept: ClassVar[list[Any]] = []

    def connectionMade(self) -> None:
        """Hear nothing."""
        transport: Any = self.transport
        self.kept.append(transport)
        transport.pauseProducing()


def run(case: unittest.TestCase) -> str:
    """Run one test, on the reactor, and return what it reported."""
    result = unittest.TestResult()
    case.run(result)
    return "\n".join(text for _, text in result.errors + result.failures)


class Leaks(SynchronousTestCase):
    """What is left behind is found and named. (Each case runs the reactor by itself, hence no `TestCase`
    here.)
    """

    def test_clean(self) -> None:
        """A test that leaves connections to the peers alone is clean: those are closed for it."""

        class Clean(ProxyTestCase):
            async def test(self) -> None:
                backend = await self.backend()
                await self.connect(backend.address)
                await backend.accept()
                await self.refusing_backend()
                await self.silent_backend()

        before = open_sockets()
        self.assertEqual(run(Clean("test")), "")
        self.assertEqual(open_sockets().keys() - before.keys(), set())

    def test_socket(self) -> None:
        """A connection that the proxy keeps is named with its addresses."""
        port = 0

        class Leaky(ProxyTestCase):
            settle = 0.05

            async def test(self) -> None:
                nonlocal port
                proxy = await self.listen(Factory.forProtocol(Deaf))
                port = proxy.port
                await proxy.connect()
                await self.until(lambda: Deaf.kept)

        report = run(Leaky("test"))
        self.assertIn(f"at ('127.0.0.1', {port})", report)
        self.assertIn("socket: descriptor", report)
        while Deaf.kept:
            Deaf.kept.pop().abortConnection()
        running_reactor().iterate(0.01)
        running_reactor().iterate(0.01)

    def test_timer(self) -> None:
        """A timer that is still set is named, once, with its function."""

        class Leaky(ProxyTestCase):
            settle = 0.05

            async def test(self) -> None:
                self.reactor.callLater(3600, print)

        report = run(Leaky("test"))
        self.assertRegex(report, "timer: .*print")
        self.assertNotIn("DirtyReactor", report)

    def test_handler(self) -> None:
        """What goes wrong in a back-end's handler fails the test."""

        class Wrong(ProxyTestCase):
            async def test(self) -> None:
                async def handler(connection: ScriptedConnection) -> None:
                    await connection.expect(b"yes")

                backend = await self.backend(handler=handler)
                client = await self.connect(backend.address)
                client.send(b"no!")
                await self.until(lambda: backend.failures)

        self.assertRegex(run(Wrong("test")), ConversationError.__name__)

    def test_failing_test(self) -> None:
        """A test that fails is reported once, and cleaned up after."""

        class Failing(ProxyTestCase):
            patience = 0.05

            async def test(self) -> None:
                backend = await self.backend()
                client = await self.connect(backend.address)
                await client.receive(1)

        before = open_sockets()
        report = run(Failing("test"))
        self.assertIn("waited 0.05 s for 1 bytes", report)
        self.assertNotIn("left something behind", report)
        self.assertEqual(open_sockets().keys() - before.keys(), set())
