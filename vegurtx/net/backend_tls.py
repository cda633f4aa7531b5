"""TLS to back-ends: whom the proxy trusts there, and as whom it speaks.

Between a router's `BackendTLS` and pyOpenSSL. A context (trust, the proxy's own certificate, versions) is made once
for each value, and serves all hosts; what differs from host to host is a `Peer`. The handshake itself is in
``handshake.py``.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from vegurtx.errors import ConnectFailed
from vegurtx.message import BackendTLS
from vegurtx.net.uv.addresses import numeric_family

#: contexts that are kept; the one that was not asked for longest gives way
KEPT = 64
#: how a file with authorities may end, in a folder of them
_ENDINGS = (".pem", ".crt", ".cert", ".cer")
#: names of a certificate that a log line lists
_LISTED = 3

_MINIMA = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}

#: what OpenSSL's verification finds (X509_STORE_CTX_get_error(3)); others go by their number
_DOUBTS = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed, and not one that is trusted",
    19: "the certificate's authority is unknown (self-signed)",
    20: "the certificate's authority is unknown",
    21: "the certificate's authority is unknown (the back-end sends no chain)",
    23: "the certificate has been revoked",
    24: "a certificate of the chain is no authority's",
    26: "the certificate is not for servers",
    66: "the certificate's key is too weak",
    68: "the certificate's signature is too weak",
}


class Untrusted(Exception):
    """A back-end is not whom it should be; the text says why, in one line, escaped."""


@implementer(IOpenSSLClientConnectionCreator)
class Peer:
    """The TLS of one back-end: a context, and the name that is asked for and checked.

    :param context: see `BackendContexts`.
    :param name: a host's name or address, or "" for none. A name is sent as SNI, an address never is (RFC 6066, 3).
    :param verify: whether the certificate must be for `name`.
    """

    __slots__ = ("_context", "_is_address", "_name", "_verify")

    def __init__(self, context: SSL.Context, name: str, verify: bool) -> None:
        self._context = context
        self._is_address = numeric_family(name) is not None
        self._name = name.partition("%")[0] if self._is_address else _ascii(name)
        self._verify = verify

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Twisted asks for a new connection's TLS."""
        connection = SSL.Connection(self._context, None)
        if self._name and not self._is_address:
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        return connection

    def check(self, connection: SSL.Connection) -> None:
        """Whether the certificate is for this back-end (RFC 9110, section 4.3.4); after the handshake.

        :raises Untrusted: it is for somebody else, or for nobody.
        """
        if not self._verify:
            return
        try:
            (verify_ip_address if self._is_address else verify_hostname)(connection, self._name)
        except VerificationError:
            names = _names(connection)
            raise Untrusted(f"the certificate is for {names}, not for {self._name}") from None
        except Exception:  # it is the peer's: whatever cannot be read in it, does not verify
            raise Untrusted("the certificate names nobody in a way that can be read") from None


class BackendContexts:
    """The contexts for back-ends: each made when it is first needed, and kept for those that follow.

    :param kept: how many at the most.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._contexts: OrderedDict[BackendTLS, SSL.Context] = OrderedDict()

    def peer(self, tls: BackendTLS, host: str) -> Peer:
        """The TLS of the back-end at `host`.

        :raises ConnectFailed: ``tls_misconfigured``, for a file that cannot be used.
        """
        context = self._contexts.get(tls)
        if context is None:
            context = self._contexts[tls] = make_context(tls)
            if len(self._contexts) > self._kept:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end(tls)
        return Peer(context, tls.server_name or host, tls.verify)

    def reload(self) -> list[str]:
        """Read all files again, for the connections to come; those that stand, pooled ones too, go on as they are.

        :returns: what is wrong with files, a line for each value; there, what was read before stays in force.
        """
        problems: list[str] = []
        for tls in self._contexts:
            try:
                self._contexts[tls] = make_context(tls)
            except ConnectFailed as failed:
                problems.append(failed.detail)
        return problems

    def __len__(self) -> int:
        return len(self._contexts)


def make_context(tls: BackendTLS) -> SSL.Context:
    """Read the files of `tls`.

    :raises ConnectFailed: ``tls_misconfigured``; its detail names the file.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(_MINIMA[tls.minimum])
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_info_callback(_noticed)
    if tls.alpn:
        context.set_alpn_protos([name.encode("ascii") for name in tls.alpn])
    if tls.verify:
        context.set_verify(SSL.VERIFY_PEER, _doubted)
        _trust(context, tls.ca)
    if tls.certificate is not None:
        _show(context, tls.certificate, tls.private_key or tls.certificate)
    return context


def _trust(context: SSL.Context, ca: str | None) -> None:
    """Whom to trust: the authorities in a file, in a folder's files, or the system's."""
    if ca is None:
        context.set_default_verify_paths()  # and what SSL_CERT_FILE and SSL_CERT_DIR say
        return
    store = context.get_cert_store()
    assert store is not None
    # A certificate that is named here is trusted itself, whether or not it is at the root of its chain.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for path in _authorities(ca):
        data = _read(path)
        try:
            certificates = x509.load_pem_x509_certificates(data)
        except ValueError:
            raise _unusable(f"{path}: no PEM certificate in it") from None
        for certificate in certificates:
            store.add_cert(crypto.X509.from_cryptography(certificate))


def _authorities(ca: str) -> list[str]:
    if not os.path.isdir(ca):
        return [ca]
    try:
        paths = sorted(str(path) for path in Path(ca).iterdir() if path.suffix in _ENDINGS)
    except OSError as error:
        raise _unusable(f"{ca}: {error.strerror}") from None
    if not paths:
        raise _unusable(f"{ca}: no certificate in this folder ({', '.join(_ENDINGS)})")
    return paths


def _show(context: SSL.Context, certificate: str, key: str) -> None:
    """What the proxy says who it is."""
    chain_data, key_data = _read(certificate), _read(key)
    try:
        first, *others = x509.load_pem_x509_certificates(chain_data)
    except ValueError:
        raise _unusable(f"{certificate}: no PEM certificate in it") from None
    try:
        private: Any = load_pem_private_key(key_data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable(f"{key}: no PEM private key in it, or one with a password") from None
    try:
        context.use_certificate(first)
        for other in others:
            context.add_extra_chain_cert(other)
        context.use_privatekey(private)
    except (SSL.Error, TypeError):
        raise _unusable(f"{certificate}: the key in {key} is not this certificate's") from None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _unusable(f"{path}: {error.strerror}") from None
    except ValueError:
        raise _unusable(f"{path!r}: no file can have this name") from None


def _unusable(detail: str) -> ConnectFailed:
    return ConnectFailed("tls_misconfigured", detail)


def _doubted(connection: SSL.Connection, certificate: object, doubt: int, depth: int, good: int) -> bool:
    """OpenSSL's verdict on a certificate of the chain; what is wrong is kept for the log."""
    if not good:
        connection.get_app_data().doubt = _DOUBTS.get(
            doubt, f"the certificate does not verify (X509 error {doubt})"
        )
    return bool(good)


def _noticed(connection: SSL.Connection, where: int, what: int) -> None:
    """OpenSSL tells how far it is; of interest is only what the other side complains of."""
    if where == SSL.SSL_CB_READ_ALERT:
        connection.get_app_data().alerted(what & 0xFF)


def _ascii(name: str) -> str:
    """The name as it is resolved, sent and checked; the same encoding as the resolver's."""
    return (name if name.isascii() else name.encode("idna").decode("ascii")).rstrip(".").lower()


def _names(connection: SSL.Connection) -> str:
    """Some of the names in a certificate, for a log line."""
    try:
        certificate = connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = names.get_values_for_type(x509.DNSName)
        found = [*dns, *(str(address) for address in names.get_values_for_type(x509.IPAddress))]
    except Exception:  # it is the peer's
        return "others"
    more = ", …" if len(found) > _LISTED else ""
    return ", ".join(ascii(name[:100]) for name in found[:_LISTED]) + more or "nobody"
