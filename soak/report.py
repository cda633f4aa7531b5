"""What came of a soak, as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from soak.measure import Held

#: findings that are shown; the others are counted
SHOWN = 100


def as_json(report: dict[str, Any]) -> str:
    """Return the report as JSON."""
    return json.dumps(report, indent=1, default=_plain)


def _plain(value: object) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} is not plain")


def held_as_json(series: Iterable[Held]) -> list[dict[str, Any]]:
    """Return what a process held at each point, as plain values."""
    return [point._asdict() | {"open": point.open} for point in series]


def as_text(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [
        f"soak: {report['minutes']:.1f} minutes, mode {report['mode']}, seed {report['seed']}, rate {report['rate']:g}",
        "",
        *_counts("load", report["load"]),
        *_counts("disturbances", report["disturbances"]),
        *_counts("access log", report["log"]),
        *_counts("back-ends", report["backends"]),
        "Quiet points",
    ]
    for name, series in report["quiet"].items():
        lines.append(f"    process {name.partition('/')[0]}: s, memory (MiB), descriptors, objects")
        for point in series:
            memory, objects = point["memory"] / 2**20, point["objects"].get("(everything)", 0)
            lines.append(f"    {point['at']:8.0f} {memory:8.1f} {point['open']:5} {objects:8}")
    peak = max((sample["memory"] for sample in report["samples"]), default=0)
    most = max((sample["open"] for sample in report["samples"]), default=0)
    lines.append(f"    the most, between them, of one process: {peak / 2**20:.1f} MiB, {most} descriptors")
    findings = report["findings"]
    lines += ["", f"{len(findings)} findings" + ("" if findings else ": none")]
    lines += [f"  {_finding(each)}" for each in findings[:SHOWN]]
    if findings:
        lines += ["", "A conversation again, 20 times: " + repeat(report["seed"], "NUMBER", report["mode"])]
    return "\n".join(lines) + "\n"


def _counts(title: str, counts: dict[str, int]) -> list[str]:
    return [title.capitalize(), *(f"    {name:50} {counts[name]:14,}" for name in sorted(counts)), ""]


def _finding(each: dict[str, Any]) -> str:
    whose = f"conversation {each['conversation']} ({each['kind']}): " if each["conversation"] >= 0 else ""
    return f"[{each['at']:7.1f} s] {whose}{each['what']}"


def repeat(seed: int, number: object, mode: str) -> str:
    """Return the command that makes one conversation again."""
    return f"python -m soak --mode {mode} --seed {seed} --only {number}"
