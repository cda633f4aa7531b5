"""The sockets that the supervisor binds: one a worker on one address, and nobody else on it."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.listeners import Kind, ListenerSpec, bind
from vegurtx.net.binding import bound_socket, bound_unix_socket
from vegurtx.ops.workers.assignment import Assignment
from vegurtx.ops.workers.sockets import SharedListener, Unshareable, bind_shared, descriptors_of
from vegurtx.ops.workers.succession import Succession, succession

HTTP = ListenerSpec(Kind.HTTP, "127.0.0.1", 0)


class Binding(SynchronousTestCase):
    """`bind_shared`."""

    def bound(self, *specs: ListenerSpec, workers: int = 3, **options: Any) -> list[SharedListener]:
        """Bound, and closed after the test."""
        made = bind_shared(specs, Clock(), backlog=64, workers=workers, **options)
        for each in made:
            self.addCleanup(each.close)
        return made

    def test_one_a_worker(self) -> None:
        """Each has a socket of its own, all on one address that the first one has chosen; clients go to all of them."""
        (listener,) = self.bound(HTTP)
        names = {sock.getsockname() for sock in listener.sockets}
        self.assertEqual((len(listener.sockets), len(names)), (3, 1))
        (name,) = names
        self.assertEqual(listener.address, f"127.0.0.1:{name[1]}")
        for _ in range(60):
            self.addCleanup(socket.create_connection(name).close)
        waiting = [_accepted(sock) for sock in listener.sockets]
        self.assertEqual(sum(waiting), 60)
        self.assertGreater(min(waiting), 0)

    def test_in_use(self) -> None:
        """The sockets can share their address, others cannot take it; and theirs is not shared with who has it."""
        (listener,) = self.bound(HTTP)
        port = listener.sockets[0].getsockname()[1]
        taken = ListenerSpec(Kind.HTTP, "127.0.0.1", port)
        self.assertRaises(CannotListenError, bind, taken, Clock())
        self.assertRaises(CannotListenError, self.bound, taken)
        other = bound_socket("127.0.0.1", 0, 5)
        self.addCleanup(other.close)
        taken = ListenerSpec(Kind.HTTP, "127.0.0.1", other.getsockname()[1])
        self.assertRaises(CannotListenError, self.bound, taken)

    def test_all_or_none(self) -> None:
        """Where one cannot be had, those before it are closed."""
        with socket.create_server(("127.0.0.1", 0)) as other, tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "s")
            unix = ListenerSpec(Kind.ENDPOINT, description=f"unix:{path}")
            taken = ListenerSpec(Kind.HTTP, "127.0.0.1", other.getsockname()[1])
            self.assertRaises(CannotListenError, self.bound, unix, taken)
            self.assertFalse(path.exists())

    def test_endpoints(self) -> None:
        """A description's TCP socket is multiplied, too; a UNIX socket is shared by all, and its file removed."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "s")
            tcp, unix = self.bound(
                ListenerSpec(Kind.ENDPOINT, description="tcp:0:interface=127.0.0.1"),
                ListenerSpec(Kind.ENDPOINT, description=f"unix:{path}"),
            )
            self.assertEqual((len(tcp.sockets), len(unix.sockets)), (3, 1))
            self.assertEqual(unix.address, f"unix:{path}")
            indices, descriptors = descriptors_of([tcp, unix], 1, 3)
            self.assertEqual(indices, [0, 1])
            self.assertEqual(descriptors, [tcp.sockets[1].fileno(), unix.sockets[0].fileno()])
            unix.close()
            self.assertFalse(path.exists())

    def test_ipv6(self) -> None:
        """An IPv6 address is shared in the same way."""
        (listener,) = self.bound(ListenerSpec(Kind.HTTP, "::1", 0))
        self.assertEqual(len({sock.getsockname() for sock in listener.sockets}), 1)

    def test_unshareable(self) -> None:
        """What makes its socket only when it listens cannot be handed on."""
        spec = ListenerSpec(Kind.ENDPOINT, description="stdio:")
        problem = self.assertRaises(Unshareable, self.bound, spec)
        self.assertEqual(str(problem), "--workers: 'stdio:' cannot be shared by several processes")

    def test_fewer_workers(self) -> None:
        """No socket is left out where there are more of them than workers: each has a client's connection in it."""
        (listener,) = self.bound(HTTP, workers=5)
        served = [listener.of_worker(number, 2) for number in range(2)]
        self.assertEqual([len(each) for each in served], [3, 2])
        self.assertEqual(set(served[0] + served[1]), set(listener.sockets))

    def test_inherited(self) -> None:
        """Sockets that are there are used, and more are made for more workers."""
        (former,) = self.bound(HTTP, workers=2)
        before = list(former.sockets)
        (listener,) = self.bound(HTTP, workers=3, inherited={0: former})
        self.assertEqual(listener.sockets[:2], before)
        self.assertEqual(len({sock.getsockname() for sock in listener.sockets}), 1)
        self.assertEqual(len(listener.sockets), 3)

    def test_assigned(self) -> None:
        """A worker makes listeners of the sockets that it gets, in whatever number."""
        (listener,) = self.bound(HTTP, workers=3)
        indices, descriptors = descriptors_of([listener], 0, 2)
        copies = [os.dup(each) for each in descriptors]
        made = Assignment(0, 2, b"", False, indices, copies).bind([HTTP], Clock(), 64)
        for each in made:
            self.addCleanup(each.close)
        names = [each.sock.getsockname() for each in made if each.sock is not None]
        self.assertEqual(names, [listener.sockets[0].getsockname()] * 2)

    def test_systemd(self) -> None:
        """A socket that systemd has passed is taken from the supervisor; the list that it was in is not asked again."""
        sock = bound_socket("127.0.0.1", 0, 5)
        listener = bind(
            ListenerSpec(Kind.ENDPOINT, description="haproxy:systemd:domain=INET:index=0"), Clock(), sock=sock
        )
        self.addCleanup(listener.close)
        self.assertIs(listener.sock, sock)


class Handing(SynchronousTestCase):
    """`Succession`: what one program of a process leaves to the next."""

    def setUp(self) -> None:
        """Three listeners' sockets."""
        other = ListenerSpec(Kind.PROXY, "127.0.0.1", 0)
        self.specs = [HTTP, HTTP, other]
        self.listeners = bind_shared(self.specs, Clock(), backlog=5, workers=2)
        for each in self.listeners:
            self.addCleanup(each.close)

    def left(self) -> Succession:
        """What was left, as the next program reads it."""

        class Supervisor:
            secret = b"\x00secret"
            listeners = self.listeners
            workers: list[Any] = []
            replica_states = {("one", "http://a"): "maint"}

        environment = Succession.of(Supervisor(), "/run/pid").leave()  # type: ignore[arg-type]
        self.patch(os, "environ", {**os.environ, **environment})
        found = succession()
        assert found is not None
        self.assertIs(succession(), None)
        return found

    def test_all(self) -> None:
        """All is there again; nothing of it is inherited by others."""
        found = self.left()
        self.assertEqual((found.secret, found.pid_file), (b"\x00secret", "/run/pid"))
        self.assertEqual(found.replica_states, [["one", "http://a", "maint"]])
        numbers = [sock.fileno() for each in self.listeners for sock in each.sockets]
        self.assertEqual(found.descriptors, numbers)
        self.assertFalse(any(os.get_inheritable(number) for number in numbers))

    def test_by_description(self) -> None:
        """Each description gets its own sockets, two that are alike one each; what nobody wants is closed."""
        names = [each.sockets[0].getsockname() for each in self.listeners]
        found = self.left()
        for each in self.listeners:  # the next program has nothing but the numbers
            for sock in each.sockets:
                sock.detach()
            each.sockets = []
        mine = found.listeners_for([self.specs[2], HTTP])
        for each in mine.values():
            self.addCleanup(each.close)
        self.assertEqual([mine[index].sockets[0].getsockname() for index in (0, 1)], [names[2], names[0]])
        self.assertRaises(ConnectionRefusedError, socket.create_connection, names[1])

    def test_admin_socket(self) -> None:
        """The admin API's socket is there again where its address is the same; else it is closed, its file removed."""
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "admin"))
            for wanted, there in ((["", None, path], True), (["", None, path + "2"], False), ([], False)):
                sock = bound_unix_socket(path, 5)
                succession = Succession(b"", admin=(["", None, path], sock.detach(), path))
                self.assertEqual(len(succession.descriptors), 1)
                found = succession.admin_socket(wanted)
                self.assertEqual((found is not None, Path(path).exists()), (there, there))
                if found is not None:
                    self.assertEqual(found[1], path)
                    found[0].close()

    def test_of_another_process(self) -> None:
        """What was left to another process is nothing to us."""
        self.assertIs(succession(), None)
        pid = os.getpid()
        self.patch(os, "getpid", lambda: pid + 1)

        class Supervisor:
            secret = b""
            listeners: list[Any] = []
            workers: list[Any] = []
            replica_states: dict[Any, str] = {}

        environment = Succession.of(Supervisor(), "").leave()  # type: ignore[arg-type]
        self.patch(os, "getpid", lambda: pid)
        self.patch(os, "environ", {**os.environ, **environment})
        self.assertIs(succession(), None)


def _accepted(sock: socket.socket) -> int:
    count = 0
    while True:
        try:
            sock.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1
