"""The blocking peers against each other, and `ProxyProcess` against a program that is not the proxy."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vegurtx import testing
from vegurtx.testing import (
    BlockingClient,
    PeerClosed,
    PeerSilent,
    ProcessFailed,
    ProxyProcess,
    ThreadedBackend,
)
from vegurtx.testing.pattern import PERIOD, matches, pattern

MEGABYTE = 1 << 20


class Peers(SynchronousTestCase):
    """`BlockingClient` and `ThreadedBackend`."""

    def setUp(self) -> None:
        """A back-end and a client of it."""
        self.backend = ThreadedBackend(name="one")
        self.addCleanup(self.backend.stop)
        self.client = BlockingClient(self.backend.port)
        self.addCleanup(self.client.close)

    def test_facts(self) -> None:
        """The back-end tells what it received; a connection carries several requests."""
        for number in (1, 2):
            response = self.client.request("POST", "/a?b", [("Host", "x"), ("A", "1"), ("a", "2")], b"body")
            facts = json.loads(response.body)
            self.assertEqual((facts["backend"], facts["connection"]), ("one", 1))
            self.assertEqual((facts["method"], facts["target"], facts["body"]), ("POST", "/a?b", "body"))
            self.assertEqual(facts["headers"][1:3], [["A", "1"], ["a", "2"]])
            self.assertEqual(self.backend.requests, number)
        self.assertEqual((self.backend.connections, self.backend.most_open), (1, 1))

    def test_download(self) -> None:
        """`/bytes/N` is the pattern, each byte of it checked, also behind its period."""
        for size in (0, 1, 3 * MEGABYTE + 5):
            self.assertEqual(self.client.download(f"/bytes/{size}"), size)

    def test_upload(self) -> None:
        """`/sink` counts and hashes what it reads, with a length and chunked."""
        size = 2 * MEGABYTE + 3
        content = (pattern(0, PERIOD).tobytes() * 3)[:size]
        for chunked in (False, True):
            answer = json.loads(self.client.upload("/sink", size, chunked=chunked).body)
            digest = hashlib.sha256(content).hexdigest()
            self.assertEqual(answer, {"bytes": size, "sha256": digest, "matches": True})
        self.assertEqual(self.backend.body_bytes, 2 * size)

    def test_upload_of_something_else(self) -> None:
        """A body that is not the pattern does not match it."""
        answer = json.loads(self.client.request("POST", "/sink", body=b"x" * 10).body)
        self.assertEqual((answer["bytes"], answer["matches"]), (10, False))

    def test_other_targets(self) -> None:
        """`/status/N` and `/chunked/N`; HEAD has no body."""
        self.assertEqual(self.client.request("GET", "/status/204").status, 204)
        self.assertEqual(self.client.request("GET", "/chunked/70000").body, pattern(0, 70000).tobytes())
        response = self.client.request("HEAD", "/bytes/5")
        self.assertEqual((response.header("content-length"), response.body), ("5", b""))
        self.assertEqual(self.client.request("GET", "/bytes/3").body, pattern(0, 3).tobytes())

    def test_close(self) -> None:
        """A client that asks for it is closed after the response."""
        response = self.client.request("GET", "/", [("Host", "x"), ("Connection", "close")])
        self.assertEqual(response.header("connection"), "close")
        self.assertEqual(self.client.closed(), "clean")

    def test_expect(self) -> None:
        """A client that waits for it gets its 100."""
        head = b"PUT /sink HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        self.client.send(head)
        self.assertEqual(self.client.receive_head(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.client.send(b"hi")
        self.assertEqual(json.loads(self.client.receive_response().body)["bytes"], 2)

    def test_hanging_back_end(self) -> None:
        """A back-end that may not read does not, until it may."""
        self.backend.may_read.clear()
        self.client.send(b"PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        self.client.socket.settimeout(0.05)
        with self.assertRaises(PeerSilent):
            self.client.receive_response()
        self.backend.may_read.set()
        self.client.socket.settimeout(5)
        self.assertEqual(json.loads(self.client.receive_response().body)["bytes"], 2)

    def test_stopping(self) -> None:
        """A back-end that stops breaks its connections off and refuses new ones."""
        self.client.request()
        self.backend.stop()
        with self.assertRaises(PeerClosed):
            self.client.receive_response()
        with self.assertRaises(ConnectionRefusedError):
            BlockingClient(self.backend.port)

    def test_bad_request(self) -> None:
        """A request that is not correct is remembered as a failure."""
        self.client.send(b"GET / HTTP/1.1\r\nX : y\r\n\r\n")
        self.assertEqual(self.client.closed(), "clean")
        self.assertIn("X : y", str(self.backend.failures[0]))

    def test_reset(self) -> None:
        """The blocking client tells a reset from an orderly end, and can reset itself."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = BlockingClient(listener.getsockname()[1])
            server, _ = listener.accept()
            client.send(b"unread")
            server.recv(1)
            server.close()
            self.assertEqual(client.closed(), "reset")
            client = BlockingClient(listener.getsockname()[1])
            server, _ = listener.accept()
            client.abort()
            with server, self.assertRaises(ConnectionResetError):
                server.recv(1)

    def test_pattern(self) -> None:
        """The pattern matches itself only at the same offset."""
        self.assertTrue(matches(pattern(5 * PERIOD + 7, 100), 7))
        self.assertTrue(matches(pattern(PERIOD - 3, PERIOD), 2 * PERIOD - 3))
        self.assertFalse(matches(pattern(0, 100), 4096))


class NoReactor(SynchronousTestCase):
    """The blocking peers keep away from Twisted's reactor."""

    def test_imports(self) -> None:
        """A process that imports them has neither a reactor nor trial."""
        code = (
            "import sys; from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend; "
            "print([name for name in sys.modules if name.startswith('twisted')])"
        )
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(printed.stdout.strip(), "[]")

    def test_names(self) -> None:
        """Every public name is there, and no other."""
        self.assertEqual(sorted(testing._HOME), sorted(testing.__all__))
        for name in testing.__all__:
            self.assertEqual(getattr(testing, name).__name__, name)
        with self.assertRaises(AttributeError):
            testing.nothing  # noqa: B018


PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print(sys.argv[1:], file=sys.stderr)
if "fail" in sys.argv:
    sys.exit("no such router")
print("[-] vegurtx listening on 127.0.0.1:4321", flush=True)
print("[-] vegurtx listening on ::1:4322", flush=True)
if "noise" in sys.argv:
    print("x" * 3000000, flush=True)
    print("the last line", flush=True)
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("stubborn now", flush=True)
while True:
    time.sleep(3600)
"""


class Processes(SynchronousTestCase):
    """`ProxyProcess`, with a program that behaves as the proxy does towards it."""

    def start(self, *options: str, **more: object) -> ProxyProcess:
        """Start the stand-in."""
        from vegurtx.testing import process

        self.patch(process, "_PROGRAMS", {"twistd": ["-c", PROGRAM]})
        proxy = ProxyProcess("a.Router", options, **more)  # type: ignore[arg-type]
        self.addCleanup(proxy.kill)
        return proxy

    def test_start_and_stop(self) -> None:
        """It learns the ports, hands over the options, measures, and returns the exit status."""
        proxy = self.start("--x", "1", reactor="epoll", listeners=2)
        self.assertEqual((proxy.port, proxy.addresses[1]), (4321, ("::1", 4322)))
        proxy.wait_for("a.Router")
        expected = ["--nodaemon", "--pidfile=", "--reactor=epoll", "vegur", "--port", "0"]
        expected += ["--interface", "127.0.0.1", "--router", "a.Router", "--x", "1"]
        self.assertIn(str(expected), proxy.stderr)
        self.assertGreater(proxy.rss(), MEGABYTE)
        self.assertGreaterEqual(proxy.fds(), 3)
        self.assertGreaterEqual(proxy.cpu_seconds(), 0)
        self.assertTrue(proxy.running)
        self.assertEqual(proxy.stop(), 3)
        self.assertFalse(proxy.running)

    def test_failing(self) -> None:
        """A program that ends at once is reported with what it said."""
        with self.assertRaisesRegex(ProcessFailed, "no such router"):
            self.start("fail")

    def test_output_is_bounded(self) -> None:
        """However much it says, it is not blocked, and the end is kept."""
        proxy = self.start("noise")
        proxy.wait_for("the last line")
        self.assertLess(len(proxy.stdout), 300_000)

    def test_stubborn(self) -> None:
        """A program that does not end is killed."""
        proxy = self.start("stubborn")
        proxy.wait_for("stubborn now")
        with self.assertRaises(ProcessFailed):
            proxy.stop(timeout=0.1)
        self.assertEqual(proxy.wait(), -signal.SIGKILL)

    def test_silent(self) -> None:
        """One that does not listen in time is reported, and does not live on."""
        started: list[subprocess.Popen[bytes]] = []
        real = subprocess.Popen

        def popen(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
            started.append(real(*arguments, **options))
            return started[0]

        self.patch(subprocess, "Popen", popen)
        with self.assertRaisesRegex(ProcessFailed, r"waited 0.5 s for 3 listener"):
            self.start(listeners=3, timeout=0.5)
        self.assertEqual(started[0].poll(), -signal.SIGKILL)
