"""Whether what a program printed is what a page shows of it."""

from __future__ import annotations

import re


def _pattern(line: str) -> str:
    return r"[^\n]*".join(re.escape(part) for part in line.split("..."))


def regex_of(shown: str) -> str:
    """The regular expression for what a page shows.

    ``...`` is any text within a line; alone on its line it is any lines, or none. White space at a line's end does
    not count.
    """
    parts = [
        r"(?:[^\n]*\n)*?" if line.strip() == "..." else _pattern(line.rstrip()) + r"[ \t\r]*\n"
        for line in shown.splitlines()
    ]
    return "".join(parts)


def matches(shown: str, printed: str) -> bool:
    """Whether `printed` is, as a whole, what is `shown`."""
    if printed and not printed.endswith("\n"):
        printed += "\n"
    return re.fullmatch(regex_of(shown), printed) is not None


def appears(shown: str, printed: str) -> bool:
    """Whether the lines of `shown` have all come, in this order; others may stand between them."""
    pattern = r"(?:[^\n]*\n)*?".join(_pattern(line.rstrip()) + r"[ \t\r]*\n" for line in shown.splitlines())
    return re.search(r"(?m)^" + pattern, printed) is not None
