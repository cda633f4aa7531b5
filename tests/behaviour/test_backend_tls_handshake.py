"""Rules 22 and 24: handshakes with back-ends that fail, last too long, or are given up; files of no use."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from tests.behaviour.conversation import GET, OK, Ending
from tests.behaviour.secure_backends import NAME, Secure
from vegurtx import Backend, BackendTLS
from vegurtx.testing import ScriptedConnection, answering, router_to
from vegurtx.testing.authority import Authority


class Failed(Secure):
    """``tls_failed``: no TLS came of it."""

    async def test_plain(self) -> None:
        """A back-end that speaks plain HTTP hears a handshake, and no request."""

        async def http(connection: ScriptedConnection) -> None:
            await connection.receive(1)
            connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        backend = await self.backend(handler=http)
        await self.assert_refused(self.way(backend), "tls_failed", "wrong version number")
        self.assertNotIn(b"HTTP", backend.connections[0].received)

    async def test_closes(self) -> None:
        """One that closes, or resets, during the handshake."""
        for leave in (ScriptedConnection.close, ScriptedConnection.abort, ScriptedConnection.half_close):
            with self.row(leave):

                async def leaving(connection: ScriptedConnection, leave: Any = leave) -> None:
                    await connection.receive(1)
                    leave(connection)

                backend = await self.backend(handler=leaving)
                await self.assert_refused(self.way(backend), "tls_failed", "during the handshake")

    async def test_versions(self) -> None:
        """One whose TLS is too old."""
        backend = await self.secure(newest=ssl.TLSVersion.TLSv1_2)
        server = await self.assert_served(backend, self.way(backend))
        self.assertEqual(server.protocol, "TLSv1.2")
        backend = await self.secure(newest=ssl.TLSVersion.TLSv1_2)
        await self.assert_refused(
            self.way(backend, minimum="TLSv1.3"), "tls_failed", "protocol version", backend
        )

    async def test_connect_fails(self) -> None:
        """A connect that fails before has the words of any other."""
        refusing = await self.refusing_backend()
        await self.assert_refused(Backend(NAME, refusing.port, tls=True), "econnrefused", None)
        nobody = Backend.unix(str(self.folder() / "nobody"), tls=BackendTLS(server_name=NAME))
        await self.assert_refused(nobody, "enoent", None)
        await self.assert_refused(Backend("a..b", 443, tls=True), "nxdomain", None)

    def way(self, backend: Any, **options: Any) -> Backend:
        """To that back-end, over TLS."""
        return Backend(NAME, backend.port, tls=self.trusting(**options))


class Late(Secure):
    """``tls_timeout``: the connect and the handshake have one deadline."""

    async def test_timeout(self) -> None:
        """Rule 24: a back-end that does not answer the handshake in time; time is the setting's, or its own."""
        for setting, own, limit in ((3000, None, 3), (3000, 7, 7)):
            with self.row(own):
                backend = await self.backend()
                way = Backend("127.0.0.1", backend.port, tls=True, connect_timeout=own)
                router = router_to(way, exhausted=("downstream", "tls_timeout"))
                proxy, clock = await self.timed_proxy(router, downstream_connect_timeout=setting)
                client = await proxy.connect()
                client.send(GET)
                server = await backend.accept()
                await server.receive(1)
                clock.advance(limit - 0.1)
                await self.turns()
                self.assertEqual(router.count("checkin_service"), 0)
                clock.advance(0.2)
                self.assertEqual((await client.receive_response()).status, 503)
                reason = ("downstream", "tls_timeout")
                self.assertEqual(await self.ending(router), Ending("checkout", reason, "error"))
                self.assertEqual(
                    router.of("checkin_service")[0].arguments[1:], (way, "connecting", "tls_timeout")
                )
                self.assertIn(f"within {limit} s", self.lines[-1])
                await server.closed()

    async def test_connect_takes_part_of_it(self) -> None:
        """Rule 24: what the connect took is not there for the handshake."""
        backend = await self.backend()
        router = router_to(Backend(NAME, backend.port, tls=True))
        proxy, clock = await self.timed_proxy(router)  # 5 s
        client = proxy.factory.client
        plain = client._plain_endpoint

        class Slow:
            def __init__(self, endpoint: Any) -> None:
                self.endpoint = endpoint

            def connect(self, factory: Any) -> Any:
                connecting = self.endpoint.connect(factory)
                clock.advance(4)
                return connecting

        client._plain_endpoint = lambda *arguments: Slow(plain(*arguments))
        asking = await proxy.connect()
        asking.send(GET)
        server = await backend.accept()
        await server.receive(1)
        clock.advance(1.1)
        self.assertEqual((await asking.receive_response()).status, 503)
        self.assertEqual(router.of("checkin_service")[0].arguments[3], "tls_timeout")

    async def test_in_time(self) -> None:
        """Rule 24: behind the handshake that deadline is nobody's."""
        backend = await self.secure()
        router = router_to(Backend(NAME, backend.port, tls=self.trusting()))
        proxy, clock = await self.timed_proxy(router)
        client = await proxy.connect()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        clock.advance(10)
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")

    async def test_client_leaves(self) -> None:
        """Rule 21: a client that leaves meanwhile gives the handshake up."""
        backend = await self.backend()
        router = router_to(Backend(NAME, backend.port, tls=True))
        client = await (await self.proxy(router)).connect()
        client.send(GET)
        server = await backend.accept()
        await server.receive(1)
        client.abort()
        await server.closed()
        await self.assert_ends(router, "checkout", ("upstream", "closed"), "error")
        self.assertEqual(self.lines, [])

    async def test_client_leaves_in_connect(self) -> None:
        """Rule 21: and so with the connect before it."""
        silent = await self.silent_backend()
        router = router_to(Backend(NAME, silent.port, tls=True))
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(GET)
        await self.until(lambda: router.count("service_backend"))
        await self.turns()
        client.abort()
        await self.assert_ends(router, "checkout", ("upstream", "closed"), "error")


class Files(Secure):
    """``tls_misconfigured``: a file that cannot be used; the log names it."""

    def setUp(self) -> None:
        """Files that are good, and files that are not."""
        super().setUp()
        self.files = self.folder()
        self.good, self.key = (
            str(each) for each in self.authority.issue("proxy", usage="client").save(self.files)
        )
        self.other = str(self.authority.issue("other", usage="client").save(self.folder())[1])

    def written(self, name: str, content: bytes = b"") -> str:
        """A file."""
        path = self.files / name
        path.write_bytes(content)
        return str(path)

    def locked(self) -> str:
        """A key with a password."""
        from cryptography.hazmat.primitives import serialization

        key = serialization.load_pem_private_key(Path(self.key).read_bytes(), None)
        return self.written(
            "locked.key",
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            ),
        )

    async def test_unusable(self) -> None:
        """Each is a failed connect, for each request anew, and nothing is connected to."""
        absent, empty, folder = str(self.files / "absent"), self.written("empty"), str(self.folder())
        locked = self.locked()
        for options, line in [
            ({"ca": absent}, f"{absent}: No such file or directory"),
            ({"ca": empty}, f"{empty}: no PEM certificate in it"),
            ({"ca": self.key}, f"{self.key}: no PEM certificate in it"),
            ({"ca": folder}, f"{folder}: no certificate in this folder"),
            ({"certificate": absent}, f"{absent}: No such file or directory"),
            ({"certificate": folder}, f"{folder}: Is a directory"),
            ({"certificate": empty}, f"{empty}: no PEM certificate in it"),
            ({"certificate": self.good}, f"{self.good}: no PEM private key in it"),
            ({"certificate": self.good, "private_key": absent}, f"{absent}: No such file or directory"),
            ({"certificate": self.good, "private_key": self.good}, f"{self.good}: no PEM private key in it"),
            (
                {"certificate": self.good, "private_key": locked},
                f"{locked}: no PEM private key in it, or one with",
            ),
            ({"certificate": self.good, "private_key": self.other}, f"the key in {self.other} is not this"),
            ({"certificate": "nul\0"}, "'nul\\x00': no file can have this name"),
        ]:
            with self.row(options):
                backend = await self.secure()
                way = Backend(NAME, backend.port, tls=self.trusting(**options))
                await self.assert_refused(way, "tls_misconfigured", line, backend)
                self.assertEqual(self.asked_for, [])
        Path(absent).write_bytes(Path(self.ca).read_bytes())
        await self.assert_served(backend, Backend(NAME, backend.port, tls=BackendTLS(ca=absent)))

    async def test_no_options(self) -> None:
        """What is no TLS option at all is said to be none."""
        way = Backend(NAME, 443, tls="yes")
        await self.assert_refused(way, "tls_misconfigured", "'yes' is no BackendTLS")

    async def test_read_once(self) -> None:
        """A file is read with the first connection; what becomes of it matters from `reload_tls` on."""
        path = self.written("ca.pem", Path(self.ca).read_bytes())
        new = Authority("new")
        old_backend = await self.secure(handler=answering(OK))
        new_backend = await self.secure(certificate=new.issue(NAME), handler=answering(OK))
        tls = BackendTLS(ca=path)
        router = router_to()
        proxy = await self.proxy(router)
        client = proxy.factory.client

        async def status(backend: Any) -> int:
            router.backends[:] = [Backend(NAME, backend.port, tls=tls)]
            asking = await proxy.connect()
            asking.send(GET)
            code = (await asking.receive_response()).status
            asking.close()
            return code

        self.assertEqual((await status(old_backend), await status(new_backend)), (200, 503))
        Path(path).write_bytes(b"")
        self.assertEqual(await status(old_backend), 200)
        self.assertEqual(client.reload_tls(), [f"{path}: no PEM certificate in it"])
        self.assertEqual((await status(old_backend), await status(new_backend)), (200, 503))
        Path(path).write_bytes(new.certificate)
        self.assertEqual(client.reload_tls(), [])
        self.assertEqual((await status(old_backend), await status(new_backend)), (503, 200))
        del old_backend.failures[:], new_backend.failures[:]
