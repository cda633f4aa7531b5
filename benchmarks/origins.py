"""The back-ends behind every proxy: nginx where it is installed, and a program of our own for what nginx cannot do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.children import Child, ReservedPort
from benchmarks.peers import nginx
from benchmarks.peers.contract import found
from benchmarks.programs.origin import GIGABYTE, SMALL

_PROGRAM = Path(__file__).parent / "programs" / "origin.py"

_SERVER = """\
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {files};
        location = /small {{ default_type text/plain; return 200 "{small}"; }}
    }}
"""


def start_files(folder: Path, cores: Sequence[int]) -> Child:
    """Start the back-end of ordinary responses: nginx, or `start_own` where there is none."""
    if not found("nginx"):
        return start_own(folder, cores)
    files = folder / "files"
    files.mkdir()
    for name, size in (("64k", 1 << 16), ("1m", 1 << 20), ("1g", GIGABYTE)):
        with (files / name).open("wb") as file:
            file.truncate(size)  # holes: they take no room, and read as zeros
    port = ReservedPort()
    path = folder / "origin.conf"
    path.write_text(configuration(folder, files, port.number), "utf-8")
    return Child(nginx.command(path), port, cores, folder / "origin.out")


def configuration(folder: Path, files: Path, port: int) -> str:
    """Return nginx's configuration file."""
    http = _SERVER.format(port=port, files=files, small=SMALL.decode("ascii"))
    return nginx.main_configuration("origin", folder, http, connections=32768)


def start_own(folder: Path, cores: Sequence[int]) -> Child:
    """Start our own back-end, for uploads, chunks and WebSockets."""
    port = ReservedPort()
    return Child([sys.executable, str(_PROGRAM), str(port.number)], port, cores, folder / "own-origin.out")
