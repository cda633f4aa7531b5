"""A case's results as a table: the same columns for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import notation
from benchmarks.cases import CASES, Case
from benchmarks.results import YARDSTICK, Results, Row


def table(results: Results, name: str, titles: Mapping[str, str]) -> list[list[str]]:
    """Return the table of the case `name`, its head first.

    :param titles: proxies' names → what they are called.
    """
    case = CASES[name]
    head = ["proxy", *_columns(case), "× HAProxy", "spread", "busy", "disturbed"]
    rows = []
    for row in results.rows(name):
        ratio = notation.times(results.ratio(name, row.peer, YARDSTICK))
        rows.append([titles.get(row.peer, row.peer), *_cells(case, row), ratio, *_noise(row)])
    return [head, *rows]


def _columns(case: Case) -> list[str]:
    if case.result == "memory":
        return ["memory / client"]
    if case.result == "p99":
        return ["requests/s asked", "p50", "p99", notation.cost_head(case)]
    latencies = [] if case.unit == "GB" else ["p50", "p99"]
    return [f"{case.unit}{'' if case.unit == 'GB' else 's'}/s", *latencies, notation.cost_head(case)]


def _cells(case: Case, row: Row) -> list[str]:
    if case.result == "memory":
        return [notation.size(row.memory)]
    latencies = [] if case.unit == "GB" else [notation.seconds(row.p50), notation.seconds(row.p99)]
    rate = row.asked if case.result == "p99" and row.asked is not None else row.rate
    return [notation.rate(rate, case.unit), *latencies, notation.cost(case, row.cost)]


def _noise(row: Row) -> list[str]:
    return [notation.percent(row.spread), notation.percent(row.busy), notation.percent(row.waited)]


def plain(rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *rest]).rstrip())
    return "\n".join(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a page; all columns but the first stand right."""
    head, *rest = rows
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rest))
