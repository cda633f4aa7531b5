"""What is no middleware is refused when the proxy is made, not when its first request comes."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend, ProxyFactory, default_middlewares
from vegurtx.middleware import Continue, Upgrade, ValidateHeaders
from vegurtx.testing import MemoryProxy, RecordingRouter, answering, router_to

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Named:
    """Its `execute` is no method."""

    execute = "yes"


class Executes:
    """A good one, as an object."""

    def execute(self, request: Any) -> None:
        """See `IMiddleware`."""

    def __repr__(self) -> str:
        return "<executes>"


class Misuse(SynchronousTestCase):
    """`ProxyFactory` looks at the chain."""

    def test_refused(self) -> None:
        """``TypeError``, which names what was given."""
        for wrong in (None, "validate", 7, object(), Named(), Executes):
            with self.subTest(wrong):
                chain = [*default_middlewares(), wrong]
                error = self.assertRaises(TypeError, ProxyFactory, router_to(), None, chain, reactor=Clock())
                self.assertIn(repr(wrong), str(error))
                self.assertIn("middleware", str(error))

    def test_accepted(self) -> None:
        """Objects with ``execute``, functions, bound methods, and objects that can be called."""
        for stage in (Executes(), lambda request: None, Executes().execute):
            ProxyFactory(router_to(), None, [stage, *default_middlewares()], reactor=Clock())


class Subclasses(SynchronousTestCase):
    """A default stage of which somebody has made another one."""

    def test_each_request(self) -> None:
        """It is asked for every request, also for those that are much the same as the one before."""
        seen: list[str] = []
        chain = default_middlewares()
        for place, kind in ((0, ValidateHeaders), (2, Continue), (3, Upgrade)):

            class Own(kind):  # type: ignore[misc, valid-type]
                def execute(self, request: Any, name: str = kind.__name__) -> Any:
                    seen.append(name)
                    return super().execute(request)

            chain[place] = Own()
        proxy = MemoryProxy(
            RecordingRouter([Backend("10.0.0.1", 80, keepalive="default")]), middlewares=chain
        )
        self.addCleanup(proxy.stop)
        proxy.backend("10.0.0.1", 80, answering(OK))
        client = proxy.client()
        for _ in range(3):
            self.assertEqual(client.ask("GET", "http://x/").status, 200)
        self.assertEqual(seen, ["ValidateHeaders", "Continue", "Upgrade"] * 3)
