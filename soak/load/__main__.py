"""The process that makes the load. It reads an order a line (JSON) and answers each; findings are lines between.

``{"do": "resume"}``, ``{"do": "pause"}`` (answered when no conversation goes on), ``{"do": "begin", "what":
"worker-kill"}``, ``{"do": "end", ...}``, ``{"do": "only", "number": 17}`` (one conversation). The input's end ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
from collections import Counter
from typing import Any

from soak.load.connection import Where
from soak.load.generator import Generator
from soak.load.talk import Shared
from soak.load.windows import Windows
from soak.outcome import Entry
from soak.plan import Planned


def _say(what: Any) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


async def _run(options: argparse.Namespace) -> None:
    context = ssl.create_default_context(cafile=options.authority)
    windows = Windows()
    with open(options.ledger, "a", encoding="utf-8") as ledger:

        def enter(entry: Entry) -> None:
            ledger.write(f"{json.dumps(entry.as_json())}\n")

        def found(number: int, kind: str, what: str) -> None:
            _say({"finding": what, "conversation": number, "kind": kind})

        shared = Shared(Where(options.http, options.https, context), windows, Counter(), enter)
        generator = Generator(options.seed, options.rate, shared, found)
        orders = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
        )
        while line := await orders.readline():
            order = json.loads(line)
            match order["do"]:
                case "resume":
                    generator.resume()
                case "pause":
                    await generator.pause()
                    ledger.flush()
                case "begin":
                    windows.begin(order["what"])
                case "end":
                    windows.end(order["what"])
                case "only":
                    await generator.converse(Planned(options.seed, order["number"]))
                    ledger.flush()
            _say({"done": order["do"], "counts": shared.counts})


def main() -> None:
    """Take orders until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m soak.load")
    for name in ("--seed", "--http", "--https"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    for name in ("--authority", "--ledger"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        asyncio.run(_run(options))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(options))


if __name__ == "__main__":
    main()
