"""TLS for the scripted peers: the connection over Python's own sockets with TLS, and certificates made on the spot."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReadWriteDescriptor
from zope.interface import implementer

from vegurtx.testing.connection import ScriptedConnection
from vegurtx.testing.readiness import NOT_NOW


@implementer(IReadWriteDescriptor)
class SecureConnection(ScriptedConnection):
    """A `ScriptedConnection` whose bytes travel in TLS. The handshake has been done when a test gets it.

    `closed` returns `"reset"` also where the other side closed without a `close_notify` (a truncated stream).
    """

    _socket: ssl.SSLSocket

    @property
    def cipher(self) -> str:
        """The cipher suite that was negotiated."""
        chosen = self._socket.cipher()
        return chosen[0] if chosen else ""

    @property
    def protocol(self) -> str:
        """The version of TLS, as `"TLSv1.3"`."""
        return self._socket.version() or ""

    @property
    def application_protocol(self) -> str | None:
        """What ALPN settled on, as `"http/1.1"`, or `None`."""
        return self._socket.selected_alpn_protocol()

    @property
    def certificate(self) -> bytes:
        """The other side's certificate, DER."""
        return self._socket.getpeercert(binary_form=True) or b""

    def _say_goodbye(self) -> None:
        self._shut_down()

    def _shut_down(self) -> None:
        """Send `close_notify`; the other side's own is not waited for."""
        try:
            self._socket.unwrap()
        except (*NOT_NOW, OSError):
            pass


class Certificate(NamedTuple):
    """A certificate (with its chain, if it has one) and its key, for tests only. Both are PEM."""

    certificate: bytes
    key: bytes

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write both into `folder`; return the paths of the certificate and of the key."""
        paths = folder / "certificate.pem", folder / "key.pem"
        paths[0].write_bytes(self.certificate)
        paths[1].write_bytes(self.key)
        return paths


def self_signed(*names: str) -> Certificate:
    """Make a certificate for `names` (DNS names), valid for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def client_context(*trusted: Certificate, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """A context for a scripted client.

    It trusts (and checks names against) the given certificates, or anybody where none is given; `protocols`
    are offered by ALPN.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusted:
        context.load_verify_locations(cadata="".join(each.certificate.decode("ascii") for each in trusted))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def context_factory(certificate: Certificate) -> Any:
    """What a TLS listener of the proxy takes: a context with `certificate`, which offers HTTP/1.1 by ALPN."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    from vegurtx.net.tls import chain, server_context

    context = server_context.server_context()
    key = load_pem_private_key(certificate.key, None)
    chain.show(context, load_pem_x509_certificates(certificate.certificate), key)
    return context


def server_context(
    certificate: Certificate,
    folder: Path,
    *,
    clients: bytes | None = None,
    protocols: tuple[str, ...] = (),
    newest: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """A context for a scripted back-end. Python's `ssl` reads certificates from files only: they go to
    `folder`.

    :param clients: clients must show a certificate of this authority (PEM).
    :param protocols: what ALPN may settle on.
    :param newest: the newest version of TLS that it speaks.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate.save(folder))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.decode("ascii"))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if newest is not None:
        context.maximum_version = newest
    return context
