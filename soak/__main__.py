"""``python -m soak``: the real program under load for as long as one likes; see docs/soak.md."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from soak.report import as_json, as_text
from soak.run import Choice, Soak


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak, print its report, and write it; the exit status is 1 where something was found."""
    options = _options(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    options.out.mkdir(parents=True, exist_ok=True)
    # A UNIX socket's path has at most 107 bytes, so not below OUT.
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        choice = Choice(
            minutes=options.minutes,
            rate=options.rate,
            mode=options.mode,
            seed=seed,
            folder=Path(folder),
            quiet_every=options.quiet_every,
            only=tuple(options.only or ()),
            times=options.times,
            reactor=options.reactor,
        )
        print(f"soak: seed {seed}, mode {options.mode}, {options.minutes:g} minutes, in {folder}", flush=True)
        report = asyncio.run(_run(choice))
        log = Path(folder, "program.log")
        if log.exists():
            (options.out / f"{options.mode}.log").write_bytes(log.read_bytes())
    text = as_text(report)
    (options.out / f"{options.mode}.json").write_text(as_json(report), "utf-8")
    (options.out / f"{options.mode}.txt").write_text(text, "utf-8")
    print(text, end="")
    return 1 if report["findings"] else 0


async def _run(choice: Choice) -> dict[str, object]:
    soak = Soak(choice)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, soak.stop)
    return await soak.run()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the load goes on (default 10)")
    parser.add_argument(
        "--rate", type=float, default=50.0, help="conversations that begin in a second (default 50)"
    )
    parser.add_argument("--mode", choices=("single", "workers"), default="single")
    parser.add_argument("--reactor", default="", help="the program's: epoll, ...; else it chooses")
    parser.add_argument("--seed", type=int, help="the same seed makes the same conversations")
    parser.add_argument("--quiet-every", type=float, default=120.0, help="seconds between quiet points")
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="make only these conversations")
    parser.add_argument("--times", type=int, default=20, help="with --only: how often")
    parser.add_argument("--out", type=Path, default=Path("build/soak"), help="where the report goes")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or options.rate <= 0 or options.quiet_every <= 0:
        parser.error("--minutes, --rate and --quiet-every are above 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
