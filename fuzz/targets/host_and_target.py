"""Request targets and ``Host`` values (rules 1 and 2).

An input is ``METHOD TARGET`` and, behind a line feed, a host.

Claims:

- A target has an authority if and only if it names one, in a form that its method may have; what goes on is an
  origin-form (or ``*``), and stays the same when it is read again.
- Nothing is lost: authority and origin are in the target as they came, one behind the other.
- A host is ASCII in lower case, without port, user, or white space; with its port it is read as the same again.
- ``urllib`` sees the same authority, host and port.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from urllib.parse import urlsplit

from fuzz.findings import hold, same
from vegurtx.wire.grammar import match_target, match_token
from vegurtx.wire.target import parse_host, parse_target

_HOST_BYTES = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=%:[]"  # RFC 3986
)


def check(data: bytes) -> None:
    """All claims, for one request line and one field."""
    line, _, value = data.partition(b"\n")
    _host(value.strip(b" \t"))
    method, _, target = line.partition(b" ")
    token, visible = match_token(method), match_target(target)
    # what comes from a checked request line
    if token is not None and token.end() == len(method) and visible is not None:
        _target(method, target[: visible.end()])


def _target(method: bytes, target: bytes) -> None:
    try:
        parsed = parse_target(method, target)
    except ValueError:
        hold(not target.startswith(b"/") or method == b"CONNECT", "an origin-form is refused", method, target)
        return
    authority, origin = parsed
    if method == b"CONNECT":
        same(parsed, (target, target), "CONNECT")
        hold(parse_host(target)[1] is not None, "CONNECT without a port", target)
        return
    hold(origin[:1] == b"/" or (origin == b"*" and method == b"OPTIONS"), "no origin-form", method, origin)
    hold(b"#" not in origin and b" " not in origin, "what no target has", origin)
    same(parse_target(method, origin), (None, origin), "an origin-form is read again as something else")
    if authority is None:
        same(origin, target, "a target without authority changes")
        return
    host, port = parse_host(authority)
    scheme, _, rest = target.partition(b"://")
    hold(scheme.lower() in (b"http", b"https"), "another scheme", scheme)
    hold(rest.startswith(authority), "an authority that the target does not have", authority, target)
    path = rest[len(authority) :]
    if method == b"OPTIONS" and not path:
        same(origin, b"*", "OPTIONS of a whole server (RFC 9112 section 3.2.4)")
    else:
        same(origin, path if path.startswith(b"/") else b"/" + path, "a path that the target does not have")
    theirs = urlsplit(target.decode("ascii"))
    same(theirs.netloc, authority.decode("ascii"), "urllib sees another authority")
    same((theirs.hostname or "").lower(), host.strip("[]"), "urllib sees another host")
    same(theirs.port, port, "urllib sees another port")


def _host(value: bytes) -> None:
    try:
        host, port = parse_host(value)
    except ValueError:
        return
    raw = host.encode("ascii")
    hold(raw and _HOST_BYTES.issuperset(raw), "a byte that no host has", raw)
    same(host, host.lower(), "a host in capitals")
    hold(port is None or 0 < port < 65536, "a port that is none", port)
    hold(value.lower().startswith(raw), "another host", value, raw)
    same(
        value[len(raw) :].strip(b":").lstrip(b"0"),
        b"" if port is None else b"%d" % port,
        "another port",
        value,
    )
    again = raw if port is None else b"%b:%d" % (raw, port)
    same(parse_host(again), (host, port), "a host that is written again is another")
    if raw.startswith(b"["):
        IPv6Address(host[1:-1])
    else:
        hold(b":" not in raw and b"[" not in raw, "a colon in a name", raw)
