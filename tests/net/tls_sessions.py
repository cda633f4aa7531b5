"""What the tests of TLS share: sessions of Python's own, which a test moves by hand."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from vegurtx.net.tls import chain
from vegurtx.testing import Certificate, self_signed

CERTIFICATE = self_signed("backend.test")


def server_context(certificate: Certificate = CERTIFICATE, **limits: Any) -> ssl.SSLContext:
    """A plain server's context; `limits` are attributes, as ``maximum_version``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key = load_pem_private_key(certificate.key, None)
    chain.show(context, load_pem_x509_certificates(certificate.certificate), key)
    for name, value in limits.items():
        setattr(context, name, value)
    return context


def client_context(**limits: Any) -> ssl.SSLContext:
    """A plain client's context, which trusts anybody; `limits` as for `server_context`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in limits.items():
        setattr(context, name, value)
    return context


class Session:
    """One side of TLS, without a connection: what it has to say is in `said`, until it is `taken`.

    :param context: one of the above, or another.
    :param server: whether it is the server's side.
    :param name: the name that a client asks for.
    """

    def __init__(self, context: ssl.SSLContext, *, server: bool = False, name: str | None = None) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=name)
        self.plain = bytearray()
        #: the other side has sent its ``close_notify``
        self.ended = False

    def shake(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def hear(self, data: bytes) -> None:
        """Records of the other side; decrypts what can be."""
        self._in.write(data)
        if not self.shake():
            return
        try:
            while not self.ended:
                piece = self.tls.read(65536)
                self.plain += piece
                self.ended = not piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True

    def taken(self) -> bytes:
        """What is to be sent."""
        return self._out.read()

    def record(self, data: bytes) -> bytes:
        """`data` as records."""
        self.tls.write(data)
        return self.taken()

    def goodbye(self) -> bytes:
        """A ``close_notify``."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.taken()


def shake_hands(client: Session, server: Session) -> None:
    """Both handshakes, from the beginning to the end; raises `ssl.SSLError` where one fails."""
    done = False
    while not done:
        client_done = client.shake()
        server.hear(client.taken())
        done = client_done and server.shake()
        client.hear(server.taken())
