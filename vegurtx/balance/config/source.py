"""From YAML text to plain values, with the line of each.

It is built from the parser's events, not by PyYAML's constructors, for three reasons. Depth and aliases are bounded
while they are read. Each value keeps its line, and a key that is there twice is seen. And text stays text: YAML 1.1
makes ``on`` a truth value, ``010`` eight and ``1:30`` ninety; here a plain scalar is ``null``, ``true``, ``false`` or a
number only if it is written as YAML 1.2's JSON-like core does, and a number only if it reads back as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from vegurtx.balance.config.problems import ConfigError, Path, path_text, shown

#: bytes of a file
MOST_BYTES = 1 << 20
#: lists and mappings in each other
MOST_DEPTH = 32
#: values that a file stands for, those of its aliases counted each time
MOST_VALUES = 200_000

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STR = "tag:yaml.org,2002:str"
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_whole = re.compile(r"-?(?:0|[1-9][0-9]{0,17})").fullmatch
_decimal = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}").fullmatch


class _Value:
    """A value of the file with its line, before aliases are followed."""

    __slots__ = ("content", "line", "repeated")

    def __init__(self, content: Any, line: int) -> None:
        #: a scalar; a list of ``(line, value)``; or a dict of ``key → (line of the key, value)``
        self.content = content
        self.line = line
        #: keys of a mapping that it has already, with their lines
        self.repeated: list[tuple[str, int]] = []


class Source:
    """A file's plain values and their places.

    :param text: the file.
    :param filename: as problems name it.
    :raises ConfigError: it is no YAML, or more than the bounds allow.
    """

    def __init__(self, text: str, filename: str) -> None:
        self._filename = filename
        self._anchors: dict[str, _Value] = {}
        self._open: set[int] = set()
        self._count = 0
        #: the line of each path, counted from 1
        self.lines: dict[Path, int] = {(): 1}
        self._check_size(text)
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_Parser))
        try:
            root = self._document()
        except yaml.MarkedYAMLError as error:
            self._broken(error)
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            self._fail(line, f"is not YAML: the character U+{_code(error.character):04X} is not allowed")
        #: where a key is there again: its path, its line, and the line of the first one, which counts
        self.repeated: list[tuple[Path, int, int]] = []
        #: mappings, lists, `str`, `int`, `float`, `bool` and ``None``
        self.data: Any = self._plain(root, (), root.line)

    def _check_size(self, text: str) -> None:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            self._fail(text.count("\n", 0, error.start) + 1, "is not Unicode text")
        if size > MOST_BYTES:
            self._fail(1, f"the file has {size} bytes; it must have {MOST_BYTES} at most")

    def _fail(self, line: int, text: str) -> NoReturn:
        raise ConfigError([f"{self._filename}:{line}: {text}"])

    def _broken(self, error: yaml.MarkedYAMLError) -> NoReturn:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        parts = [error.context, error.problem] if error.context else [error.problem]
        said = " ".join(", ".join(filter(None, parts)).split())
        self._fail(line, f"column {column}: is not YAML: {shown(said)[1:-1]}")

    def _document(self) -> _Value:
        """The one document of the stream."""
        root: _Value | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._fail(_line(event), "a second document; the file must have one")
                root = self._compose(next(self._events), 0)
        return _Value(None, 1) if root is None else root

    def _compose(self, event: Any, depth: int) -> _Value:
        line = _line(event)
        if depth > MOST_DEPTH:
            self._fail(line, f"lists and mappings in each other, deeper than {MOST_DEPTH}")
        if isinstance(event, yaml.AliasEvent):
            anchor = event.anchor or ""
            if anchor not in self._anchors:
                self._fail(line, f"there is no anchor &{shown(anchor)[1:-1]} before this")
            return self._anchors[anchor]
        if event.tag not in (None, "!", _STR):
            self._fail(line, f"the tag {shown(event.tag)}; tags are not allowed")
        value = _Value(None, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        if isinstance(event, yaml.ScalarEvent):
            plain = event.tag is None and not event.style
            value.content = _scalar(event.value) if plain else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value.content = []
            while not isinstance(part := next(self._events), yaml.SequenceEndEvent):
                value.content.append((_line(part), self._compose(part, depth + 1)))
        else:
            value.content = self._mapping(value.repeated, depth)
        return value

    def _mapping(self, repeated: list[tuple[str, int]], depth: int) -> dict[str, tuple[int, _Value]]:
        content: dict[str, tuple[int, _Value]] = {}
        merged: list[tuple[int, _Value]] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                self._fail(line, "a key must be text")
            # A key is text however it looks: ``1:`` and ``on:`` too.
            key = event.value
            value = self._compose(next(self._events), depth + 1)
            if key == "<<" and event.implicit[0]:
                merged.append((line, value))
            elif key in content:
                repeated.append((key, line))
            else:
                content[key] = line, value
        for line, value in merged:
            self._merge(content, line, value)
        return content

    def _merge(self, content: dict[str, tuple[int, _Value]], line: int, value: _Value) -> None:
        """``<<: *anchor``: what the mapping does not have itself."""
        several = [one for _, one in value.content] if isinstance(value.content, list) else [value]
        for one in several:
            if not isinstance(one.content, dict):
                self._fail(line, "<<: is not allowed here; it must be the alias of a mapping")
            self._count += len(one.content)
            self._check_count(line)
            for key, entry in one.content.items():
                content.setdefault(key, entry)

    def _check_count(self, line: int) -> None:
        if self._count > MOST_VALUES:
            self._fail(
                line, f"the file stands for more than {MOST_VALUES} values; is it an alias of aliases?"
            )

    def _plain(self, value: _Value, path: Path, line: int) -> Any:
        """The value itself, with its aliases followed."""
        self._count += 1
        self._check_count(line)
        self.lines[path] = line
        content = value.content
        if not isinstance(content, list | dict):
            return content
        if id(value) in self._open:
            self._fail(line, f"{path_text(path)}: an alias of something that it is in itself")
        if len(path) > MOST_DEPTH:
            self._fail(line, f"lists and mappings in each other, deeper than {MOST_DEPTH}")
        self._open.add(id(value))
        plain: Any
        if isinstance(content, list):
            plain = [self._plain(part, (*path, index), place) for index, (place, part) in enumerate(content)]
        else:
            self.repeated += [((*path, key), again, content[key][0]) for key, again in value.repeated]
            plain = {key: self._plain(part, (*path, key), place) for key, (place, part) in content.items()}
        self._open.discard(id(value))
        return plain


def _line(event: Any) -> int:
    line: int = event.start_mark.line + 1
    return line


def _scalar(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _whole(text) and text != "-0":
        return int(text)
    if _decimal(text) and repr(float(text)) == text:
        return float(text)
    return text


def _code(character: Any) -> int:
    """PyYAML's two parsers name a bad character in three ways."""
    if isinstance(character, int):
        return character
    return character[0] if isinstance(character, bytes) else ord(character)
