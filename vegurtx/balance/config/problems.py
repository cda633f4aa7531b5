"""What is wrong with a file, in lines that a person can act on: where, what was found, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

Path = tuple[str | int, ...]

#: how many problems are listed; a file that is wrong from top to bottom has its cause among the first ones
MOST_LINES = 50
_MOST_CHARACTERS = 80
_MOST_SAID = 300
#: comparing words takes time; beyond so many of them nobody gets a hint
_MOST_COMPARED = 200
#: where the value is something that no log may have
_SECRETS = frozenset({"secret"})

_plain_key = re.compile(r"[A-Za-z0-9_.*/-]{1,100}").fullmatch


class ConfigError(ValueError):
    """A file that cannot be used. `problems` has a line for each, the first `MOST_LINES` of them."""

    def __init__(self, problems: Iterable[str]) -> None:
        lines = list(problems)
        if len(lines) > MOST_LINES:
            lines[MOST_LINES:] = [f"... and {len(lines) - MOST_LINES} more"]
        super().__init__("\n".join(lines))
        self.problems = lines


class Problems:
    """The problems of one file, as they are found.

    :param filename: as the lines name it.
    :param lines: the line of each path in the file, counted from 1.
    :param data: the file's values.
    """

    def __init__(self, filename: str, lines: dict[Path, int], data: Any = None) -> None:
        self._filename = filename
        self._lines = lines
        self._data = data
        self._found: dict[tuple[int, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: Path, text: str, line: int = 0) -> None:
        """`text` is wrong at `path`, or at the nearest place above it that the file has; there, or in `line`."""
        path = self._in_file(path)
        line = line or self._lines.get(path) or self._lines.get(path[:-1], 1)
        place = path_text(path)
        self._found[line, f"{place}: {text}" if place else text] = None

    def _in_file(self, path: Path) -> Path:
        """`path` as the file has it: a model may have a list where the file has one value, or a section for text."""
        value = self._data
        place: list[str | int] = []
        for part in path:
            if isinstance(value, dict):
                if isinstance(part, int):
                    continue
                place.append(part)
                if part not in value:
                    break
                value = value[part]
            elif isinstance(value, list):
                if not isinstance(part, int) or part >= len(value):
                    break
                place.append(part)
                value = value[part]
            else:
                break
        return tuple(place)

    def error(self) -> ConfigError:
        """All of them, in the file's order."""
        ordered = sorted(self._found, key=lambda found: found[0])
        return ConfigError(f"{self._filename}:{line}: {text}" for line, text in ordered)


def path_text(path: Path) -> str:
    """``services[0].replicas[1].url``; unusual keys are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _plain_key(part) else shown(part)
            text += f".{name}" if text else name
    return text


def shown(value: Any) -> str:
    """A value of the file in one line: printable, and not longer than 80 characters."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # `ascii`: what a terminal makes of other characters is not ours to know.
        value = value[: _MOST_CHARACTERS + 1]
        text = repr(value) if value.isprintable() else ascii(value)
    else:
        text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 3] + "..."


def one_line(text: str) -> str:
    """What somebody else says, in one printable line of 300 characters at most."""
    text = " ".join(text[:_MOST_SAID].split())
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) < _MOST_SAID else text[: _MOST_SAID - 3] + "..."


def found(path: Path, value: Any) -> str:
    """As `shown`, but keeps secrets to itself."""
    if isinstance(value, str) and not _SECRETS.isdisjoint(path):
        return f"text of {len(value)} characters"
    return shown(value)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "replicas"?``, or nothing where no known word is near."""
    names = {name.lower(): name for name in islice(known, _MOST_COMPARED)}
    near = get_close_matches(word[:100].lower(), list(names), n=1, cutoff=0.6)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def listing(names: Sequence[str]) -> str:
    """``a, b or c``"""
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
