"""The one form of a path that matchers look at. What is forwarded is the path as it came.

A proxy and a back-end that read a path differently are a hole: ``/api/..%2fadmin`` is a file of ``/api`` to one and
``/admin`` to the other. So the readings that are in use are told apart, and where they lead to different places the
path has no normal form, and no matcher on paths holds.
"""

from __future__ import annotations

import re

_escape = re.compile(r"%([0-9A-Fa-f]{2})").sub
_broken_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_slashes = re.compile(r"//+").sub
#: what some back-ends take for the end of a segment, besides the slash
_END = r"\\|%5C|%2F"
#: dots that are a dot segment to those back-ends, and no dot segment by the RFC; servlet containers cut at ``;``
_hidden_dots = re.compile(
    rf"(?:{_END})\.\.?(?:/|;|%3B|{_END}|\Z)"
    rf"|/\.\.?(?:;|%3B|{_END})"
).search
#: what a segment has that is several segments to those back-ends, or none
_ambiguous = re.compile(rf"{_END}|\A(?:;|%3B)").search
#: RFC 3986 section 2.3
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _spelling(octet: int) -> str:
    return chr(octet) if chr(octet) in _UNRESERVED else f"%{octet:02X}"


#: ``hexadecimal digits → how the octet is written in the normal form``
_SPELLINGS = {
    digits: _spelling(octet)
    for octet in range(256)
    for digits in {f"{octet:02x}", f"{octet:02X}", f"{octet:02x}".title(), f"{octet:02x}".title().swapcase()}
}


def normal_form(path: str) -> str | None:
    """The path that matchers look at (RFC 3986 sections 6.2.2 and 5.2.4, and repeated slashes count as one).

    Unreserved characters are decoded (``%41`` is ``A``), other escapes are written with capitals (``%2f`` is
    ``%2F``, and no slash), ``.`` and ``..`` segments are resolved, ``//`` is ``/``. A backslash stays one.

    :param path: an origin-form's, without its query.
    :return: ``None`` for a path that is read in different ways: a ``%`` without two digits; ``%00``; ``..`` above
        the root; dot segments that show only to those who decode ``%2F``, take ``\\`` for a slash or cut segments
        at ``;``; ``..`` behind a repeated slash, or behind a segment that has such a slash or begins with ``;``.
    """
    if "%" in path or "//" in path or "/." in path or "\\" in path:
        return _normal_form(path)
    return path


def _normal_form(path: str) -> str | None:
    if "%" in path:
        if _broken_escape(path) is not None:
            return None
        path = _escape(_spelled, path)
        if "%00" in path:
            return None
    if _hidden_dots(path) is not None:
        return None
    merged = _slashes("/", path) if "//" in path else path
    if "/." not in merged:
        return merged
    resolved = _without_dots(merged)
    if merged is not path and resolved is not None:
        # The RFC takes away the empty segment, others the one before it.
        other = _without_dots(path)
        if other is None or _slashes("/", other) != resolved:
            return None
    return resolved


def _spelled(match: re.Match[str]) -> str:
    return _SPELLINGS[match[1]]


def _without_dots(path: str) -> str | None:
    """`path` without dot segments (RFC 3986 section 5.2.4); ``None`` if it leads above the root, or back over a segment
    that is several to some, or none.
    """
    segments = path.split("/")
    kept = segments[:1]
    for segment in segments[1:]:
        if segment == "..":
            # To those who see several segments in the last one, or none, ``..`` leads elsewhere.
            if len(kept) == 1 or _ambiguous(kept.pop()) is not None:
                return None
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)
