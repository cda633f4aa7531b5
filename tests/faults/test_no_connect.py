"""Rules 22, 24: back-ends that cannot be reached, in each way in which a name, a host or a port can fail."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer

from tests.faults.fault_case import GET, OK, FaultCase
from vegurtx import Backend
from vegurtx.errors import entry
from vegurtx.testing import answering, router_to


@implementer(IHostnameResolver)
class ScriptedResolver:
    """A resolver that answers as the test says.

    :param answer: the addresses; an exception that it raises at once; or None: it never answers.
    """

    def __init__(self, answer: list[str] | Exception | None) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def resolveHostName(
        self, receiver: Any, name: str, port: int = 0, types: Any = None, transport: str = "TCP", **kw: Any
    ) -> Any:
        """See `IHostnameResolver`."""
        self.asked.append(name)
        port = kw.get("portNumber", port)
        if isinstance(self.answer, Exception):
            raise self.answer
        receiver.resolutionBegan(self)
        if self.answer is not None:
            for address in self.answer:
                receiver.addressResolved(IPv4Address("TCP", address, port))
            receiver.resolutionComplete()
        return receiver


class NoConnect(FaultCase):
    """Each back-end fails in its own way, then a good one is found; others are served meanwhile."""

    async def words(self, *backends: Any, **settings: Any) -> list[Any]:
        """The words with which connects to `backends` are checked in, before a good one answers."""
        good = await self.backend(handler=answering(OK))
        router = router_to(*backends, good)
        proxy = await self.proxy(router, **settings)
        client = await proxy.connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(await router.finished, "normal")
        client.close()
        checkins = [call.arguments for call in router.of("checkin_service")]
        self.assertEqual([each[2] for each in checkins], ["connecting"] * len(backends) + ["connected"])
        return [each[3] for each in checkins[:-1]]

    def resolve(self, answer: list[str] | Exception | None) -> ScriptedResolver:
        """Have the reactor's resolver answer so."""
        resolver = ScriptedResolver(answer)
        before = self.reactor.nameResolver
        self.addCleanup(self.reactor.installNameResolver, before)
        self.reactor.installNameResolver(resolver)
        return resolver

    async def test_refused(self) -> None:
        """Rule 22: a port where nobody listens, a UNIX socket that nobody has, one that is no socket."""
        folder = self.folder()
        (folder / "file").write_text("no socket")
        words = await self.words(
            await self.refusing_backend(),
            Backend.unix(str(folder / "missing")),
            Backend.unix(str(folder / "file")),
        )
        self.assertEqual(words, ["econnrefused", "enoent", "econnrefused"])

    async def test_unreachable(self) -> None:
        """Rule 22: what the kernel has no way to, or does not let us connect to, has the kernel's word."""
        # 240.0.0.0/4 is reserved; broadcast is not for TCP.
        number = _number("255.255.255.255", 80)
        words = await self.words(Backend("255.255.255.255", 80))
        self.assertEqual(words, [errno.errorcode[number].lower()])
        self.assertEqual(entry(("downstream", words[0])).code, "H19" if "unreach" in words[0] else "")

    async def test_full_backlog(self) -> None:
        """Rules 22, 24: a back-end that accepts nobody costs `downstream_connect_timeout`."""
        words = await self.words(await self.silent_backend(), downstream_connect_timeout=150)
        self.assertEqual(words, ["etimedout"])

    async def test_full_backlog_of_a_unix_socket(self) -> None:
        """Rules 22, 24: there the kernel says EAGAIN at once; it is tried again until the limit."""
        path = str(self.folder() / "full")
        with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as filler:
            full.bind(path)
            full.listen(0)
            filler.connect(path)
            words = await self.words(Backend.unix(path), downstream_connect_timeout=150)
        self.assertEqual(words, ["etimedout"])

    async def test_backlog_that_empties(self) -> None:
        """Rule 22: a back-end that accepts in time is used."""
        backend = await self.backend(path=str(self.folder() / "busy"), handler=answering(OK))
        backend.pause_accepting()
        router = router_to(backend)
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(GET)
        await self.until(lambda: router.count("service_backend"))
        backend.resume_accepting()
        self.assertEqual((await client.receive_response()).body, b"hi")
        client.close()

    async def test_no_such_name(self) -> None:
        """Rule 22: NXDOMAIN, no address, and SERVFAIL are one to a resolver's callers: no address, `nxdomain`."""
        resolver = self.resolve([])
        words = await self.words(Backend("gone.test", 80), Backend("gone.test", 81))
        self.assertEqual((words, resolver.asked), (["nxdomain", "nxdomain"], ["gone.test", "gone.test"]))
        self.assertEqual(entry(("downstream", "nxdomain")).status, 503)

    async def test_what_is_no_name(self) -> None:
        """Rule 22: what no resolver can be asked fails as a name without an address."""
        words = await self.words(Backend("a" * 64 + ".test", 80), Backend("two..dots", 80))
        self.assertEqual(words, ["nxdomain", "nxdomain"])

    async def test_resolver_that_does_not_answer(self) -> None:
        """Rules 22, 24: a name that is not resolved in time counts as a connect that took too long."""
        self.resolve(None)
        self.assertEqual(
            await self.words(Backend("slow.test", 80), downstream_connect_timeout=150), ["etimedout"]
        )

    async def test_resolver_that_raises(self) -> None:
        """Rule 22: a resolver of the program's own that fails is one more connect that failed, without a hang."""
        self.resolve(OSError(errno.EMFILE, "Too many open files"))
        self.assertEqual(await self.words(Backend("any.test", 80)), ["emfile"])

    async def test_addresses_that_do_not_answer(self) -> None:
        """Rule 22: of a name's addresses the first that answers is taken; if none does, the first one's word counts."""
        good = await self.backend(handler=answering(OK))
        self.resolve(["127.0.0.2", "127.0.0.1"])
        router = router_to(Backend("two.test", good.port))
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).body, b"hi")
        client.close()
        refusing = await self.refusing_backend()
        self.assertEqual(await self.words(Backend("two.test", refusing.port)), ["econnrefused"])

    async def test_client_that_does_not_wait(self) -> None:
        """Rule 21: a client that leaves while a name is looked up: the late answer opens nothing."""
        backend = await self.backend()
        resolver = self.resolve(None)
        router = router_to(Backend("slow.test", backend.port))
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(GET)
        await self.until(lambda: resolver.asked)
        client.abort()
        self.assertEqual(await router.finished, "error")
        self.assertEqual(self.ending(router), ("checkout", ("upstream", "closed")))
        self.assertEqual(backend.connections, [])


def _number(host: str, port: int) -> int:
    """What the kernel says to a connect there."""
    with socket.socket() as sock:
        sock.setblocking(False)
        return sock.connect_ex((host, port))
