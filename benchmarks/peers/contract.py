"""What the benchmark asks of every proxy: the work (`Setup`) is the same, the way there is each one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import Child, Cores, ReservedPort

#: seconds for every timeout that a proxy has: client idle, back-end idle, between requests
TIMEOUT = 60


@dataclass(frozen=True)
class Setup:
    """What a proxy is to do in one case."""

    backend: int
    """The back-end's port on 127.0.0.1."""
    folder: Path
    """For configurations, logs and temporary files; the case's own."""
    cores: Cores
    pooled: bool = True
    """Connections to the back-end are kept and used again; else each request has one of its own."""
    secure: Path | None = None
    """Speak TLS to clients, with the certificate and key in this PEM file."""
    upgrade: bool = False
    """Clients will ask for WebSockets."""
    transfers: bool = False
    """Bodies are large."""
    logged: bool = False
    """Write a line for each request into a file."""
    router: str = "Pooled"
    """Which of `benchmarks.routers` (vegurtx only)."""
    workers: int = 1
    connections: int = 1024
    """How many clients there are at once, at the most."""


class Peer(ABC):
    """A proxy that can be measured."""

    name: str
    """For options and results."""
    title: str
    """For people."""

    def missing(self) -> str | None:
        """Return why it cannot be had on this machine, or `None`."""
        return None

    def refuses(self, setup: Setup) -> str | None:
        """Return why it cannot do this work, or `None`."""
        return "it has no workers here" if setup.workers > 1 else None

    def concerns(self, setup: Setup) -> bool:
        """Whether it has anything to say about this work that another one does not say already."""
        return True

    @abstractmethod
    def version(self) -> str:
        """Return name and version of what runs."""

    @abstractmethod
    def start(self, setup: Setup, port: ReservedPort) -> Child:
        """Start it on `port`.

        :raises DidNotStart: it does not run.
        """


def found(program: str) -> str | None:
    """Return the path of `program`, also where an ordinary user's path lacks the folders of servers."""
    return shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")


def said_by(*command: str) -> str:
    """Return the first line that a command prints, on whichever output; ``"?"`` where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "?"
