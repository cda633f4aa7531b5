"""Who may use the admin API: whoever has the token; without one, whoever is on this machine and no web page.

A page in somebody's browser can send requests to loopback addresses. By *DNS rebinding* it can even read the answers:
its own name then stands in ``Host``, and leads to this machine. So without a token ``Host`` must be an address or
``localhost``. And it can send a form: so whatever changes something must not come from another ``Origin``.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from ipaddress import ip_address

from vegurtx.ops.admin.answers import Refusal
from vegurtx.wire.target import parse_host

#: characters; a shorter one is guessed sooner than it should be
SHORTEST_TOKEN = 16
_LONGEST_FILE = 4096
_token = re.compile(rb"[A-Za-z0-9._~+/-]+=*").fullmatch  # RFC 6750 section 2.1

#: a request's field by its lower-case name, or `None`
FieldOf = Callable[[bytes], bytes | None]


class TokenError(ValueError):
    """A token file that cannot be used; the message is one line that names it."""


def read_token(path: str) -> bytes:
    """The token in the file at `path`, without the white space around it.

    :raises TokenError: it cannot be read, or holds no token: 16 characters or more of what a ``Bearer`` token may have.
    """
    try:
        with open(path, "rb") as file:
            token = file.read(_LONGEST_FILE).strip()
    except OSError as problem:
        raise TokenError(f"{path}: cannot be read: {problem.strerror or problem}") from None
    if len(token) < SHORTEST_TOKEN or _token(token) is None:
        raise TokenError(
            f"{path}: holds no token; it must be {SHORTEST_TOKEN} or more letters, digits and . _ ~ + / -"
        )
    return token


class Access:
    """Lets requests in, or not.

    :param token: what ``Authorization: Bearer`` must bring; `None`: nothing, for a listener that only this machine's
        users reach.
    """

    def __init__(self, token: bytes | None = None) -> None:
        self._token = token

    def check(self, field: FieldOf, *, changes: bool, public: bool) -> None:
        """Whether a request with these fields is followed.

        :param changes: whether it is to change something.
        :param public: whether it is for everybody, as a health probe or the page without its numbers is.
        :raises Refusal: it is not.
        """
        host = field(b"host")
        if self._token is not None:
            if not public:
                self._check_token(field(b"authorization"))
        elif host is not None and not _is_address(host):
            raise Refusal(421, "Host must be an address or localhost")
        if changes:
            _check_origin(field, host)

    def _check_token(self, given: bytes | None) -> None:
        scheme, _, token = (given or b"").partition(b" ")
        assert self._token is not None
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(b" "), self._token):
            raise Refusal(401, "a token is needed", headers=(("WWW-Authenticate", 'Bearer realm="vegurtx"'),))


def _is_address(host: bytes) -> bool:
    try:
        name, _ = parse_host(host)
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 section 6.3
            return True
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _check_origin(field: FieldOf, host: bytes | None) -> None:
    origin = field(b"origin")
    if origin is not None and (host is None or origin.lower() != b"http://" + host.lower()):
        raise Refusal(403, "another Origin may not do this")
    if field(b"sec-fetch-site") not in (None, b"same-origin", b"none"):
        raise Refusal(403, "another site may not do this")
