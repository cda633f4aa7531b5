"""The certificates of an HTTPS listener (rule 26): several, chosen by the name that the client asks for.

Here is only which certificate goes with which name; TLS itself is in ``tls``. They can be read again while connections
go on: each new connection asks for what is in force then.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from vegurtx.net.tls.chain import Chain
from vegurtx.net.tls.server_context import keep_name, server_context

#: how the file of a certificate in a folder may end; its key has the same name with `_KEY`
_ENDINGS = (".crt", ".pem", ".cert")
_KEY = ".key"


class CertificateError(ValueError):
    """A certificate or a key that cannot be used; the message is one line that names the file."""


class Certificates:
    """The certificates of a listener; `vegurtx.net.endpoints.tls_server` takes it.

    :param certificate: a PEM file with the certificate and what of its chain is to be sent; or a folder of pairs,
        ``NAME.crt`` (or ``.pem``, ``.cert``) and ``NAME.key``. Which names a certificate serves, it says itself.
    :param private_key: the PEM file with the key; without it, the key is in the certificate's file.
    :raises CertificateError: one of them cannot be used.
    """

    def __init__(self, certificate: str, private_key: str | None = None) -> None:
        # Absolute: a daemon may have gone elsewhere when it reads them again.
        self._certificate = Path(certificate).absolute()
        self._private_key = None if private_key is None else Path(private_key).absolute()
        self._contexts: dict[str, ssl.SSLContext] = {}
        #: what a new client's handshake begins with
        self.context: ssl.SSLContext
        self.reload()

    def __str__(self) -> str:
        return str(self._certificate)

    def reload(self) -> None:
        """Read the files again, for the connections to come.

        :raises CertificateError: one of them cannot be used; then nothing changes.
        """
        contexts: dict[str, ssl.SSLContext] = {}
        default: ssl.SSLContext | None = None
        for certificate, key in self._pairs():
            context, names = self._load(certificate, key)
            default = default or context
            for name in names:
                contexts.setdefault(name, context)
        assert default is not None
        default.sni_callback = self._choose
        self._contexts, self.context = contexts, default

    def _pairs(self) -> list[tuple[Path, Path]]:
        path = self._certificate
        if not path.is_dir():
            return [(path, self._private_key or path)]
        if self._private_key is not None:
            raise CertificateError(
                f"{path}: a folder has the keys beside their certificates; {self._private_key} is one too many"
            )
        try:
            found = sorted(path.iterdir())
        except OSError as error:
            raise CertificateError(f"{path}: {error.strerror}") from None
        pairs = [
            (each, each.with_suffix(_KEY) if each.with_suffix(_KEY).exists() else each)
            for each in found
            if each.suffix in _ENDINGS
        ]
        if not pairs:
            raise CertificateError(f"{path}: no certificate in this folder (NAME.crt and NAME.key)")
        return pairs

    def _load(self, certificate: Path, key: Path) -> tuple[ssl.SSLContext, list[str]]:
        chain = Chain(certificate, key, CertificateError)
        context = server_context()
        chain.show(context)
        return context, _names(chain.certificates[0])

    def _choose(self, session: Any, name: str | None, context: ssl.SSLContext) -> None:
        keep_name(session, name, context)
        if name is not None:
            name = name.lower()
            contexts = self._contexts
            found = contexts.get(name) or contexts.get("*." + name.partition(".")[2])
            if found is not None:
                session.context = found


def _names(certificate: x509.Certificate) -> list[str]:
    """The domain names that a certificate is for, lower case (RFC 6125)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return [str(each.value).lower() for each in common]
