"""What the codec raises; ``net`` and ``proxy`` turn it into an error page and a reason.

The codec names what was wrong with one short word (``what``) and knows nothing of reasons, pages or blame.
"""

from __future__ import annotations


class WireError(Exception):
    """Base of everything that this package raises about a peer's bytes; ``what`` is the word for it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class BadHead(WireError):
    """A head that breaks the grammar or a limit (RFC 9112 sections 2 to 5, rules 3, 4, 14).

    ``status`` is what a request is to be answered with (400, 414, 431, 505; always 502 for a response).
    ``what``, for a request: ``bad_byte`` (control byte, bare CR or LF), ``bad_request_line``, ``bad_header``,
    ``version``, ``line_length``, ``header_length``. For a response: ``status_length``, ``invalid_status``,
    ``header_length`` (also for bad syntax and too many fields), ``cookie_length``.
    """

    def __init__(self, what: str, status: int = 502) -> None:
        super().__init__(what)
        self.status = status


class BadFraming(WireError):
    """Framing fields that cannot be trusted (RFC 9112 section 6.3, rules 5 and 14).

    ``what``, for a request: ``content_length``, ``transfer_encoding`` (400) or ``unknown_coding`` (501);
    for a response: ``content_length`` or ``invalid_transfer_encoding``.
    """


class BadChunk(WireError):
    """A chunked body that breaks the grammar or a limit (RFC 9112 section 7.1, rule 6).

    ``what``: ``size``, ``extension``, ``delimiter``, ``trailer`` or ``length``. ``pieces`` is the good body
    data that the same segment held before the bad bytes, so that segmentation does not change what is
    delivered.
    """

    def __init__(self, what: str, pieces: list[bytes | memoryview] | None = None) -> None:
        super().__init__(what)
        self.pieces: list[bytes | memoryview] = [] if pieces is None else pieces
