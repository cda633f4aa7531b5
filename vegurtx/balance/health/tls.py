"""TLS of probes: a replica is trusted by its probes exactly if the proxy's own connections trust it.

A `BackendTLS` becomes one OpenSSL context, which all hosts share (the system's authorities take a megabyte and some
milliseconds); what differs from host to host is the name that is asked for and checked. Files that have changed are
read again with the next probe.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.balance.names import is_numeric
from vegurtx.message import BackendTLS

#: contexts that are kept; the one that was not asked for longest gives way
_KEPT = 64
#: how a file with authorities may end, in a folder of them
_ENDINGS = (".pem", ".crt", ".cert", ".cer")

_MINIMA = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}

_contexts: OrderedDict[tuple[Any, ...], SSL.Context] = OrderedDict()


class TlsFilesError(Exception):
    """A certificate or key that is configured cannot be used. The text names the file."""


class _Connection(SSL.Connection):
    """One connection's TLS."""

    #: the name that the certificate must be for; "": any
    wanted: str


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Makes the TLS of one connection. `name` is sent as SNI unless it is an address (RFC 6066, section 3)."""

    def __init__(self, context: SSL.Context, name: str, verify: bool) -> None:
        self._context = context
        self._name = name
        self._verify = verify

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See `IOpenSSLClientConnectionCreator`."""
        connection = _Connection(self._context, None)
        connection.wanted = self._name if self._verify else ""
        if self._name and not is_numeric(self._name):
            connection.set_tlsext_host_name(self._name.encode("idna"))
        return connection


def creator_for(tls: object, host: str) -> Any:
    """What `wrapClientTLS` wants for `Backend.tls` of a back-end at `host`.

    :raises TlsFilesError: a file of a `BackendTLS` cannot be used.
    """
    if not isinstance(tls, BackendTLS):
        return tls  # one of Twisted's own
    name = (tls.server_name or host).rstrip(".")
    return _Creator(_context(tls), name, tls.verify)


def _context(tls: BackendTLS) -> SSL.Context:
    """The context of `tls`, made again where one of its files has changed."""
    key = (tls, *(_stamp(path) for path in (tls.ca, tls.certificate, tls.private_key)))
    context = _contexts.get(key)
    if context is None:
        context = _contexts[key] = _make(tls)
        if len(_contexts) > _KEPT:
            _contexts.popitem(last=False)
    else:
        _contexts.move_to_end(key)
    return context


def _stamp(path: str | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _make(tls: BackendTLS) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(_MINIMA[tls.minimum])
    context.set_info_callback(_noticed)
    if tls.alpn:
        context.set_alpn_protos([name.encode("ascii") for name in tls.alpn])
    try:
        if tls.verify:
            context.set_verify(SSL.VERIFY_PEER, _verified)
            _trust(context, tls.ca)
        if tls.certificate is not None:
            _show(context, tls.certificate, tls.private_key or tls.certificate)
    except OSError as error:
        raise TlsFilesError(f"{error.filename}: {error.strerror}") from None
    return context


def _trust(context: SSL.Context, ca: str | None) -> None:
    """Whom to trust: the authorities in a file, in a folder's files, or the system's."""
    if ca is None:
        context.set_default_verify_paths()
        return
    path = Path(ca)
    paths = sorted(each for each in path.iterdir() if each.suffix in _ENDINGS) if path.is_dir() else [path]
    if not paths:
        raise TlsFilesError(f"{ca}: no certificate in this folder ({', '.join(_ENDINGS)})")
    store: Any = context.get_cert_store()
    # A certificate that is named in the file is trusted itself, whether or not it is at the root of its chain.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for each in paths:
        for certificate in _certificates(str(each)):
            store.add_cert(crypto.X509.from_cryptography(certificate))


def _show(context: SSL.Context, certificate: str, key: str) -> None:
    """Who the proxy says it is."""
    first, *others = _certificates(certificate)
    try:
        context.use_certificate(first)
        for other in others:
            context.add_extra_chain_cert(other)
        private: Any = load_pem_private_key(Path(key).read_bytes(), None)
        context.use_privatekey(private)
        context.check_privatekey()
    except (SSL.Error, ValueError, TypeError):
        raise TlsFilesError(f"{key}: no PEM private key for {certificate} in it") from None


def _certificates(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except ValueError:
        raise TlsFilesError(f"{path}: no PEM certificate in it") from None


def _verified(connection: SSL.Connection, certificate: object, doubt: int, depth: int, good: int) -> bool:
    """OpenSSL's verdict on a certificate of the chain stands."""
    return bool(good)


def _noticed(connection: Any, where: int, what: int) -> None:
    """The handshake is done: the certificate must be for the name (RFC 9110, section 4.3.4)."""
    name = connection.wanted
    if name and where & SSL.SSL_CB_HANDSHAKE_DONE:
        try:
            (verify_ip_address if is_numeric(name) else verify_hostname)(connection, name)
        except Exception:  # it is the peer's certificate: what cannot be read in it does not verify
            connection.get_app_data().failVerification(Failure())  # Twisted's protocol is there
