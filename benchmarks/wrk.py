"""wrk, the load generator of most cases: its command line, and what it prints."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(__file__).parent / "programs"

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TOTAL = re.compile(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h)\b")
_PERCENTILE = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m|h)\s*$", re.M)
_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_STATUS = re.compile(r"Non-2xx or 3xx responses: (\d+)")


class LoadFailed(Exception):
    """A load was not carried as it should have been."""


class WrkReport(NamedTuple):
    """What one run of wrk has found."""

    requests: int
    seconds: float
    p50: float
    """seconds"""
    p99: float
    """seconds"""
    errors: int
    """Connections that failed, broke, or were silent."""
    refused: int
    """Answers that were not 2xx or 3xx."""


def parse(text: str) -> WrkReport:
    """Read the output of ``wrk --latency``.

    :raises LoadFailed: it is not that.
    """
    total = _TOTAL.search(text)
    percentiles = {rank: float(value) * _UNITS[unit] for rank, value, unit in _PERCENTILE.findall(text)}
    if total is None or len(percentiles) != 2:
        raise LoadFailed(f"this is no report of wrk's:\n{text[-2000:]}")
    errors = _ERRORS.search(text)
    refused = _STATUS.search(text)
    return WrkReport(
        int(total[1]),
        float(total[2]) * _UNITS[total[3]],
        percentiles["50"],
        percentiles["99"],
        sum(map(int, errors.groups())) if errors else 0,
        int(refused[1]) if refused else 0,
    )


def command(
    url: str, seconds: float, connections: int, *, headers: Sequence[str] = (), script: str | None = None
) -> list[str]:
    """Return wrk's command line. It counts whole seconds only."""
    line = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "--latency"]
    for header in headers:
        line += ["-H", header]
    if script is not None:
        line += ["-s", str(SCRIPTS / script)]
    return [*line, url]


def run(line: Sequence[str], cores: Sequence[int], seconds: float) -> WrkReport:
    """Run wrk on `cores`.

    :raises LoadFailed: it failed, nothing was carried, or more than one request in a hundred went wrong.
    """
    try:
        done = subprocess.run(
            line,
            capture_output=True,
            text=True,
            timeout=seconds * 3 + 30,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    except subprocess.TimeoutExpired as late:
        raise LoadFailed(f"wrk did not end: {late}") from None
    if done.returncode:
        raise LoadFailed(f"wrk ended with {done.returncode}: {done.stderr[-2000:]}")
    report = parse(done.stdout)
    if not report.requests or report.errors + report.refused > report.requests / 100:
        raise LoadFailed(
            f"of {report.requests} requests {report.errors} broke and {report.refused} were refused"
        )
    return report
