"""Processes that the benchmark starts: on given cores, on a port that is theirs alone, and never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

#: seconds that a program has to listen
PATIENCE = 20.0
#: bytes of a program's output that a complaint shows
_SHOWN = 2000
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class DidNotStart(Exception):
    """A program ended, or did not listen in time. The message has its output."""


class Cores(NamedTuple):
    """Which cores are whose."""

    proxy: tuple[int, ...]
    load: tuple[int, ...]

    @classmethod
    def divide(cls, available: Sequence[int], workers: int = 1) -> Cores:
        """Give the proxy the first core, or the first `workers`, and the load and the back-end all others.

        With too few cores the load takes what there is, shared with the proxy.
        """
        cores = sorted(available)
        return cls(tuple(cores[:workers]), tuple(cores[workers:]) or tuple(cores))

    @property
    def shared(self) -> bool:
        """Whether load and proxy are in each other's way."""
        return bool(set(self.proxy) & set(self.load))


class ReservedPort:
    """A port on 127.0.0.1 that nobody else gets: it is bound, and does not listen.

    Who sets ``SO_REUSEADDR``, as servers do, can listen on it nevertheless.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give it back."""
        self._socket.close()


class Child:
    """A running program that listens on `port`. Also a context manager: leaving it ends the program.

    :param command: what to run.
    :param port: where it will listen.
    :param cores: the cores that it may use.
    :param log: a file that takes its output.
    :param environment: added to this process's.
    :param cwd: the folder that it runs in.
    :raises DidNotStart: it ended, or does not listen.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: ReservedPort,
        cores: Sequence[int],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = list(command)
        self.port = port.number
        self._reserved = port
        self._log = log
        parent = os.getpid()

        def prepare() -> None:  # in the child, before its program
            os.sched_setaffinity(0, cores)
            # When the benchmark is killed, its children are too.
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=cwd,
                preexec_fn=prepare,
                start_new_session=True,  # a group of its own, which `stop` can end whole
            )
        self.pid = self._process.pid
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def said(self) -> str:
        """The end of its output."""
        return self._log.read_text("utf-8", "replace")[-_SHOWN:] if self._log.exists() else ""

    def stop(self) -> None:
        """End it and all that it has started: at first with SIGTERM, and then for certain."""
        if self.running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reserved.close()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not self.running:
                raise DidNotStart(
                    f"{' '.join(self.command)} ended with {self._process.returncode}:\n{self.said()}"
                )
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise DidNotStart(f"{' '.join(self.command)} did not listen on {self.port}:\n{self.said()}")


def raise_descriptor_limit(wanted: int) -> int:
    """Let this process and its children open `wanted` files, or as many as the system allows; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))  # only root may
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return wanted
