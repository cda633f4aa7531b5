"""Decides which trailer fields of a chunked body go on to the other side.

``chunked`` hands over the checked lines; what is left goes behind our own last chunk. A recipient may merge
trailers into the head, so nothing may pass that would have changed how the message was framed, routed,
authenticated or read (RFC 9110 section 6.5.1, rule 6). Everything else, checksums and signatures above all,
goes on byte for byte.
"""

from __future__ import annotations

import re

DROPPED = frozenset(
    {
        # Framing.
        b"content-length",
        b"content_length",  # and its like: look-alikes, which some back-ends read as the real ones
        b"transfer-encoding",
        b"transfer_encoding",
        b"trailer",
        # Routing.
        b"host",
        b"max-forwards",
        b"forwarded",
        b"via",
        # Hop-by-hop; see also DROPPED_PREFIXES.
        b"connection",
        b"keep-alive",
        b"te",
        b"upgrade",
        # Request modifiers that act before the body is read.
        b"expect",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
        b"range",
        # Who is asking, and what a client remembers.
        b"authorization",
        b"www-authenticate",
        b"cookie",
        b"set-cookie",
        # How the content is to be read.
        b"content-encoding",
        b"content-type",
        b"content-range",
        # What the proxy itself says in the head.
        b"x-request-id",
        b"x-request-start",
        b"connect-time",
        b"total-route-time",
        b"x-real-ip",
    }
)
"""Lower-case names that never go on. ``Cache-Control``, ``ETag`` and the like are harmless and do."""

DROPPED_PREFIXES = (b"proxy-", b"x-forwarded-")
"""Lower-case beginnings of names that never go on."""

_dropped_lines = re.compile(
    rb"(?m:^)(?i:%s|(?:%s)[^:]*+):[^\n]*+\n"
    % (b"|".join(map(re.escape, sorted(DROPPED))), b"|".join(map(re.escape, DROPPED_PREFIXES)))
)


def forwardable_trailers(block: bytes) -> bytes:
    """Return the lines of a checked trailer `block` that may go on; order, case and bytes are kept."""
    return _dropped_lines.sub(b"", block) if block else b""
