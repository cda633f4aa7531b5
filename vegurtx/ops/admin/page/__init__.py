"""The admin page: files beside this one, sent as they are. What they show comes from the API, as JSON.

The page's policy lets nothing in but these files: no other site, nothing inline, and no string that becomes markup
(Trusted Types). So the page has no secret, and nothing in it depends on a request.
"""

from __future__ import annotations

from importlib.resources import files

from vegurtx.ops.admin.answers import Answer

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = (("Content-Security-Policy", _POLICY), ("Cross-Origin-Opener-Policy", "same-origin"))

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def page_files() -> dict[tuple[str, ...], Answer]:
    """The page's files by their path's segments, read now: ``/`` is ``page.html``, the others go by their names."""
    found: dict[tuple[str, ...], Answer] = {}
    for file in files(__name__).iterdir():
        content_type = _TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            path = "" if file.name == "page.html" else file.name
            found[path,] = Answer(200, file.read_bytes(), content_type, _HEADERS)
    return found
