"""Reads a Dockerfile, and does by hand what an engine would do with it, in a folder that stands for the root."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple


class Instruction(NamedTuple):
    """One instruction."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Its arguments: of the exec form (JSON), or as a shell would split them."""
        if self.text.startswith("["):
            found: Any = json.loads(self.text)
            assert isinstance(found, list)
            return found
        return shlex.split(self.text)

    @property
    def exec_form(self) -> bool:
        """Whether no shell stands between the engine and the command."""
        return self.text.startswith("[")


def stages(path: Path) -> list[list[Instruction]]:
    """The instructions of each stage, each from its ``FROM`` on."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[list[Instruction]] = []
    for line in joined.splitlines():
        if not line.strip():
            continue
        name, _, text = line.strip().partition(" ")
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append(Instruction(name, text.strip()))
    return found


def the(stage: list[Instruction], name: str) -> Instruction:
    """The one instruction of this name."""
    (found,) = (each for each in stage if each.name == name)
    return found


def moved(text: str, root: Path) -> str:
    """`text` with the absolute paths of the image below `root`."""
    return re.sub(r"(?<![\w.:/])/(?=(?:opt|src|wheels|etc|srv)\b)", f"{root}/", text)
