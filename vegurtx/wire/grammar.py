"""The byte classes of RFC 9110 and 9112, as sources for the compiled patterns of this package.

Every pattern in ``wire`` is put together from these, so that there is one answer to "what is a token". The
quantifiers are possessive throughout: none of this grammar needs backtracking, and a head that does not match
must fail in linear time.
"""

from __future__ import annotations

import re

TOKEN = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
"""Inside of a class: tchar (RFC 9110 section 5.6.2)."""

FIELD = rb"\t -~\x80-\xff"
"""Inside of a class: what a field value or a reason phrase may hold, OWS included (RFC 9110 section 5.5)."""

TARGET = rb"!\"$-~"
"""Inside of a class: a request target, visible ASCII without ``#`` (RFC 9112 section 3.2)."""

EXTENSION = rb";[\t -~\x80-\xff]*+"
"""A chunk extension as we bound it; what is in it is dropped, so its inner grammar does not matter.

RFC 9112 section 7.1.1 would tolerate white space before the semicolon; nobody sends it, and parsers disagree.
"""

FIELD_LINES = rb"(?:[%s]++:[%s]*+\r\n)*+" % (TOKEN, FIELD)
"""Any number of field lines: no fold, no space before the colon, CRLF only (RFC 9112 section 5)."""

CONTROL = frozenset(range(0x20)) - {0x09} | {0x7F}
"""Bytes that have no place anywhere in a head but as the CR LF of a line's end."""

match_token = re.compile(rb"[%s]++" % TOKEN).match
match_target = re.compile(rb"[%s]++" % TARGET).match
match_field = re.compile(rb"[%s]++" % FIELD).match


def field_lines(name_limit: int) -> bytes:
    """Return the source of a pattern for field lines with names of at most `name_limit` bytes."""
    return rb"(?:[%s]{1,%d}+:[%s]*+\r\n)*+" % (TOKEN, name_limit, FIELD)
