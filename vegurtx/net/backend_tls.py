"""TLS to back-ends: whom the proxy trusts there, and as whom it speaks.

Between a router's `BackendTLS` and OpenSSL. A context (trust, the proxy's own certificate, versions) is made once for
each value, and serves all hosts; what differs from host to host is a `Peer`. The handshake itself is in
``handshake.py``.
"""

from __future__ import annotations

import os
import ssl
from collections import OrderedDict
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from vegurtx.errors import ConnectFailed
from vegurtx.message import BackendTLS
from vegurtx.net.tls.chain import Chain, certificates_in, read
from vegurtx.net.uv.addresses import numeric_family

#: contexts that are kept; the one that was not asked for longest gives way
KEPT = 64
#: how a file with authorities may end, in a folder of them
_ENDINGS = (".pem", ".crt", ".cert", ".cer")
#: names of a certificate that a log line lists
_LISTED = 3

_MINIMA = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}

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


#: the verdicts that the certificate is for others: of a name, of an address
_OTHERS = frozenset({62, 64})


class Peer:
    """The TLS of one back-end: a context, and the name that is asked for and checked.

    :param context: see `BackendContexts`; it says whether the certificate must be for `name`.
    :param name: a host's name or address, or "" for none. A name is sent as SNI, an address never is (RFC 6066, 3).
    """

    __slots__ = ("context", "name")

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self.context = context
        #: in the form in which it is sent and checked (RFC 9110, section 4.3.4)
        self.name: str | None = _asked(name) or None

    def doubt(self, error: BaseException | None, session: Any) -> str | None:
        """What is wrong with the other side's certificate, in one line, escaped; None: nothing that we know of.

        :param error: what ended the handshake.
        :param session: of that handshake.
        """
        if not isinstance(error, ssl.SSLCertVerificationError):
            return None
        verdict = error.verify_code
        if verdict not in _OTHERS:
            return _DOUBTS.get(verdict, f"the certificate does not verify (X509 error {verdict})")
        shown = _shown(session)
        names = _names(shown) if shown else "others"
        if not names:
            return "the certificate names nobody in a way that can be read"
        return f"the certificate is for {names}, not for {self.name}"


class BackendContexts:
    """The contexts for back-ends: each made when it is first needed, and kept for those that follow.

    :param kept: how many at the most.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._contexts: OrderedDict[BackendTLS, ssl.SSLContext] = OrderedDict()

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
        return Peer(context, tls.server_name or host)

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


def make_context(tls: BackendTLS) -> ssl.SSLContext:
    """Read the files of `tls`.

    :raises ConnectFailed: ``tls_misconfigured``; its detail names the file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _MINIMA[tls.minimum]
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_ciphers("DEFAULT")  # all that OpenSSL thinks good: a back-end may be old
    if tls.alpn:
        context.set_alpn_protocols(tls.alpn)
    if tls.verify:
        context.hostname_checks_common_name = False
        _trust(context, tls.ca)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate is not None:
        key = tls.private_key or tls.certificate
        Chain(Path(tls.certificate), Path(key), _unusable).show(context)
    return context


def _trust(context: ssl.SSLContext, ca: str | None) -> None:
    """Whom to trust: the authorities in a file, in a folder's files, or the system's."""
    if ca is None:
        context.set_default_verify_paths()  # and what SSL_CERT_FILE and SSL_CERT_DIR say
        return
    # A certificate that is named here is trusted itself, whether or not it is at the root of its chain.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for path in _authorities(ca):
        certificates = certificates_in(read(path, _unusable), path, _unusable)
        data = b"".join(certificate.public_bytes(Encoding.DER) for certificate in certificates)
        try:
            context.load_verify_locations(cadata=data)
        except ssl.SSLError:
            raise _unusable(f"{path}: a certificate in it cannot be used") from None


def _authorities(ca: str) -> list[Path]:
    if not os.path.isdir(ca):
        return [Path(ca)]
    try:
        paths = sorted(path for path in Path(ca).iterdir() if path.suffix in _ENDINGS)
    except OSError as error:
        raise _unusable(f"{ca}: {error.strerror}") from None
    if not paths:
        raise _unusable(f"{ca}: no certificate in this folder ({', '.join(_ENDINGS)})")
    return paths


def _unusable(detail: str) -> ConnectFailed:
    return ConnectFailed("tls_misconfigured", detail)


def _asked(name: str) -> str:
    """The name as it is resolved, sent and checked; the same encoding as the resolver's."""
    if numeric_family(name) is not None:
        return name.partition("%")[0]
    return (name if name.isascii() else name.encode("idna").decode("ascii")).rstrip(".").lower()


def _names(shown: bytes) -> str:
    """Some of the names in a certificate (DER), for a log line."""
    try:
        extensions = x509.load_der_x509_certificate(shown).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = names.get_values_for_type(x509.DNSName)
        found = [*dns, *(str(address) for address in names.get_values_for_type(x509.IPAddress))]
    except Exception:  # it is the peer's: whatever cannot be read in it, is no name
        return ""
    more = ", …" if len(found) > _LISTED else ""
    return ", ".join(ascii(name[:100]) for name in found[:_LISTED]) + more


def _shown(session: Any) -> bytes | None:
    """The certificate of the other side, DER, where this Python can tell: `getpeercert` does so in a good handshake."""
    public = getattr(session, "get_unverified_chain", None)  # from Python 3.13 on
    try:
        if public is not None:
            shown: bytes = public()[0]
            return shown
        return ssl.PEM_cert_to_DER_cert(session._sslobj.get_unverified_chain()[0].public_bytes())
    except (AttributeError, TypeError, IndexError):
        return None
