"""Loads of ordinary requests, carried by wrk."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import wrk
from benchmarks.loads.sample import Sample, measured
from benchmarks.loads.target import Load, Target

#: what a browser sends beside `Host`; with that ten fields
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br",
    "Cookie: session=abcdefghijklmnop; theme=dark",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
)


def requests(
    path: str, *, connections: int = 32, headers: Sequence[str] = (), script: str | None = None
) -> Load:
    """Return a load of as many requests as can be carried.

    :param connections: how many clients there are.
    :param script: one of wrk's in ``benchmarks/programs``.
    """

    def load(target: Target) -> Sample:
        line = wrk.command(target.url + path, target.seconds, connections, headers=headers, script=script)
        with measured(target.pid) as sample:
            report = wrk.run(line, target.cores.load, target.seconds)
            sample.units, sample.seconds = report.requests, report.seconds
        sample.p50, sample.p99 = report.p50, report.p99
        return sample

    return load
