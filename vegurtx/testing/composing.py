"""Plain messages as bytes, for tests which are not about bytes: correct, with nothing in them that was not asked for.

They stand where a test would otherwise write a message out; what a test is really about is better written out.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

HeaderPairs = Iterable[tuple[str, str]]

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_WITHOUT_BODY = frozenset({204, 304})


def request_bytes(method: str, url: str, headers: HeaderPairs = (), body: bytes | None = None) -> bytes:
    """Return an HTTP/1.1 request.

    :param method: the method.
    :param url: ``http://host:port/path?query``; its authority becomes the ``Host``, the rest the target as it is.
    :param headers: more ``(name, value)`` pairs, in this order.
    :param body: the body; it gets a ``Content-Length``, and so does a POST, PUT or PATCH without one.
    :raises ValueError: the URL names no host.
    """
    parts = urlsplit(url)
    if not parts.netloc:
        raise ValueError(f"a URL with its host, as http://tenant.example/path, not {url!r}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
    if body is None and method in _WITH_BODY:
        body = b""
    return _message(lines, headers, body)


def response_bytes(status: int = 200, body: bytes = b"", headers: HeaderPairs = ()) -> bytes:
    """Return an HTTP/1.1 response with a ``Content-Length`` (a 204 or 304 has none, and no body).

    :param status: 200 to 599; its usual reason phrase stands beside it.
    :param body: the body.
    :param headers: more ``(name, value)`` pairs, in this order.
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return _message([f"HTTP/1.1 {status} {phrase}"], headers, None if status in _WITHOUT_BODY else body)


def _message(lines: list[str], headers: HeaderPairs, body: bytes | None) -> bytes:
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
