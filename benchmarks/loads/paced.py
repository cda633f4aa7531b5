"""Requests at a constant rate: four fifths of what the proxy carries at the most."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from benchmarks.loads.sample import Sample, measured
from benchmarks.loads.target import Load, Target
from benchmarks.peers.golang import compiled
from benchmarks.wrk import LoadFailed

#: seconds before each run that are not counted
_WARM = 0.5


def parse(text: str) -> dict[str, float]:
    """Read what the load program prints.

    :raises LoadFailed: it is not that.
    """
    try:
        report = json.loads(text)
        return {name: float(report[name]) for name in ("requests", "seconds", "waiting", "p50", "p99")}
    except (ValueError, KeyError, TypeError) as problem:
        raise LoadFailed(f"this is no report of the paced load's: {text[:500]!r} ({problem})") from None


def paced(share: float = 0.8, *, connections: int = 64) -> Load:
    """Return a load at a constant rate.

    :param share: of the most that this load and the proxy carry together, which is found out just before.
    """

    def load(target: Target) -> Sample:
        most = _run(target, 0.0, connections)
        rate = share * most["requests"] / most["seconds"]
        with measured(target.pid) as sample:
            report = _run(target, rate, connections)
            sample.units = report["requests"] * (report["seconds"] + _WARM) / report["seconds"]
        sample.rate, sample.p50, sample.p99 = rate, report["p50"], report["p99"]
        return sample

    return load


def _run(target: Target, rate: float, connections: int) -> dict[str, float]:
    command = [
        str(compiled("paced")),
        f"-address=127.0.0.1:{target.proxy.port}",
        f"-rate={rate}",
        f"-seconds={target.seconds}",
        f"-warm={_WARM}",
        f"-connections={connections}",
    ]
    done: Any = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=target.seconds * 3 + 30,
        env={**os.environ, "GOMAXPROCS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, target.cores.load),
    )
    if done.returncode:
        raise LoadFailed(f"the paced load ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return parse(done.stdout)
