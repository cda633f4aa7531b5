"""A network and a process table of its own, in which a page's ports are always free, and nothing outlives the page."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence

_NAMESPACES = ("--net", "--pid", "--fork", "--kill-child", "--mount-proc")


@functools.cache
def private_network() -> Sequence[str] | None:
    """The words to put before a command to run it so; `None` where the kernel, or whoever keeps it, does not let us."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    for user in ((), ("--map-root-user",)):
        words = (unshare, *user, *_NAMESPACES, "--")
        try:
            tried = subprocess.run([*words, "true"], capture_output=True, timeout=30)
        except subprocess.TimeoutExpired:
            continue
        if tried.returncode == 0:
            return words
    return None
