"""The real program in a process of its own: what end-to-end tests, load tests and benchmarks look at from
outside.

`ProxyProcess` starts `twistd vegur` (or `python -m vegurtx`) on free ports, learns from its log where it
listens, and reads its memory, descriptors and CPU time from `/proc` (Linux).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Literal

KEPT = 1 << 18
"""Bytes that are kept of each output, the last ones."""

LISTENING = re.compile(rb"vegurtx listening on (\S+):(\d+)")

Program = Literal["twistd", "twist", "module"]

_PROGRAMS: dict[Program, list[str]] = {
    "twistd": ["-c", "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"],
    "twist": ["-m", "twisted"],
    "module": ["-m", "vegurtx"],
}


class ProcessFailed(AssertionError):
    """The program ended, or did not do in time what it was waited for. The message has its output."""


class ProxyProcess:
    """A running proxy. Also a context manager: leaving it stops the program.

        with ThreadedBackend() as backend, ProxyProcess("mymodule.MyRouter") as proxy:
            with BlockingClient(proxy.port) as client:
                assert client.request("GET", "/").status == 200

    The constructor returns when the program has said where it listens.

    :param router: the dotted name for `--router`; `None` leaves the option out.
    :param options: further options of the program, as `["--idle-timeout", "1"]`.
    :param reactor: the name for `--reactor` (`"epoll"`, `"asyncio"`); `None`: the program's own choice.
    :param environment: added to this process's environment. What the router needs to know, as a back-end's
        port, goes there.
    :param program: `"twistd"` (in the foreground), `"twist"`, or `"module"` (`python -m vegurtx`).
    :param port_option: the option that is given port 0; `None` gives none (`options` then has a listener).
    :param listeners: how many listeners to wait for.
    :param path: folders to add to the program's module search path, for the router.
    :param cwd: the folder that the program runs in.
    :param timeout: seconds that it has to start.

    Raises `ProcessFailed` where it ends, or is not listening in time; its output is in the message.
    """

    def __init__(
        self,
        router: str | None = None,
        options: Sequence[str] = (),
        *,
        reactor: str | None = None,
        environment: Mapping[str, str] | None = None,
        program: Program = "twistd",
        port_option: str | None = "--port",
        listeners: int = 1,
        path: Sequence[str] = (),
        cwd: str | None = None,
        timeout: float = 20.0,
    ) -> None:
        self.arguments = _command_line(program, reactor, router, port_option, options)
        self._said = threading.Condition()
        self._addresses: list[tuple[str, int]] = []
        self._process = subprocess.Popen(
            self.arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(environment or {}, path),
            cwd=cwd,
            # A group of its own: `kill` reaches workers too, and nobody else.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._outputs = [self._listen_to(self._process.stdout), self._listen_to(self._process.stderr)]
        try:
            self._wait(lambda: len(self._addresses) >= listeners, f"{listeners} listener(s)", timeout)
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> ProxyProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- what it says ------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port of its first listener."""
        return self._addresses[0][1]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of every listener, in the order in which it named them."""
        return list(self._addresses)

    @property
    def stdout(self) -> str:
        """The last 256 KiB of its standard output."""
        return self._outputs[0].text()

    @property
    def stderr(self) -> str:
        """The last 256 KiB of its standard error."""
        return self._outputs[1].text()

    @property
    def output(self) -> str:
        """Both outputs, standard error behind standard output."""
        return self.stdout + self.stderr

    def wait_for(self, text: str, timeout: float = 10.0) -> None:
        """Wait until `text` is somewhere in its output. Raises `ProcessFailed`."""
        self._wait(lambda: text in self.output, repr(text), timeout)

    # -- what it uses ------------------------------------------------------------------------------

    def rss(self) -> int:
        """Return its resident memory in bytes."""
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise ProcessFailed(f"process {self.pid} has no memory any more")

    def fds(self) -> int:
        """Return how many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self) -> float:
        """Return the CPU time it has used so far, user and system, in seconds."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stat:
            # The second field is the program's name in parentheses, which may hold blanks.
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- its end -----------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self, timeout: float = 10.0) -> int:
        """Ask it to end (SIGTERM), and return its exit status (negative: the signal that ended it).

        Raises `ProcessFailed` where it does not end in `timeout` seconds; it is killed then.
        """
        if self.running:
            self._process.terminate()
        return self.wait(timeout)

    def wait(self, timeout: float = 10.0) -> int:
        """Wait for its end without asking for it; otherwise like `stop`."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessFailed(f"it did not end within {timeout} s\n{self._story()}") from None
        self._close()
        return self._process.returncode

    def kill(self) -> None:
        """Kill it, and whatever it has started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    # -- behind it ---------------------------------------------------------------------------------

    def _listen_to(self, stream: IO[bytes] | None) -> _Output:
        assert stream is not None  # it was asked for as a pipe
        return _Output(stream, self._heard)

    def _heard(self, line: bytes) -> None:
        """The program has written a line (called in a thread)."""
        with self._said:
            if found := LISTENING.search(line):
                self._addresses.append((found[1].decode("ascii", "replace"), int(found[2])))
            self._said.notify_all()

    def _wait(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        with self._said:
            while not condition():
                ended = not self.running
                if ended and all(output.ended for output in self._outputs):
                    self._process.wait()
                    if condition():
                        return
                    raise ProcessFailed(f"it ended before {what}\n{self._story()}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ProcessFailed(f"waited {timeout} s for {what}\n{self._story()}")
                # Its end wakes nobody; hence a bound.
                self._said.wait(min(left, 0.1))

    def _close(self) -> None:
        for output in self._outputs:
            output.join()

    def _story(self) -> str:
        status = "runs" if self.running else f"ended with {self._process.returncode}"
        return f"$ {' '.join(self.arguments)}\n{status}\n-- stdout\n{self.stdout}\n-- stderr\n{self.stderr}"

    def __repr__(self) -> str:
        return f"<proxy process {self.pid} at {self._addresses}: {'runs' if self.running else 'ended'}>"


class _Output:
    """One output of the program: read in a thread, so that it never blocks, and kept within a bound."""

    def __init__(self, stream: IO[bytes], heard: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._heard = heard
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def text(self) -> str:
        return bytes(self._kept).decode("utf-8", "replace")

    def join(self) -> None:
        # A grandchild may hold the pipe open for longer than the program lives.
        self._thread.join(1.0)
        if self.ended:
            self._stream.close()

    def _read(self) -> None:
        for line in iter(lambda: self._stream.readline(65536), b""):
            self._kept += line
            del self._kept[:-KEPT]
            self._heard(line)


def _command_line(
    program: Program, reactor: str | None, router: str | None, port_option: str | None, options: Sequence[str]
) -> list[str]:
    command = [sys.executable, *_PROGRAMS[program]]
    if program == "twistd":
        command += ["--nodaemon", "--pidfile="]
    if reactor is not None:
        command += [f"--reactor={reactor}"]
    if program != "module":
        command.append("vegur")
    if port_option is not None:
        command += [port_option, "0", "--interface", "127.0.0.1"]
    if router is not None:
        command += ["--router", router]
    return [*command, *options]


def _environment(added: Mapping[str, str], path: Sequence[str]) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **added}
    if path:
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([*path, *([inherited] if inherited else [])])
    return environment
