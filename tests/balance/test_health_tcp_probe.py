"""The TCP probe, on real sockets."""

from __future__ import annotations

from typing import Any

from tests.balance.health_fakes import check
from vegurtx.balance.health.state import Outcome
from vegurtx.balance.health.tcp_probe import tcp_probe
from vegurtx.balance.replica import Replica
from vegurtx.message import Backend
from vegurtx.testing import ProxyTestCase, self_signed, server_context


class TcpProbe(ProxyTestCase):
    """It connects, and closes in order."""

    async def outcome(self, backend: Backend, **keys: Any) -> Outcome:
        """Of a probe to `backend`."""
        return await tcp_probe(self.reactor, Replica("it", backend), check(type="tcp", **keys)).over

    async def test_connects(self) -> None:
        """Somebody listens; he gets no byte, and a clean end."""
        server = await self.backend()
        self.assertEqual(await self.outcome(server.as_backend()), (True, "connected"))
        connection = await server.accept()
        self.assertEqual(await connection.closed(), "clean")
        self.assertEqual(connection.received, b"")

    async def test_greeting(self) -> None:
        """Whoever speaks first is not listened to."""

        async def greet(connection: Any) -> None:
            connection.send(b"220 hello\r\n" * 1000)

        server = await self.backend(handler=greet)
        self.assertEqual(await self.outcome(server.as_backend()), (True, "connected"))

    async def test_refused(self) -> None:
        """Nobody listens."""
        nobody = await self.refusing_backend()
        self.assertEqual(await self.outcome(nobody.as_backend()), (False, "connection refused"))

    async def test_port(self) -> None:
        """Another port than the replica's."""
        server, nobody = await self.backend(), await self.refusing_backend()
        self.assertTrue((await self.outcome(nobody.as_backend(), port=server.port)).ok)
        self.assertFalse((await self.outcome(server.as_backend(), port=nobody.port)).ok)

    async def test_unix(self) -> None:
        """A UNIX socket; a `port` means nothing there."""
        path = str(self.folder() / "s")
        self.assertEqual(await self.outcome(Backend.unix(path)), (False, "no such file or directory"))
        await self.backend(path=path)
        self.assertTrue((await self.outcome(Backend.unix(path), port=9)).ok)

    async def test_no_handshake(self) -> None:
        """A replica with TLS is asked for the connect only."""
        server = await self.backend(tls=server_context(self_signed("x.example"), self.folder()))
        self.assertEqual(await self.outcome(server.as_backend(tls=True)), (True, "connected"))
        await self.until(lambda: server.failures or server.connections)
        server.failures.clear()  # it has waited for the handshake

    async def test_name(self) -> None:
        """A host name that nobody has resolved yet, and one that has no address."""
        server = await self.backend()
        self.assertTrue((await self.outcome(Backend("localhost", server.port))).ok)
        for name in ("name.invalid", "x" * 70 + ".example"):
            self.assertEqual(await self.outcome(Backend(name, 9)), (False, "its name has no address"))

    async def test_cut_off(self) -> None:
        """While the connect neither succeeds nor fails; nothing is left (the case looks)."""
        silent = await self.silent_backend()
        attempt = tcp_probe(self.reactor, Replica("it", silent.as_backend()), check(type="tcp"))
        await self.turns()
        self.assertFalse(attempt.over.called)
        attempt.cut_off(Outcome(False, "cut"))
        self.assertEqual(await attempt.over, (False, "cut"))
