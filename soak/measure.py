"""What the proxy's processes hold: memory and descriptors as ``/proc`` says, objects as the census in them counts."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any, NamedTuple


class Held(NamedTuple):
    """What one process holds at one moment."""

    at: float
    """Seconds since the soak began."""
    memory: int
    """Bytes of memory that are no file's (RssAnon)."""
    resident: int
    """Bytes of memory in all (VmRSS)."""
    descriptors: dict[str, int]
    """By what they are: sockets, pipes, files."""
    objects: dict[str, int]
    """By class; empty where nobody has counted."""
    born: str = ""
    """Tells one program from the next in the same process."""

    @property
    def open(self) -> int:
        """Descriptors, all of them."""
        return sum(self.descriptors.values())


def held(pid: int, at: float) -> Held | None:
    """Return what the process holds, without its objects; `None`: it is gone."""
    try:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        memory, resident = (int(status[name].split()[0]) * 1024 for name in ("RssAnon", "VmRSS"))
        return Held(at, memory, resident, _descriptors(pid), {})
    except (OSError, KeyError):  # a process that has ended has a status without memory
        return None


def _descriptors(pid: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            what = os.readlink(f"{folder}/{name}").partition(":")[0]
        except OSError:
            continue
        kind = what if what in ("socket", "pipe", "anon_inode") else "file"
        counts[kind] = counts.get(kind, 0) + 1
    return counts


async def counted(pid: int, at: float, census: Path) -> Held | None:
    """Return what the process holds, with its objects; `None`: it is gone, or has no census."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(census / str(pid)))
        async with asyncio.timeout(30.0):
            found: dict[str, Any] = json.loads(await reader.read())
        writer.close()
    except (OSError, ValueError, TimeoutError):
        return None
    # The one that counts holds a connection for it, which goes when it has answered.
    await asyncio.sleep(0.1)
    now = held(pid, at)
    if now is None:
        return None
    objects = {**found["objects"], "(everything)": found["everything"], "(garbage)": found["garbage"]}
    return now._replace(objects=objects, born=f"{pid}/{found['born']}")
