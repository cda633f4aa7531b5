"""``python -m benchmarks.page RESULTS.json``: writes the page ``docs/performance.md`` of results to standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import notation
from benchmarks.cases import CASES
from benchmarks.peers.registry import PEERS
from benchmarks.results import Results
from benchmarks.tables import markdown, table
from benchmarks.targets import Target, Verdict, verdicts

TEMPLATE = Path(__file__).with_name("page.md")
PUBLISHED = Path(__file__).parent / "results" / "published.json"

_TITLES = {name: peer.title for name, peer in PEERS.items()}


def page(results: Results, template: str) -> str:
    """Return the page: `template` with its places filled."""
    parts = {"about": about(results), "targets": targets(results), "cases": cases(results)}
    for name, text in parts.items():
        template = template.replace("{{" + name + "}}", text)
    return template


def about(results: Results) -> str:
    """Return when, where and with what it was measured."""
    about = results.about
    versions = dict.fromkeys(about["versions"].values())  # nginx is there twice
    rows = [
        ["", ""],
        ["date", about["date"]],
        ["commit", about["commit"] + (" and changes" if about["commit"].endswith("+") else "")],
        ["machine", f"{about['machine']}; {about['kernel']}"],
        ["versions", "; ".join([*versions, *about["tools"].values()])],
        ["load average before", ", ".join(map(str, about["load"])) + " (this should be near 0)"],
        ["runs", f"{about['rounds']} of {about['seconds']:g} s for each proxy and case"],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], ["---", "---"], *rows[1:]))


def targets(results: Results) -> str:
    """Return the table of targets."""
    rows = [["case", "proxy", "is to be at most", "is", ""]]
    rows += [_target(verdict) for verdict in verdicts(results)]
    head, *rest = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---", "---", "---", "---:", "---"], *rest))


def _target(verdict: Verdict) -> list[str]:
    target = verdict.target
    word = {True: "holds", False: "**missed**", None: "not measured"}[verdict.holds]
    return [
        CASES[target.case].title,
        _TITLES[target.peer],
        limit(target),
        _value(verdict),
        word,
    ]


def limit(target: Target) -> str:
    """Return what a target asks for, in words."""
    if target.what == "share":
        return f"{notation.percent(target.limit)} of the CPU time for one worker"
    if target.what == "time":
        return f"{_TITLES[str(target.other)]}: its time for a request, so no fewer requests/s"
    if target.other is None:
        return notation.size(target.limit)
    what = "p99" if CASES[target.case].result == "p99" else "CPU"
    times = "" if target.limit == 1.0 else f"{target.limit:g} × "
    goal = f" (goal: {target.goal:g})" if target.goal is not None else ""
    return f"{times}{_TITLES[target.other]}'s {what}{goal}"


def _value(verdict: Verdict) -> str:
    if verdict.value is None:
        return "–"
    if verdict.target.what == "share":
        return notation.percent(verdict.value)
    return notation.size(verdict.value) if verdict.target.other is None else f"{verdict.value:.2f} ×"


def cases(results: Results) -> str:
    """Return a section for each case."""
    sections = []
    for name, case in CASES.items():
        if name not in results.samples:
            continue
        lines = [f"### {case.title}", "", case.text, ""]
        if results.samples[name]:
            lines += [markdown(table(results, name, _TITLES)), ""]
        left_out = [
            f"{_TITLES.get(peer, peer)} ({reason})"
            for peer, reason in results.skipped[name].items()
            if reason
        ]
        if left_out:
            lines += [f"Left out: {'; '.join(left_out)}.", ""]
        if case.secure and results.agreed:
            agreed = ", ".join(f"{_TITLES.get(peer, peer)} {what}" for peer, what in results.agreed.items())
            lines += [f"Agreed on: {agreed}.", ""]
        workers = [row for row in results.rows(name) if row.shares]
        for row in workers:
            shares = " and ".join(notation.percent(share) for share in row.shares or ())
            lines += [f"{_TITLES.get(row.peer, row.peer)}: its processes took {shares} of the CPU time.", ""]
        sections.append("\n".join(lines))
    return "\n".join(sections).rstrip()


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED
    sys.stdout.write(page(Results.read(path), TEMPLATE.read_text("utf-8")))
