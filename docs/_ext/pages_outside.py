"""Pages at the top of the checkout are pages of the site as well: README, CONTRIBUTING, SECURITY, CHANGELOG.

There they have to be, for whoever looks at the checkout. In this folder each has a page of one line that leads there;
on the site that line makes room for the page itself, and links to the page at the top lead to it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

#: the page at the top, and its name on the site
PAGES = {
    "README.md": "overview",
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "security",
    "CHANGELOG.md": "changes",
}
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)((?:#[^)\s]*)?)\)")


def from_above(text: str) -> str:
    """`text` of a page at the top, with its links as they are seen from ``docs/``."""

    def link(found: re.Match[str]) -> str:
        target, anchor = found.groups()
        if target in PAGES:
            return f"]({PAGES[target]}.md{anchor})"
        inside = target.removeprefix("docs/")
        return f"]({inside}{anchor})" if inside != target else f"](../{target}{anchor})"

    return _LINK.sub(link, text)


def to_above(text: str, depth: int) -> str:
    """`text` of a page `depth` folders below ``docs/``, with its links to the top's pages as links to the site's."""
    up = "../" * depth
    for page, name in PAGES.items():
        text = text.replace(f"]({up}../{page}", f"]({up}{name}.md")
    return text


def _read(app: Any, docname: str, source: list[str]) -> None:
    for page, name in PAGES.items():
        if docname == name:
            path = Path(app.srcdir).parent / page
            app.env.note_dependency(str(path))
            source[0] = from_above(path.read_text("utf-8"))
            return
    source[0] = to_above(source[0], docname.count("/"))


def setup(app: Any) -> dict[str, Any]:
    """Sphinx asks for it."""
    app.connect("source-read", _read, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
