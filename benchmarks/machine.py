"""Where and with what a run was made: commit, date, machine, versions."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.peers.contract import Peer, said_by

ROOT = Path(__file__).resolve().parent.parent


def about(peers: Iterable[Peer], rounds: int, seconds: float) -> dict[str, Any]:
    """Return what a reader has to know of a run."""
    return {
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "rounds": rounds,
        "seconds": seconds,
        "load": [round(each, 1) for each in os.getloadavg()],
        "versions": {peer.name: peer.version() for peer in peers if peer.missing() is None},
        "tools": {"wrk": said_by("wrk", "-v").split(" [")[0]},
    }


def commit() -> str:
    """Return the commit that is checked out, with a plus sign where files differ from it; ``"unknown"`` without git."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--match="],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
