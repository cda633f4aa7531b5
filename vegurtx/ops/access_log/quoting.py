"""Values in lines: whatever a peer has sent, one line stays one line, and its values can be read back.

Text from a request is latin-1: each character is one byte as it came.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii
from typing import Any

#: what of a value cannot stand between quotes as it is: the first such byte, or `None`
unsafe = re.compile(rb"[^ !#-\[\]-~]").search
#: a value that needs no quotes in a logfmt line
_bare = re.compile(rb"[!#-<>-\[\]-~]++").fullmatch
_UNSAFE = re.compile(rb"[^ !#-\[\]-~]")


def quoted(value: bytes) -> bytes:
    """`value` between double quotes, escaped as in JSON: ``\\"``, ``\\\\``, ``\\n``, ``\\u00ff``."""
    if unsafe(value) is None:
        return b'"%b"' % value
    return encode_basestring_ascii(value.decode("latin-1")).encode("ascii")


def quoted_text(value: str) -> bytes:
    """As `quoted`, for text that may have any character."""
    return encode_basestring_ascii(value).encode("ascii")


def bare(value: bytes) -> bytes:
    """`value` as it is where a logfmt line can have it so; else `quoted`. Of an empty one nothing is left."""
    return value if _bare(value) is not None or not value else quoted(value)


def bare_text(value: str) -> bytes:
    """As `bare`, for text that may have any character."""
    return bare(value.encode("ascii")) if value.isascii() else quoted_text(value)


def apache(value: bytes) -> bytes:
    """`value` for a place between double quotes, escaped as Apache does it: ``\\"``, ``\\\\``, ``\\xff``."""
    return value if unsafe(value) is None else _UNSAFE.sub(_hexadecimal, value)


def apache_text(value: str) -> bytes:
    """As `apache`, for text that may have any character."""
    return apache(value.encode("latin-1", "backslashreplace"))


def _hexadecimal(match: re.Match[bytes]) -> bytes:
    byte = match[0]
    return b"\\" + byte if byte in b'"\\' else b"\\x%02x" % byte[0]


def name_of(service: Any) -> str:
    """What the log calls a service: its name, and none if it has none.

    A balancer's replica goes by its service's name. Of other objects a ``str`` counts, or the attribute ``name``;
    nobody's ``repr`` is called.
    """
    name = service if isinstance(service, str) else getattr(getattr(service, "service", service), "name", "")
    return name if name.__class__ is str else str(name) if isinstance(name, str) else ""


def address_of(backend: Any) -> str:
    """Where a `vegurtx.Backend` is reached: ``HOST:PORT``, or the path of its UNIX socket; of `None`, nothing."""
    if backend is None:
        return ""
    if backend.path is not None:
        return str(backend.path)
    return f"[{backend.host}]:{backend.port}" if ":" in backend.host else f"{backend.host}:{backend.port}"
