"""Docstrings are written for whoever reads them in an editor: a list in one may end without an empty line behind it.

reStructuredText wants that line, and here it gets it.
"""

from __future__ import annotations

from typing import Any


def close_lists(lines: list[str]) -> list[str]:
    """`lines` with an empty line behind each list that another paragraph follows at once."""
    closed: list[str] = []
    in_list = False
    for line in lines:
        begins = line.startswith("- ")
        if in_list and line and not begins and not line.startswith(" ") and closed[-1]:
            # The rest of an item that somebody's formatter has wrapped, or a new paragraph: text either way.
            closed.append("")
        in_list = begins or (in_list and (not line or line.startswith(" ")))
        closed.append(line)
    return closed


def _process(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = close_lists(lines)


def setup(app: Any) -> dict[str, Any]:
    """Sphinx asks for it."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
