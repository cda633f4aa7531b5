"""The site's contents are those of ``docs/README.md``: what its sections link to is what they have in the side bar.

A folder's own ``README.md`` does the same for the folder. So there is one list of all pages, which reads well without
Sphinx. Pages that a list has forgotten come behind the others.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\((?!\.\./|https?:)([^)#\s]+)\.md\)")


def contents(text: str) -> dict[str, list[str]]:
    """The pages of each section of `text`, in the order in which they are linked to; each page once.

    What stands before the first section counts only where there is none; its pages have no caption.
    """
    opening, *parts = _SECTION.split(text)
    seen: set[str] = set()
    sections: dict[str, list[str]] = {}
    pairs = list(zip(parts[::2], parts[1::2], strict=True)) or [("", opening)]
    for caption, body in pairs:
        pages = [page for page in dict.fromkeys(_LINK.findall(body)) if page not in seen]
        seen.update(pages)
        if pages:
            sections[caption] = pages
    return sections


def _add_contents(app: Any, docname: str, source: list[str]) -> None:
    if not docname.endswith("README"):
        return
    sections = contents(source[0])
    folder = (Path(app.srcdir) / docname).parent
    listed = {page for pages in sections.values() for page in pages}
    others = sorted({page.stem for page in folder.glob("*.md")} - listed - {"README"})
    if others:
        sections.setdefault("More" if docname == "README" else "", []).extend(others)
    for caption, pages in sections.items():
        options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
        source[0] += "\n".join(["", "```{toctree}", *options, "", *pages, "```", ""])


def setup(app: Any) -> dict[str, Any]:
    """Sphinx asks for it."""
    app.connect("source-read", _add_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
