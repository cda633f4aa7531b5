"""Where no worker comes up, another one takes its clients in, and gives the sockets back when somebody is there."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ops.workers_case import PATIENCE, WorkersCase, until
from vegurtx.listeners import Kind, ListenerSpec
from vegurtx.ops.workers.assignment import listeners_of
from vegurtx.ops.workers.lending import FAILURES, Lending
from vegurtx.ops.workers.loans import Loans
from vegurtx.ops.workers.sockets import bind_shared
from vegurtx.ops.workers.worker import State
from vegurtx.testing import ProxyTestCase, answering, response_bytes, router_to

HTTP = ListenerSpec(Kind.HTTP, "127.0.0.1", 0)


class Ready:
    """A worker that is told."""

    pid = 1

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = State.READY
        self.told: list[Any] = []

    def tell(self, order: str, descriptors: Any = (), /, **more: Any) -> bool:
        """It is noted: the order, the place, and how many descriptors."""
        self.told.append((order, more["place"], len(descriptors)))
        return True


class Place:
    """A slot."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: Ready | None = Ready(number)
        self.failures = 0

    @property
    def ready(self) -> bool:
        """Whether somebody is there."""
        return self.worker is not None and self.worker.state is State.READY

    def fails(self, failures: int = FAILURES) -> None:
        """Who was there has gone, and nobody comes up."""
        if self.worker is not None:
            self.worker.state = State.GONE
        self.worker = None
        self.failures = failures


class Lenders(SynchronousTestCase):
    """`Lending`."""

    def setUp(self) -> None:
        """Three places, a TCP listener and a UNIX socket that all share."""
        listeners = bind_shared([HTTP], Clock(), backlog=5, workers=3)
        for each in listeners:
            self.addCleanup(each.close)
        self.places = [Place(number) for number in range(3)]
        self.lending = Lending(listeners, 3)

    def look(self) -> list[Any]:
        """What the workers are told then."""
        for place in self.places:
            if place.worker is not None:
                place.worker.told.clear()
        self.lending.look(self.places)  # type: ignore[arg-type]
        return [told for place in self.places if place.worker for told in place.worker.told]

    def test_first_failure(self) -> None:
        """One that died once is followed soon: nothing is lent."""
        self.places[0].fails(FAILURES - 1)
        self.assertEqual(self.look(), [])

    def test_lent_and_returned(self) -> None:
        """Once; and given back when somebody is there again."""
        self.places[0].fails()
        self.assertEqual(self.look(), [("lend", 0, 1)])
        self.assertEqual(self.look(), [])
        self.places[0].worker = Ready(0)
        self.assertEqual(self.look(), [("return", 0, 0)])
        self.assertEqual(self.look(), [])

    def test_spread(self) -> None:
        """Two places' sockets go to two workers; one worker has both where there is no other."""
        self.places = [Place(number) for number in range(4)]
        self.places[0].fails()
        self.places[1].fails()
        self.look()
        holders = [place.worker.told for place in self.places if place.worker is not None]
        self.assertEqual(holders, [[("lend", 0, 1)], [("lend", 1, 1)]])
        self.places[3].fails(0)
        self.assertEqual(self.look(), [("lend", 1, 1)])

    def test_holder_leaves(self) -> None:
        """Then another one gets them."""
        self.places[0].fails()
        self.look()
        holder = self.places[1].worker
        assert holder is not None
        holder.state = State.LEAVING
        self.assertEqual(self.look(), [("lend", 0, 1)])
        self.assertEqual(holder.told, [])

    def test_nobody_is_ready(self) -> None:
        """Nothing can be done; who comes up first gets them all."""
        for place in self.places:
            place.fails()
        self.assertEqual(self.look(), [])
        self.places[2].worker = Ready(2)
        self.assertEqual(self.look(), [("lend", 0, 1), ("lend", 1, 1)])

    def test_shared_by_all(self) -> None:
        """A socket that all serve needs not be lent."""
        folder = self.mktemp()
        os.mkdir(folder)
        unix = ListenerSpec(Kind.ENDPOINT, description=f"unix:{folder}/s")
        listeners = bind_shared([unix, HTTP], Clock(), backlog=5, workers=3)
        for each in listeners:
            self.addCleanup(each.close)
        self.lending = Lending(listeners, 3)
        self.places[0].fails()
        self.assertEqual(self.look(), [("lend", 0, 1)])


class Borrowing(ProxyTestCase):
    """`Loans`: a worker's side, with sockets."""

    async def test_taken_and_given_back(self) -> None:
        """Clients are served while it is lent; they wait when it is not, and where the proxy is full."""
        backend = await self.backend(handler=answering(response_bytes(200, b"hello")))
        proxy = await self.proxy(router_to(backend))
        (listener,) = bind_shared([HTTP], self.reactor, backlog=5, workers=1)
        self.addCleanup(listener.close)
        sock = listener.sockets[0]

        class Service:
            factory = proxy.factory
            ports: list[Any] = []

        loans = Loans(Service(), lambda indices, taken: listeners_of(indices, taken, [HTTP], self.reactor, 5))

        def lend() -> None:
            descriptors = [os.dup(sock.fileno())]
            loans.take(7, [0], descriptors)
            self.assertEqual(descriptors, [])

        async def served() -> None:
            client = await self.connect(sock.getsockname())
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertEqual((await client.receive_response()).body, b"hello")

        lend()
        await served()
        loans.give_back(7)
        loans.give_back(8)
        with socket.create_connection(sock.getsockname()):
            await self.turns()
            self.assertEqual(proxy.factory.clients, 0)
            lend()
            await self.until(lambda: proxy.factory.clients == 1)
        await served()
        (loan,) = Service.ports
        loan.pauseProducing()
        loans.give_back(7)
        lend()
        await self.until(lambda: not proxy.factory.clients)
        with socket.create_connection(sock.getsockname()):
            await self.turns()
            self.assertEqual(proxy.factory.clients, 0)
            loan.resumeProducing()
            await self.until(lambda: proxy.factory.clients == 1)
        await loan.stopListening()
        lend()
        await self.until(lambda: not proxy.factory.clients)
        with socket.create_connection(sock.getsockname()):
            await self.turns()
            self.assertEqual(proxy.factory.clients, 0)


class Programs(WorkersCase):
    """The real program."""

    def test_one_cannot_start(self) -> None:
        """While one of two places is empty all clients are served, and a new program is tried; then both serve."""
        proxy = self.start(router="tests.ops.workers_case.unreliable")
        first = self.workers(proxy.port)
        (self.folder / "broken").touch()
        victim, survivor = sorted(first)
        os.kill(victim, signal.SIGKILL)
        proxy.wait_for("its clients are served by worker", PATIENCE)
        self.assertEqual({self.ask(proxy.port) for _ in range(50)}, {survivor})
        proxy.signal(signal.SIGUSR2)
        proxy.wait_for("SIGUSR2: the running program stays", PATIENCE)
        (self.folder / "broken").unlink()
        self.workers(proxy.port, {survivor, victim}, count=1)
        until(lambda: len({self.ask(proxy.port) for _ in range(20)}) == 2)
        self.assertEqual(proxy.stop(PATIENCE), 0)
