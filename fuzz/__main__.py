"""Runs targets one after the other under atheris: ``python -m fuzz --seconds 600``; see docs/fuzzing.md."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from fuzz.minimise import minimised, symptom
from fuzz.registry import HERE, TARGETS, Target

#: seconds that a finding is made smaller
_MINIMISING = 20.0
_executions = re.compile(r"stat::number_of_executed_units:\s*(\d+)").search
_progress = re.compile(r"^#(\d+)\s", re.MULTILINE).findall
_covered = re.compile(r"cov: (\d+) ft: (\d+)").findall


class Result(NamedTuple):
    """How one target went."""

    executions: int
    covered: str
    findings: list[str]
    """A line each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print a line a target and the sum; the exit status is 1 where something was found."""
    options = _options(arguments)
    if find_spec("atheris") is None:
        print("atheris is not installed: pip install -e '.[fuzz]', on CPython 3.11", file=sys.stderr)
        return 2
    chosen = [TARGETS[name] for name in options.targets] or list(TARGETS.values())
    shares = sum(target.share for target in chosen)
    total, findings = 0, 0
    for target in chosen:
        part = target.share / shares
        limit = f"-max_total_time={max(1, int(options.seconds * part))}"
        if options.runs:
            limit = f"-runs={max(1, int(options.runs * part))}"
        result = run(target, [limit], options.work)
        total += result.executions
        findings += len(result.findings)
        print(f"{target.name:18} {result.executions:10} inputs  {result.covered}", flush=True)
        for line in result.findings:
            print(f"    {line}", flush=True)
    print(f"{'all':18} {total:10} inputs  {findings} findings", flush=True)
    return 1 if findings else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together (default 60)")
    parser.add_argument(
        "--runs", type=int, default=0, help="inputs of all targets together, instead of a time"
    )
    parser.add_argument(
        "--work", type=Path, default=HERE.parent / "build" / "fuzz", help="logs and new inputs"
    )
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(TARGETS))
    options = parser.parse_args(arguments)
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    return options


def run(target: Target, limits: Sequence[str], work: Path) -> Result:
    """Run one target in a process of its own.

    :param limits: libFuzzer's options.
    :param work: where its log goes, the inputs that have found something new, and those of findings.
    """
    inputs, crashes = work / target.name / "inputs", work / target.name / "crashes"
    for folder in (inputs, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(crashes.iterdir())
    command = [sys.executable, "-m", "fuzz.driver", target.name, *limits]
    command += ["-len_control=0", "-print_final_stats=1", f"-artifact_prefix={crashes}/"]
    log = work / target.name / "log"
    with log.open("wb") as out:
        ended = subprocess.run(
            [*command, str(inputs), str(target.corpus)], stdout=out, stderr=out, cwd=HERE.parent, check=False
        )
    text = log.read_text("utf-8", "replace")
    found = [_kept(target, path) for path in sorted(set(crashes.iterdir()) - before)]
    if ended.returncode and not found:
        found.append(f"the fuzzer ended with {ended.returncode}; see {log}")
    return Result(_count(text), _coverage(text), found)


def _count(log: str) -> int:
    final = _executions(log)
    if final is not None:
        return int(final[1])
    return max(map(int, _progress(log)), default=0)


def _coverage(log: str) -> str:
    seen = _covered(log)
    return f"{seen[-1][0]} edges, {seen[-1][1]} features" if seen else "nothing covered"


def _kept(target: Target, crash: Path) -> str:
    """Put the input of a finding into the corpus, made small; returns what to print."""
    data, said = crash.read_bytes(), crash.name
    if crash.name.startswith("crash-"):  # not one that takes for ever
        check = target.check()
        data = minimised(check, data, _MINIMISING)
        said = symptom(check, data) or "does not happen again without the fuzzer"
    kept = target.corpus / f"found-{sha256(data).hexdigest()[:12]}"
    kept.write_bytes(data)
    return f"{kept.relative_to(HERE.parent)}: {said}"


if __name__ == "__main__":
    sys.exit(main())
