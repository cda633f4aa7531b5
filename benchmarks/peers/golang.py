"""Go's own reverse proxy, ``net/http/httputil``, in a small program that is compiled once; one core."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from benchmarks.children import Child, ReservedPort
from benchmarks.peers.contract import TIMEOUT, Peer, Setup, found, said_by

_SOURCES = Path(__file__).resolve().parent.parent / "programs"


class CannotCompile(Exception):
    """There is no Go, or it did not like the program. The message says it."""


@cache
def compiled(program: str) -> Path:
    """Return the executable of the Go program of this name in ``benchmarks/programs``; it is built when it has changed.

    :raises CannotCompile: it cannot be had.
    """
    go = found("go")
    if go is None:
        raise CannotCompile("go is not installed (apt-get install golang-go)")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "vegurtx-benchmarks")
    source, binary = _SOURCES / program, folder / program
    newest = max(file.stat().st_mtime for file in source.iterdir())
    if binary.exists() and binary.stat().st_mtime > newest:
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    # Nothing is fetched: the programs need the standard library only.
    offline = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    done = subprocess.run(
        [go, "build", "-o", str(binary), "."],
        cwd=source,
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CannotCompile(f"go could not build {program}: {done.stderr.strip()[-500:]}")
    os.utime(binary)
    return binary


class GoProxy(Peer):
    """``httputil.ReverseProxy``."""

    name = "go"
    title = "Go ReverseProxy"

    def missing(self) -> str | None:
        """Where it cannot be compiled."""
        try:
            compiled("goproxy")
        except CannotCompile as problem:
            return str(problem)
        return None

    def refuses(self, setup: Setup) -> str | None:
        """It writes no log."""
        return "its program writes no log" if setup.logged else super().refuses(setup)

    def version(self) -> str:
        """Go's."""
        words = said_by(found("go") or "go", "version").split()
        return f"Go {words[2].removeprefix('go')}" if len(words) > 2 else "Go ?"

    def start(self, setup: Setup, port: ReservedPort) -> Child:
        """See `Peer.start`."""
        command = [
            str(compiled("goproxy")),
            f"-listen=127.0.0.1:{port.number}",
            f"-backend=127.0.0.1:{setup.backend}",
            f"-timeout={TIMEOUT}s",
            f"-pooled={str(setup.pooled).lower()}",
        ]
        if setup.secure is not None:
            command.append(f"-pem={setup.secure}")
        log = setup.folder / "go.out"
        return Child(command, port, setup.cores.proxy, log, environment={"GOMAXPROCS": "1"})
