"""EMFILE: the program has no descriptor left. It rests, says so once, fails what it must, and comes back."""

from __future__ import annotations

import os
import resource

from tests.faults.program_case import ProgramCase
from vegurtx.testing import BlockingClient

GET = b"GET /bytes/2 HTTP/1.1\r\nHost: 0-pooled.test\r\n\r\n"
#: seconds over which the program's CPU time is looked at, and how much of them it may use
LOOK = 1.5
BUSY = 0.25


class OutOfDescriptors(ProgramCase):
    """The limit of the running program is lowered to a few more than it has open."""

    def leave(self, spare: int) -> None:
        """Leave the program so many descriptors."""
        _, hard = resource.prlimit(self.proxy.pid, resource.RLIMIT_NOFILE)
        highest = max(map(int, os.listdir(f"/proc/{self.proxy.pid}/fd")))
        resource.prlimit(self.proxy.pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))

    def test_no_more_clients(self) -> None:
        """Who is here is served, who waits is served when there are descriptors again; no spin, no flood in the log."""
        self.start()
        client = BlockingClient(self.proxy.port)
        self.addCleanup(client.close)
        self.assertEqual(client.request("GET", "/bytes/2", headers=[("Host", "0-pooled.test")]).status, 200)
        self.leave(10)
        idle = [self.connect() for _ in range(40)]
        waiting = idle[-1]
        waiting.sendall(GET)
        self.proxy.wait_for("no client can be accepted")
        before = self.proxy.cpu_seconds()
        waiting.settimeout(LOOK)
        with self.assertRaises(TimeoutError):
            waiting.recv(1)
        self.assertLess(self.proxy.cpu_seconds() - before, BUSY)
        # over the connection in the pool, which needs no descriptor
        self.assertEqual(client.request("GET", "/bytes/2", headers=[("Host", "0-pooled.test")]).status, 200)
        for sock in idle[:-1]:
            sock.close()
        waiting.settimeout(20.0)
        answer = waiting.recv(65536)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.proxy.wait_for("all clients that waited")
        self.assertEqual(self.proxy.output.count("no client can be accepted"), 1)

    def test_no_connect(self) -> None:
        """A connect to a back-end fails with its own word; the client has its page, and the next request is served."""
        self.start()
        client = BlockingClient(self.proxy.port)
        self.addCleanup(client.close)
        self.assertEqual(client.request("GET", "/bytes/2", headers=[("Host", "0.test")]).status, 200)
        self.leave(4)
        idle = [self.connect() for _ in range(20)]
        self.proxy.wait_for("no client can be accepted")
        failed = 0
        while failed < 20:  # what is closed meanwhile may be had by a connect before it is had by a client
            response = client.request("GET", "/bytes/2", headers=[("Host", "0.test")])
            if response.status != 200:
                self.assertEqual((response.status, response.body), (503, b"('downstream', 'emfile')"))
                failed += 1
        for sock in idle:
            sock.close()
        # what the kernel has closed, the program has to close as well
        while (status := client.request("GET", "/bytes/2", headers=[("Host", "0.test")]).status) == 503:
            pass
        self.assertEqual(status, 200)
