"""What a process and all its descendants have used, as Linux' ``/proc`` says: CPU time, waiting for the CPU, memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """Seconds since the process began. The difference of two is what one run has cost."""

    cpu: float
    """On a CPU, user and system, all threads."""
    waited: float
    """Runnable, but not running: somebody else had the core. This is the noise of a measurement."""

    def since(self, before: Usage) -> Usage:
        """What was used since `before`."""
        return Usage(self.cpu - before.cpu, self.waited - before.waited)


def stat_cpu(text: str) -> float:
    """Return the CPU seconds in the text of a ``/proc/PID/stat``: utime and stime, of living and ended threads."""
    # The second field is the program's name in parentheses, which may hold blanks.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def schedstat(text: str) -> Usage:
    """Return what a thread's ``schedstat`` says: nanoseconds on a CPU, and on its run queue."""
    on_cpu, on_queue, *_ = text.split()
    return Usage(int(on_cpu) / 1e9, int(on_queue) / 1e9)


def held(text: str) -> int:
    """Return the bytes in the text of a ``/proc/PID/smaps_rollup`` that are no file's.

    Pages that several processes share count in proportion. Files' pages are left out: how many processes share
    those depends on what else the machine runs.
    """
    sizes = dict(line.split()[:2] for line in text.splitlines()[1:])
    return sum(int(sizes[name]) for name in ("Pss_Anon:", "Pss_Shmem:")) * 1024


def descendants(pid: int) -> list[int]:
    """Return `pid` and all processes below it that live."""
    found = [pid]
    for each in found:  # it grows
        for thread in _threads(each):
            found += [int(child) for child in _read(thread / "children").split()]
    return found


def own_usage(pid: int) -> Usage:
    """Return what the process `pid` alone has used; nothing, where it is gone.

    ``schedstat`` counts nanoseconds; where the kernel has none, ``stat`` counts hundredths of a second.
    """
    threads = [_read(thread / "schedstat") for thread in _threads(pid)]
    if threads and all(threads):
        used = [schedstat(text) for text in threads]
        return Usage(sum(each.cpu for each in used), sum(each.waited for each in used))
    text = _read(Path(f"/proc/{pid}/stat"))
    return Usage(stat_cpu(text) if text else 0.0, 0.0)


def usage(pid: int) -> Usage:
    """Return what `pid` and all its descendants have used.

    :raises ProcessLookupError: it is gone.
    """
    used = [own_usage(each) for each in descendants(pid)]
    if not any(each.cpu for each in used):
        raise ProcessLookupError(f"there is no process {pid}")
    return Usage(sum(each.cpu for each in used), sum(each.waited for each in used))


def memory(pid: int) -> int:
    """Return the bytes of memory that `pid` and all its descendants hold (see `held`)."""
    return sum(held(text) for each in descendants(pid) if (text := _read(Path(f"/proc/{each}/smaps_rollup"))))


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended in the meantime
        return ""
