"""A page of the documents as a list of its code blocks, each with the words that stand right before it.

Pages are Markdown; all code stands in fences. Nothing else of Markdown is of interest here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(`{3,})(.*)")


@dataclass(frozen=True)
class Block:
    """One block of code.

    :param language: what stands behind the fence: ``python``, ``sh``, ``console``, ...
    :param text: its lines.
    :param lead: the paragraph right before it, on one line; empty where a heading or another block is.
    :param line: where it begins on the page, counted from 1.
    """

    language: str
    text: str
    lead: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """The blocks of `page`, in their order.

    :raises ValueError: a fence is not closed, or code is indented in place of being fenced: nobody would run it.
    """
    blocks: list[Block] = []
    paragraph: list[str] = []
    lead = ""
    fence = language = ""
    begun = 0
    code: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if fence:
            if line.strip() == fence:
                blocks.append(Block(language, "\n".join(code) + "\n", lead, begun))
                fence, lead = "", ""
            else:
                code.append(line)
            continue
        if opened := _FENCE.fullmatch(line):
            fence, language = opened[1], opened[2].strip()
            lead = " ".join(paragraph) or lead
            paragraph, code, begun = [], [], number
        elif not line.strip():
            if paragraph:
                lead = " ".join(paragraph)
                paragraph = []
        elif line.startswith("    ") and not paragraph:
            raise ValueError(f"{page.name}:{number}: code is to stand in a fence")
        elif line.startswith("#"):
            paragraph, lead = [], ""
        else:
            paragraph.append(line.strip())
    if fence:
        raise ValueError(f"{page.name}:{begun}: this fence is not closed")
    return blocks
