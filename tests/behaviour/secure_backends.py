"""What the tests of TLS to back-ends share: an authority, back-ends with its certificates, and the log's lines."""

from __future__ import annotations

import ssl
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver
from twisted.logger import formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.behaviour.conversation import GET, GOOD, OK, Conversation, Ending
from vegurtx import Backend, BackendTLS
from vegurtx.testing import ScriptedServer, router_to, server_context
from vegurtx.testing.authority import Authority

NAME = "back.example"


@implementer(IHostnameResolver)
class EverythingHere:
    """A resolver for which every name is this machine's."""

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *_: Any, **__: Any) -> Any:
        """See `IHostnameResolver`."""
        receiver.resolutionBegan(None)
        receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        receiver.resolutionComplete()


class Secure(Conversation):
    """Back-ends that speak TLS. Every name is this machine's."""

    def setUp(self) -> None:
        """An authority, which the system does not know, and a file with its certificate."""
        super().setUp()
        self.authority = Authority()
        self.ca = str(self.authority.save(self.folder()))
        self.asked_for: list[str | None] = []
        self.lines: list[str] = []
        old = self.reactor.installNameResolver(EverythingHere())
        self.addCleanup(self.reactor.installNameResolver, old)
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: dict[str, Any]) -> None:
        if event.get("log_namespace") == "vegurtx.net.complaints":
            self.lines.append(formatEvent(event))

    async def secure(
        self,
        *names: str,
        certificate: Any = None,
        handler: Any = None,
        path: str | None = None,
        **options: Any,
    ) -> ScriptedServer:
        """A back-end with a certificate for `names`, or with this one; `options` are `server_context`'s."""
        issued = certificate or self.authority.issue(*(names or (NAME,)))
        context = server_context(issued, self.folder(), **options)
        context.sni_callback = self._sni
        return await self.backend(tls=context, handler=handler, path=path)

    def _sni(self, _: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        self.asked_for.append(name)

    def trusting(self, **options: Any) -> BackendTLS:
        """TLS that trusts the authority."""
        return BackendTLS(**{"ca": self.ca, **options})

    async def assert_served(
        self, backend: ScriptedServer, way: Backend, proxy: Any = None, expects: str = GET.decode()
    ) -> Any:
        """A request goes there and back; returns the back-end's connection."""
        proxy = proxy or await self.proxy(router_to(way))
        proxy.router.backends[:] = [way]
        client = await proxy.connect()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(proxy.router), GOOD)
        client.close()
        return server

    async def assert_refused(
        self,
        way: Backend,
        word: str,
        line: str | None,
        backend: ScriptedServer | None = None,
        proxy: Any = None,
    ) -> None:
        """No TLS there: the connect fails with `word`, a line in the log says `line`, and no byte of the request
        has gone there. The router is asked again, and gives up with that word.
        """
        reason = ("downstream", word)
        router = router_to(way, exhausted=reason)
        proxy = proxy or await self.proxy(router)
        del self.lines[:]
        client = await proxy.connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).status, 503)
        self.assertEqual(await self.ending(router), Ending("checkout", reason, "error"))
        checked_in = [call.arguments[1:] for call in router.of("checkin_service")]
        self.assertEqual(checked_in, [(way, "connecting", word), (None, "checkout", reason)])
        if line is None:
            self.assertEqual(self.lines, [])
        else:
            self.assertEqual(len(self.lines), 1, self.lines)
            self.assertIn(line, self.lines[0])
            self.assertNotIn("\n", self.lines[0])
        client.close()
        await self.assert_nothing_said(backend)

    async def assert_nothing_said(self, backend: ScriptedServer | None) -> None:
        """The back-end has not heard a byte of a request; that its handshakes failed is as it should be."""
        if backend is None:
            return
        await self.turns()
        for connection in backend.connections:
            await connection.closed()
            self.assertEqual(connection.received, b"")
        del backend.failures[:]
