"""Says how long a message's body is, from its checked head.

Asked by ``proxy`` right after the head was parsed; the answer drives how ``net`` reads the body. Where the
fields leave any doubt the message is refused, because the next hop may decide the other way (RFC 9112
sections 6 and 11.2).
"""

from __future__ import annotations

import re

from .errors import BadFraming
from .grammar import TOKEN
from .request import RequestHead
from .response import ResponseHead

CHUNKED = -1
"""The body says its length as it goes."""

UNTIL_CLOSE = -2
"""The body ends when the connection does."""

_LENGTH_DIGITS = 19
_LENGTH_END = 2**63

_CODINGS = frozenset(
    {b"chunked", b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity", b"br", b"zstd"}
)
_coding_name = re.compile(rb"([%s]++)[ \t]*+(?:;.*)?" % TOKEN).fullmatch

_tab_behind_coding = re.compile(rb"(?im)^transfer-encoding:[ \t]*+chunked *+\t").search


def request_framing(head: RequestHead) -> int:
    """Return the length of a request's body (RFC 9112 section 6.3, rule 5).

    :param head: must have been parsed with ``content-length`` and ``transfer-encoding`` among its known
        fields
    :return: bytes, 0 without a body, or ``CHUNKED``
    :raises BadFraming: ``content_length``; ``transfer_encoding`` for what is to be answered 400;
        ``unknown_coding`` for 501
    """
    known = head.known
    coding = known.get(b"transfer-encoding")
    if coding is None:
        length = known.get(b"content-length")
        return 0 if length is None else _length(head, length)
    if b"content-length" in known or head.minor == 0:
        raise BadFraming("transfer_encoding")
    if coding.lower() == b"chunked":
        if _has_tab_behind_coding(head):
            raise BadFraming("transfer_encoding")
        return CHUNKED
    raise BadFraming("unknown_coding" if _names_unknown(coding) else "transfer_encoding")


def response_framing(head: ResponseHead, method: bytes) -> int:
    """Return the length of a response's body (RFC 9112 section 6.3, rules 14 to 16).

    :param head: must have been parsed with ``content-length`` and ``transfer-encoding`` among its known
        fields
    :param method: the request's method; a response to ``CONNECT`` is not foreseen
    :return: bytes, ``CHUNKED``, or ``UNTIL_CLOSE``
    :raises BadFraming: ``content_length`` or ``invalid_transfer_encoding``
    """
    status = head.status
    if method == b"HEAD" or status < 200 or status == 204 or status == 304:
        return 0
    known = head.known
    coding = known.get(b"transfer-encoding")
    if coding is None:
        length = known.get(b"content-length")
        return UNTIL_CLOSE if length is None else _length(head, length)
    refused = b"content-length" in known or head.minor == 0 or coding.lower() != b"chunked"
    if refused or _has_tab_behind_coding(head):
        raise BadFraming("invalid_transfer_encoding")
    return CHUNKED


def _has_tab_behind_coding(head: RequestHead | ResponseHead) -> bool:
    """Tell whether a tab follows ``chunked``.

    It is white space by RFC 9110 section 5.6.3, but llhttp (all of Node) takes it for a part of the coding's name: it
    would see a response without chunks, which ends by close, in the line that we pass on.
    """
    return b"\t" in head.block and _tab_behind_coding(head.block) is not None


def _length(head: RequestHead | ResponseHead, value: bytes) -> int:
    """Return the value of Content-Length; several equal lines count as one, a comma list does not."""
    values = head.repeated.get(b"content-length")
    if values is not None:
        value = values[0]
        if values.count(value) != len(values):
            raise BadFraming("content_length")
    # bytes.isdigit is true for ASCII digits only, and false for nothing at all.
    if len(value) > _LENGTH_DIGITS or not value.isdigit():
        raise BadFraming("content_length")
    length = int(value)
    if length >= _LENGTH_END:
        raise BadFraming("content_length")
    return length


def _names_unknown(value: bytes) -> bool:
    """Tell whether a Transfer-Encoding names a coding that nobody knows; bad syntax is no unknown coding."""
    names = [_coding_name(member.strip(b" \t")) for member in value.split(b",")]
    return all(names) and any(name[1].lower() not in _CODINGS for name in names if name)
