"""The fields that a router adds to a head, or replaces in it (``additional_headers``, error pages, answers)."""

from __future__ import annotations

from typing import Any

from vegurtx.wire.fields import valid_field, without

#: fields that frame a message or belong to one connection: these are the proxy's own
OURS = frozenset(
    {b"connection", b"content-length", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)


def lines_of(pairs: Any) -> list[tuple[bytes, bytes]]:
    """The pairs as ``(lower-case name, field line)``; the line is empty where the value is ``None``: remove it.

    :raises TypeError: they are no pairs of ``str`` or ``bytes``.
    :raises ValueError: a name or a value cannot be sent, or the field is one of the proxy's own.
    """
    lines: list[tuple[bytes, bytes]] = []
    for name, value in pairs:
        raw_name, raw_value = _raw(name), b"" if value is None else _raw(value)
        key = raw_name.lower()
        if not valid_field(raw_name, raw_value):
            raise ValueError(f"a header that cannot be sent: {name!r}: {value!r}")
        if key in OURS:
            raise ValueError(f"{name!r} is the proxy's own header")
        lines.append((key, b"" if value is None else b"%b: %b\r\n" % (raw_name, raw_value)))
    return lines


def replaced(block: bytes, pairs: Any) -> bytes:
    """`block` with the fields of `pairs` added, each in the place of all of its name; ``None`` only takes them away.

    A ``Set-Cookie`` stands beside the others: each is a cookie of its own (RFC 6265 section 3).

    :raises TypeError, ValueError: as `lines_of`.
    """
    lines = lines_of(pairs)
    if not lines:
        return block
    names = {name for name, line in lines if name != b"set-cookie" or not line}
    return without(block, names) + b"".join([line for _, line in lines])


def _raw(text: Any) -> bytes:
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode("latin-1")
    raise TypeError(f"a header is made of str or bytes, not {text!r}")
