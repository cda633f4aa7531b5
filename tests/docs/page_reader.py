"""Reads a page as its reader would: saves its files, runs its commands, looks at what they print.

``python -m tests.docs.page_reader PAGE`` does it in the working directory, and exits with 1 and the story so far where
something is not as the page says. ``--private-network`` has it bring up the loopback device first, for a network of
its own (``unshare --net``). ``--ports 8080=40001,...`` puts other ports in place of the page's.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.docs.page_steps import Run, Save, Start, Step, Stop, steps_of
from tests.docs.shown_output import appears, matches

#: seconds for a command, and for a program to be ready or to end
PATIENCE = 60
_BASH = shutil.which("bash") or "/bin/sh"
_PROXY = re.compile(r"--(router|config) |python program\.py|make demo")
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


class Disagreement(Exception):
    """Something is not as the page says."""


class Terminal:
    """A program that goes on while the reader reads on."""

    def __init__(self, command: str) -> None:
        self.command = command.replace("\\\n", "")
        self._said = ""
        self._heard = threading.Condition()
        # A group of its own: Ctrl-C reaches all that a terminal's command has started.
        self.process = subprocess.Popen(
            [_BASH, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._heard:
                self._said += line
                self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self._said

    def wait_for(self, shown: str) -> None:
        """Return when it has said what is `shown`; raises `Disagreement` where it does not."""
        with self._heard:
            self._heard.wait_for(
                lambda: appears(shown, self._said) or not self._thread.is_alive(), timeout=PATIENCE
            )
        if not appears(shown, self._said):
            raise Disagreement(f"it should say\n{shown}but it said\n{self._said}")

    def interrupt(self) -> None:
        """Press Ctrl-C; raises `Disagreement` where it does not end by that, or complains."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Disagreement(f"Ctrl-C does not end it; it said\n{self._said}") from None
        self._thread.join(PATIENCE)
        if "Traceback" in self._said:
            raise Disagreement(f"it said\n{self._said}")

    def kill(self) -> None:
        """Whatever is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Reader:
    """Does one step after the other in the working directory.

    :param without: commands that are not run, and why.
    """

    def __init__(self, without: Mapping[str, str]) -> None:
        self.without = without
        self.terminals: list[Terminal] = []
        self._left_out = False  # the program that would run in the last terminal

    def read(self, steps: Sequence[Step]) -> None:
        """Do all `steps`; whatever was started is gone then. Raises `Disagreement`."""
        doing: dict[type[Step], Callable[[Step], None]] = {
            Save: self._save,
            Run: self._run,
            Start: self._start,
            Stop: self._stop,
        }
        try:
            for step in steps:
                if isinstance(step, (Run, Start)) and step.command in self.without:
                    self._left_out = self._left_out or isinstance(step, Start)
                    continue
                try:
                    doing[type(step)](step)
                except Disagreement as problem:
                    others = "\n".join(
                        f"-- {terminal.command} said\n{terminal.said}" for terminal in self.terminals
                    )
                    raise Disagreement(f"line {step.line}: {step}\n{problem}\n{others}") from None
        finally:
            for terminal in self.terminals:
                terminal.kill()

    def _save(self, step: Step) -> None:
        assert isinstance(step, Save)
        path = Path(step.name)
        if step.add and not path.exists():
            raise Disagreement(f"there is no {path} yet")
        # With an empty line between the parts, as an editor's user would leave.
        path.write_text(path.read_text("utf-8") + "\n" + step.text if step.add else step.text, "utf-8")

    def _run(self, step: Step) -> None:
        assert isinstance(step, Run)
        # Into a file: a command may leave a daemon behind, which would keep a pipe open.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            done = subprocess.run(
                [_BASH, "-c", step.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
            )
            output.seek(0)
            printed = output.read()
        if done.returncode != 0:
            raise Disagreement(f"it ended with {done.returncode}, and said\n{printed}")
        if step.shown is not None and not matches(step.shown, printed):
            raise Disagreement(f"it should say\n{step.shown}but it said\n{printed}")

    def _start(self, step: Step) -> None:
        assert isinstance(step, Start)
        self._left_out = False
        terminal = Terminal(step.command)
        self.terminals.append(terminal)
        terminal.wait_for(step.shown)

    def _stop(self, step: Step) -> None:
        assert isinstance(step, Stop)
        if self._left_out:
            self._left_out = False
            return
        running = [terminal for terminal in self.terminals if terminal.process.poll() is None]
        if step.proxy:
            running = [terminal for terminal in running if _PROXY.search(terminal.command)]
        if not running:
            raise Disagreement("no program runs")
        running[-1].interrupt()


def with_ports(text: str, ports: Mapping[str, str]) -> str:
    """`text` with other ports in the place of the page's."""
    return re.sub(r"\b\d{4,5}\b", lambda number: ports.get(number[0], number[0]), text)


def loopback_up() -> None:
    """Bring up the loopback device of this process's network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("page", type=Path)
    parser.add_argument("--private-network", action="store_true")
    parser.add_argument("--ports", default="")
    parser.add_argument("--without", action="append", default=[])
    options = parser.parse_args()
    if options.private_network:
        loopback_up()
    page = options.page
    if options.ports:
        ports = dict(pair.split("=") for pair in options.ports.split(","))
        copy = Path(tempfile.mkdtemp()) / page.name
        copy.write_text(with_ports(page.read_text("utf-8"), ports), "utf-8")
        page = copy
    try:
        Reader(dict.fromkeys(options.without, "")).read(steps_of(page))
    except Disagreement as problem:
        print(f"{page.name}, {problem}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
