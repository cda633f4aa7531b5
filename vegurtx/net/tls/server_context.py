"""What a listener's TLS is made of: the context, and the session of one client.

Between the listener's certificates and the layer. TLS 1.2 and newer, HTTP/1.1 by ALPN (rule 26); ciphers are the
standard library's, all with forward secrecy.
"""

from __future__ import annotations

import ssl
import sys
from typing import Any, NamedTuple, Protocol

#: what ALPN settles on where the client offers it; another offer goes on without
PROTOCOLS = ["http/1.1"]


class ServerContexts(Protocol):
    """What a listener's TLS comes from; asked for each new client."""

    @property
    def context(self) -> ssl.SSLContext:
        """The context that is in force now."""


class ServerSession(ssl.SSLObject):
    """The TLS of one client; knows the name that the client asked for."""

    #: SNI; None: it asked for none
    server_name: str | None = None

    def do_handshake(self) -> None:
        """See `ssl.SSLObject`. What a client sends as its name never becomes a traceback."""
        # Python decodes the name before anybody is asked, and tells this hook where it is not ASCII. The handshake
        # fails, and that says enough.
        hook = sys.unraisablehook
        sys.unraisablehook = _NotNames(hook)
        try:
            super().do_handshake()
        finally:
            sys.unraisablehook = hook


class _NotNames:
    """Tells a hook of all that cannot be raised, but for names that are not ASCII."""

    __slots__ = ("_hook",)

    def __init__(self, hook: Any) -> None:
        self._hook = hook

    def __call__(self, unraisable: Any) -> None:
        if unraisable.exc_type is not UnicodeDecodeError:
            self._hook(unraisable)


def server_context() -> ssl.SSLContext:
    """A listener's context; it still has no certificate (see `vegurtx.net.tls.chain`)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(PROTOCOLS)
    context.sslobject_class = ServerSession
    context.sni_callback = keep_name
    return context


def keep_name(session: Any, name: str | None, context: ssl.SSLContext) -> None:
    """The ``sni_callback`` of a context: the session keeps the name that its client asked for."""
    session.server_name = name


class FixedContext(NamedTuple):
    """`ServerContexts` of one context that never changes."""

    context: ssl.SSLContext
