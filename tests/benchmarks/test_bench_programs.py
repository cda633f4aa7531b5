"""What the benchmark starts: configurations that the peers' own programs accept, back-ends that do their work."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import SkipTest

import pytest
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import origins, procfs
from benchmarks.certificates import self_signed
from benchmarks.children import Child, Cores, DidNotStart, ReservedPort
from benchmarks.loads.websockets import message
from benchmarks.peers import haproxy, nginx, node
from benchmarks.peers.contract import Setup, found
from benchmarks.peers.golang import CannotCompile, compiled
from benchmarks.peers.registry import PEERS
from benchmarks.programs import origin

pytestmark = pytest.mark.once

STUBBORN = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen()
signal.pause()
"""

CORES = Cores.divide(sorted(os.sched_getaffinity(0)))


class Folder(SynchronousTestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        """Make it."""
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def setups(self) -> Iterator[Setup]:
        """Every kind of work."""
        yield Setup(8081, self.folder, CORES)
        yield Setup(8081, self.folder, CORES, pooled=False)
        yield Setup(8081, self.folder, CORES, upgrade=True)
        yield Setup(8081, self.folder, CORES, transfers=True, logged=True)
        if shutil.which("openssl"):
            yield Setup(8081, self.folder, CORES, secure=self_signed(self.folder))

    def needs(self, tool: str) -> str:
        """The path of a program; without it there is no test."""
        path = found(tool)
        if path is None:
            raise SkipTest(f"{tool} is missing")
        return path

    def accepts(self, command: list[str]) -> None:
        """A program finds no fault."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)


class ConfigurationTests(Folder):
    """The peers' configurations."""

    def test_haproxy(self) -> None:
        """HAProxy accepts its own."""
        program = self.needs("haproxy")
        path = self.folder / "haproxy.cfg"
        for setup in self.setups():
            path.write_text(haproxy.configuration(setup, 8080), "utf-8")
            self.accepts([program, "-c", "-f", str(path)])

    def test_nginx(self) -> None:
        """nginx accepts its own, as a proxy and as a back-end."""
        self.needs("nginx")
        path = self.folder / "nginx.conf"
        for setup in self.setups():
            for large in (False, True):
                path.write_text(nginx.configuration("nginx", setup, 8080, large=large), "utf-8")
                self.accepts([*nginx.command(path), "-t"])
        path.write_text(origins.configuration(self.folder, self.folder, 8080), "utf-8")
        self.accepts([*nginx.command(path), "-t"])

    def test_node(self) -> None:
        """Node can read its program."""
        self.accepts([self.needs("node"), "--check", str(node.PROGRAM)])

    def test_go(self) -> None:
        """Go compiles its programs, with nothing but its own library."""
        self.needs("go")
        for program in ("goproxy", "paced"):
            try:
                self.assertTrue(os.access(compiled(program), os.X_OK))
            except CannotCompile as problem:
                self.fail(str(problem))

    def test_peers_have_names_and_versions(self) -> None:
        """Every proxy says what it is, and a missing one says what is missing."""
        for name, peer in PEERS.items():
            self.assertEqual(peer.name, name)
            if peer.missing() is None:
                self.assertRegex(peer.version(), r"\d")
            else:
                self.assertRegex(peer.missing() or "", "not (be )?installed|not build")

    def test_what_a_peer_cannot_do(self) -> None:
        """It says so, instead of being measured at other work."""
        several = Setup(8081, self.folder, CORES, workers=2)
        for name in ("haproxy", "nginx", "go", "node", "twisted"):
            self.assertIn("workers", PEERS[name].refuses(several) or "")
        sockets = Setup(8081, self.folder, CORES, upgrade=True)
        self.assertIn("WebSockets", PEERS["twisted"].refuses(sockets) or "")
        self.assertIsNone(PEERS["node"].refuses(sockets))


class OriginTests(Folder):
    """Our own back-end."""

    def test_answers(self) -> None:
        """It answers, takes uploads, and sends chunks, all on one connection."""
        child = origins.start_own(self.folder, CORES.load)
        self.addCleanup(child.stop)
        with socket.create_connection(("127.0.0.1", child.port), timeout=20) as client:
            stream = client.makefile("rb")
            client.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(_until(stream, origin.SMALL)[-24:], origin.SMALL)
            client.sendall(b"POST /upload HTTP/1.1\r\nContent-Length: 70000\r\n\r\n" + bytes(35000))
            client.sendall(bytes(35000))
            self.assertIn(b"Content-Length: 0\r\n", _until(stream, b"\r\n\r\n"))
            client.sendall(b"GET /chunked HTTP/1.1\r\nConnection: close\r\n\r\n")
            self.assertEqual(stream.read(), origin.chunked())

    def test_echoes(self) -> None:
        """It shakes hands as RFC 6455 shows it, and sends messages back unmasked."""
        answer = origin.accepted(b"dGhlIHNhbXBsZSBub25jZQ==")
        self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", answer)
        for size in range(126):
            frame = message(size)
            expected = bytes([0x81, size]) + bytes([ord("a")]) * size
            self.assertEqual(origin.echoed(frame * 2), (expected * 2, b""))
            for cut in (1, 3, len(frame) - 1):
                self.assertEqual(origin.echoed(frame[:cut]), (b"", frame[:cut]))


class ChildTests(Folder):
    """`benchmarks.children`."""

    def test_ends_what_does_not_want_to(self) -> None:
        """A program that ignores SIGTERM ends, and so does what it has started."""
        port = ReservedPort()
        command = [sys.executable, "-c", STUBBORN, str(port.number)]
        with Child(command, port, CORES.proxy, self.folder / "out") as child:
            self.assertEqual(os.sched_getaffinity(child.pid), set(CORES.proxy))
            both = procfs.descendants(child.pid)
        self.assertEqual(len(both), 2)
        self.assertFalse(child.running)
        self.assertEqual([pid for pid in both if _lives(pid)], [])

    def test_says_why_it_does_not_run(self) -> None:
        """What a program has said before it ended is in the complaint."""
        command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
        error = self.assertRaises(
            DidNotStart, Child, command, ReservedPort(), CORES.proxy, self.folder / "out"
        )
        self.assertIn("no such luck", str(error))


def _until(stream: object, end: bytes) -> bytes:
    read = b""
    while not read.endswith(end):
        one = stream.read(1)  # type: ignore[attr-defined]
        if not one:
            break
        read += one
    return read


def _lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
