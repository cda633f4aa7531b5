"""``python -m benchmarks``: measure, print a table for each case, and keep the results as JSON."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, notation
from benchmarks.cases import CASES, QUICK
from benchmarks.children import Cores
from benchmarks.peers.contract import Peer, found
from benchmarks.peers.registry import PEERS
from benchmarks.results import Results
from benchmarks.run import CaseRun
from benchmarks.tables import plain, table
from benchmarks.targets import verdicts

RESULTS = Path(__file__).parent / "results"


def names(text: str, known: Sequence[str]) -> list[str]:
    """Read a list of names with blanks or commas between them; an empty one is all.

    :raises argparse.ArgumentTypeError: one is not known.
    """
    given = text.replace(",", " ").split()
    for name in given:
        if name not in known:
            raise argparse.ArgumentTypeError(f"there is no {name!r}; there are: {' '.join(known)}")
    return [name for name in known if name in given] if given else list(known)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--cases", type=lambda text: names(text, list(CASES)), default=list(CASES))
    parser.add_argument("--peers", type=lambda text: names(text, list(PEERS)), default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=5, help="runs of each proxy and case; odd is best")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run; wrk counts whole ones")
    parser.add_argument("--quick", action="store_true", help="the small GET only, about a minute")
    parser.add_argument("--output", type=Path, default=RESULTS / "latest.json", help="where results go")
    parser.add_argument("--list", action="store_true", help="name cases and proxies, and end")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1 or chosen.seconds <= 0:
        parser.error("--rounds and --seconds are more than 0")
    if chosen.quick:
        chosen.cases, chosen.rounds = list(QUICK), min(chosen.rounds, 3)
    return chosen


def say(text: str) -> None:
    """Tell the user at once."""
    print(text, flush=True)


def measure(chosen: argparse.Namespace) -> Results:
    """Go through the chosen cases. What is done is kept even when the rest is not waited for."""
    peers: dict[str, Peer] = {}
    for name in chosen.peers:
        reason = PEERS[name].missing()
        if reason is None:
            peers[name] = PEERS[name]
        else:
            say(f"without {name}: {reason}")
    results = Results(machine.about(peers.values(), chosen.rounds, chosen.seconds))
    for key, value in results.about.items():
        say(f"{key}: {', '.join(dict.fromkeys(value.values())) if isinstance(value, dict) else value}")
    if Cores.divide(sorted(os.sched_getaffinity(0))).shared:
        say("there is one core only: the load is in the proxies' way, and rates mean little")
    titles = {name: peer.title.replace("`", "") for name, peer in peers.items()}
    for name in chosen.cases:
        case = CASES[name]
        say(f"\n{case.title} ({name})")
        run = CaseRun(case, peers, chosen.rounds, chosen.seconds, say)
        run.go()
        results.add(run)
        results.write(chosen.output)
        say(plain(table(results, name, titles)))
    return results


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; returns the exit status."""
    chosen = options(arguments)
    if chosen.list:
        say("cases: " + " ".join(CASES) + "\npeers: " + " ".join(PEERS))
        return 0
    if not found("wrk"):
        say("wrk carries most of the load, and is missing (apt-get install wrk)")
        return 1
    results = measure(chosen)
    say("\nTargets")
    for verdict in verdicts(results):
        target = verdict.target
        if target.case in chosen.cases:
            unit = "" if target.what == "share" else " bytes"
            against = f" × {target.other}'s {target.what}" if target.other else unit
            word = {True: "holds", False: "MISSED", None: "not measured"}[verdict.holds]
            say(
                f"{target.case}, {target.peer}: {notation.times(verdict.value)} of {target.limit}{against}: {word}"
            )
    say(f"\nkept in {chosen.output}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted; what was done is kept")
