"""What the command line's tests share: run it here or in a process, and see what a user sees."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
TWISTD = ["-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"]
MODULE = ["-m", "vegurtx"]
#: seconds
PATIENCE = 60


class Outcome(NamedTuple):
    """How a program, or a part of one, ended."""

    status: int | str | None
    out: str
    err: str


def outcome_of(function: Callable[[], object]) -> Outcome:
    """Call `function`; its status is None where it returns instead of ending the program."""
    out, err = io.StringIO(), io.StringIO()
    status = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            function()
        except SystemExit as end:
            status = end.code
    return Outcome(status, out.getvalue(), err.getvalue())


def environment(added: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment, with the checkout's package and plugin in the search path."""
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "PYTHONPATH": path, **(added or {})}


def run_program(
    arguments: Sequence[str], *, cwd: Path = ROOT, added: Mapping[str, str] | None = None
) -> Outcome:
    """Run Python with `arguments` to its end."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(added),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def log_line(log: Path, text: str) -> str:
    """The line of the file `log` with `text`, once it is there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        said = log.read_text("utf-8")
        for line in said.splitlines():
            if text in line:
                return line
        assert time.monotonic() < deadline, said
        os.sched_yield()


def end(pid: int) -> None:
    """Kill a daemon, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
