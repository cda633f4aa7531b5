"""What the words of a page ask a reader to do: save a file, run commands, start a program in a terminal, press Ctrl-C.

The words are the page's own; nothing is hidden in comments. A block's lead, the paragraph before it, says what it is:

- "... `router.py`:" at its end, the block is that file; with "to the end of", it is added to it;
- "terminal", a ``console`` block is a program that goes on. What is shown below its command is what it says when
  it is ready;
- "Ctrl-C", the proxy (where it is named), or else the program in the last terminal, is stopped first;
- any other ``sh`` or ``console`` block is run to its end, and every command must succeed. What a ``console`` block
  shows is what the command has to print.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.docs.page_blocks import Block, blocks_of

_FILE = re.compile(r"`([\w./-]+\.(?:py|yaml|service))`:$")
_COMMAND = re.compile(r"\$ (.*)")


@dataclass(frozen=True)
class Save:
    """Write `text` to `name`, or add it."""

    line: int
    name: str
    text: str
    add: bool


@dataclass(frozen=True)
class Run:
    """Run `command` to its end; `shown` is what it prints, `None` where the page does not say."""

    line: int
    command: str
    shown: str | None


@dataclass(frozen=True)
class Start:
    """Start `command` in a terminal of its own, and wait until it has said `shown`."""

    line: int
    command: str
    shown: str


@dataclass(frozen=True)
class Stop:
    """Press Ctrl-C in the proxy's terminal, or else in the last one."""

    line: int
    proxy: bool


Step = Save | Run | Start | Stop


def steps_of(page: Path) -> list[Step]:
    """What `page` asks for, in its order.

    :raises ValueError: a block's words do not say what is to be done with it.
    """
    return [step for block in blocks_of(page) for step in _steps(page, block)]


def _steps(page: Path, block: Block) -> list[Step]:
    where = f"{page.name}:{block.line}"
    steps: list[Step] = [Stop(block.line, "the proxy" in block.lead)] if "Ctrl-C" in block.lead else []
    if block.language not in ("sh", "console"):
        if block.language == "text":
            return steps
        named = _FILE.search(block.lead)
        if named is None:
            raise ValueError(f"{where}: the words before it do not name the file that this is")
        return [*steps, Save(block.line, named[1], block.text, "to the end of" in block.lead)]
    runs = _shell(block) if block.language == "sh" else _console(where, block)
    if "terminal" not in block.lead or block.language == "sh":
        return [*steps, *runs]
    if len(runs) != 1 or not runs[0].shown:
        raise ValueError(f"{where}: a terminal has one command, and what it says when it is ready")
    return [*steps, Start(block.line, runs[0].command, runs[0].shown)]


def _shell(block: Block) -> list[Run]:
    return [
        Run(block.line, command.strip(), None)
        for command in re.split(r"(?<!\\)\n", block.text)
        if command.strip()
    ]


def _console(where: str, block: Block) -> list[Run]:
    runs: list[Run] = []
    command, shown = "", ""
    for line in block.text.splitlines():
        begins = _COMMAND.fullmatch(line)
        if begins:
            if command:
                runs.append(Run(block.line, command, shown))
            command, shown = begins[1], ""
        elif command.endswith("\\"):
            command += "\n" + line
        elif line.startswith("> ") and command and not shown:
            command += "\n" + line[2:]  # as the shell asks for more
        elif not command:
            raise ValueError(f"{where}: it is to begin with '$ ' and a command")
        else:
            shown += line + "\n"
    return [*runs, Run(block.line, command, shown)]
