"""The certificates of an HTTPS listener (rule 26): several, chosen by the name that the client asks for.

TLS itself is pyOpenSSL's and Twisted's; here is only which certificate goes with which name. They can be read again
while connections go on: each new connection asks for what is in force then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from zope.interface import implementer

#: how the file of a certificate in a folder may end; its key has the same name with `_KEY`
_ENDINGS = (".crt", ".pem", ".cert")
_KEY = ".key"


class CertificateError(ValueError):
    """A certificate or a key that cannot be used; the message is one line that names the file."""


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """The certificates of a listener; Twisted's TLS endpoints take it as their context factory.

    :param certificate: a PEM file with the certificate and what of its chain is to be sent; or a folder of pairs,
        ``NAME.crt`` (or ``.pem``, ``.cert``) and ``NAME.key``. Which names a certificate serves, it says itself.
    :param private_key: the PEM file with the key; without it, the key is in the certificate's file.
    :raises CertificateError: one of them cannot be used.
    """

    def __init__(self, certificate: str, private_key: str | None = None) -> None:
        # Absolute: a daemon may have gone elsewhere when it reads them again.
        self._certificate = Path(certificate).absolute()
        self._private_key = None if private_key is None else Path(private_key).absolute()
        self._contexts: dict[str, SSL.Context] = {}
        self._default: SSL.Context
        self.reload()

    def __str__(self) -> str:
        return str(self._certificate)

    def reload(self) -> None:
        """Read the files again, for the connections to come.

        :raises CertificateError: one of them cannot be used; then nothing changes.
        """
        contexts: dict[str, SSL.Context] = {}
        default: SSL.Context | None = None
        for certificate, key in self._pairs():
            context, names = self._load(certificate, key)
            default = default or context
            for name in names:
                contexts.setdefault(name, context)
        assert default is not None
        default.set_tlsext_servername_callback(self._choose)
        self._contexts, self._default = contexts, default

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

    def _load(self, certificate: Path, key: Path) -> tuple[SSL.Context, list[str]]:
        try:
            chain = x509.load_pem_x509_certificates(certificate.read_bytes())
            private = crypto.load_privatekey(crypto.FILETYPE_PEM, key.read_bytes(), b"")
        except OSError as error:
            raise CertificateError(f"{error.filename}: {error.strerror}") from None
        except ValueError:
            raise CertificateError(f"{certificate}: no PEM certificate in it") from None
        except crypto.Error:
            raise CertificateError(f"{key}: no PEM private key in it, or one with a password") from None
        first, *others = (crypto.X509.from_cryptography(each) for each in chain)
        options = CertificateOptions(
            privateKey=private,
            certificate=first,
            extraCertChain=others,
            raiseMinimumTo=TLSVersion.TLSv1_2,
            acceptableProtocols=[b"http/1.1"],
        )
        try:
            return options.getContext(), _names(chain[0])
        except SSL.Error as error:
            said = ", ".join(reason for *_, reason in error.args[0])
            if "mismatch" in said:
                raise CertificateError(f"{certificate}: the key in {key} is not this certificate's") from None
            raise CertificateError(f"{certificate}: it cannot be used ({said})") from None

    def _choose(self, connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        contexts = self._contexts
        found = contexts.get(name) or contexts.get("*." + name.partition(".")[2])
        if found is not None:
            connection.set_context(found)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Twisted asks for a new connection's TLS."""
        return SSL.Connection(self._default, None)


def _names(certificate: x509.Certificate) -> list[str]:
    """The domain names that a certificate is for, lower case (RFC 6125)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return [str(each.value).lower() for each in common]
