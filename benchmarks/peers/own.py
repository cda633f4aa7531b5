"""vegurtx, the program itself: on uvloop, and on Twisted's epoll reactor."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.children import Child, ReservedPort
from benchmarks.peers.contract import Peer, Setup

ROOT = Path(__file__).resolve().parents[2]


@cache
def options_text() -> str:
    """Return the program's own ``--help``."""
    return subprocess.run(
        [sys.executable, "-m", "vegurtx", "--help"], capture_output=True, text=True, cwd=ROOT, timeout=30
    ).stdout


class Vegurtx(Peer):
    """``python -m vegurtx`` with default settings.

    :param reactor: the name for ``--reactor``; `None` is the program's own choice, which is uvloop.
    :param bare: one process, without log and metrics, in the cases which are about these: to compare with.
    """

    def __init__(self, name: str, title: str, reactor: str | None, *, bare: bool = False) -> None:
        self.name = name
        self.title = title
        self._reactor = reactor
        self._bare = bare

    def missing(self) -> str | None:
        """Uvloop may be."""
        if self._reactor is None:
            try:
                importlib.metadata.version("uvloop")
            except importlib.metadata.PackageNotFoundError:
                return "uvloop is not installed"
        return None

    def refuses(self, setup: Setup) -> str | None:
        """What has no option yet."""
        for wanted, option in ((setup.logged, "--access-log"), (setup.workers > 1, "--workers")):
            if wanted and option not in options_text():
                return f"this version has no {option}"
        return None

    def concerns(self, setup: Setup) -> bool:
        """Where nothing is left out, the bare one is the same as the other."""
        return not self._bare or setup.logged or setup.workers > 1

    def version(self) -> str:
        """With what it stands on."""
        names = ["vegurtx", "Twisted", *([] if self._reactor else ["uvloop"])]
        python = ".".join(map(str, sys.version_info[:3]))
        versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
        return ", ".join([*versions, f"Python {python}"])

    def start(self, setup: Setup, port: ReservedPort) -> Child:
        """See `Peer.start`."""
        command = [sys.executable, "-m", "vegurtx", *self.options(setup, port.number)]
        return Child(
            command,
            port,
            setup.cores.proxy,
            setup.folder / f"{self.name}.out",
            environment={"BENCH_BACKEND": str(setup.backend), "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
        )

    def options(self, setup: Setup, port: int) -> list[str]:
        """Return the command line's options: where to listen, and the router; everything else is the default."""
        options = ["--interface", "127.0.0.1", "--router", f"benchmarks.routers.{setup.router}"]
        if self._reactor is not None:
            options.append(f"--reactor={self._reactor}")
        if setup.secure is None:
            options += ["--port", str(port)]
        else:
            pem = str(setup.secure)
            options += ["--https-port", str(port), "--certificate", pem, "--private-key", pem]
        if self._bare:
            return options
        if setup.logged:
            options += ["--access-log", str(setup.folder / f"{self.name}.log"), "--log-format", "router"]
            options += ["--admin-port", f"unix:{setup.folder / self.name}.admin"]
        if setup.workers > 1:
            options += ["--workers", str(setup.workers)]
        return options
