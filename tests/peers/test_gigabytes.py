"""A gigabyte each way, with curl and with bare sockets, hashes checked; keep-alive off and on."""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator

import pytest

from tests.peers.peer_case import GIGABYTE, KINDS, MEGABYTE, PATIENCE, PeerCase, on_each_reactor, tool
from vegurtx.testing import BlockingClient
from vegurtx.testing.pattern import PERIOD, pattern

GROWTH = 20 * MEGABYTE


def pieces() -> Iterator[memoryview]:
    """The content, piece by piece."""
    done = 0
    while done < GIGABYTE:
        piece = pattern(done, min(PERIOD, GIGABYTE - done))
        done += len(piece)
        yield piece


@functools.cache
def content_hash() -> str:
    """What the content's hash must be."""
    digest = hashlib.sha256()
    for piece in pieces():
        digest.update(piece)
    return digest.hexdigest()


@pytest.mark.slow
class Gigabyte(PeerCase):
    """Each transfer for each kind of back-end connection. The program's memory is looked at, too."""

    tools = ("curl",)

    def setUp(self) -> None:
        """Remember how large the program was."""
        super().setUp()
        before = self.proxy.rss()
        self.addCleanup(lambda: self.assertLess(self.proxy.rss() - before, GROWTH))

    def curl(self, kind: str, target: str, *options: str) -> subprocess.Popen[bytes]:
        """A curl that runs."""
        command = [tool("curl"), "-q", "--silent", "--show-error", "--fail", "--noproxy", "*"]
        command += [
            "--resolve",
            f"{kind}.test:{self.proxy.port}:127.0.0.1",
            "--max-time",
            str(PATIENCE),
            *options,
        ]
        command.append(f"http://{kind}.test:{self.proxy.port}{target}")
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(running.wait, PATIENCE)
        self.addCleanup(running.kill)
        return running

    def test_curl_download(self) -> None:
        """Down, with a length and chunked."""
        for kind in KINDS:
            for target in (f"/bytes/{GIGABYTE}", f"/chunked/{GIGABYTE}"):
                running = self.curl(kind, target)
                assert running.stdout is not None and running.stdin is not None
                running.stdin.close()
                digest = hashlib.sha256()
                with running.stdout as output:
                    while piece := output.read(MEGABYTE):
                        digest.update(piece)
                self.assertEqual((running.wait(PATIENCE), digest.hexdigest()), (0, content_hash()))

    def test_curl_upload(self) -> None:
        """Up, with a length (a file's) and chunked (its standard input)."""
        with tempfile.NamedTemporaryFile(buffering=0) as file:
            for piece in pieces():
                file.write(piece)
            for kind in KINDS:
                self.check_upload(self.curl(kind, "/sink", "-T", file.name), ())
                self.check_upload(self.curl(kind, "/sink", "-T", "-"), pieces())

    def check_upload(self, running: subprocess.Popen[bytes], content: Iterable[memoryview]) -> None:
        """Give `content` to curl; the back-end must have got all."""
        assert running.stdout is not None and running.stdin is not None
        with running.stdin as given:
            for piece in content:
                given.write(piece)
        with running.stdout as output:
            answer = json.loads(output.read())
        self.assertEqual(answer, {"bytes": GIGABYTE, "sha256": content_hash(), "matches": True})
        self.assertEqual(running.wait(PATIENCE), 0)

    def test_socket_download(self) -> None:
        """Down to a bare socket, each byte compared; twice on one connection."""
        for kind in KINDS:
            with BlockingClient(self.proxy.port) as client:
                for _ in range(2):
                    got = client.download(f"/bytes/{GIGABYTE}", host=f"{kind}.test")
                    self.assertEqual(got, GIGABYTE)

    def test_socket_upload(self) -> None:
        """Up from a bare socket, with a length and chunked, on one connection."""
        for kind in KINDS:
            with BlockingClient(self.proxy.port, timeout=PATIENCE) as client:
                for chunked in (False, True):
                    answer = client.upload("/sink", GIGABYTE, chunked=chunked, host=f"{kind}.test")
                    expected = {"bytes": GIGABYTE, "sha256": content_hash(), "matches": True}
                    self.assertEqual(json.loads(answer.body), expected)

    def test_both_ways_at_once(self) -> None:
        """A gigabyte up and one down at the same time, on two connections."""
        answers: list[bytes] = []

        def upload() -> None:
            with BlockingClient(self.proxy.port, timeout=PATIENCE) as client:
                answers.append(client.upload("/sink", GIGABYTE, host="pooled.test").body)

        uploading = threading.Thread(target=upload)
        uploading.start()
        with BlockingClient(self.proxy.port, timeout=PATIENCE) as client:
            self.assertEqual(client.download(f"/bytes/{GIGABYTE}", host="pooled.test"), GIGABYTE)
        uploading.join(PATIENCE)
        self.assertEqual([json.loads(answer)["sha256"] for answer in answers], [content_hash()])


globals().update(on_each_reactor(Gigabyte))
