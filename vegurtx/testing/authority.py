"""A certificate authority of one's own, for tests of who trusts whom. Everything is made on the spot, in memory."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any

from vegurtx.testing.tls import Certificate


class Authority:
    """Signs certificates.

        authority = Authority()
        context = server_context(authority.issue("back.example", "127.0.0.1"), self.folder())
        tls = BackendTLS(ca=str(authority.save(self.folder())))

    :param name: its common name.
    :param signed_by: the authority above it; `None` for one that signs itself.
    """

    def __init__(self, name: str = "Testing authority", *, signed_by: Authority | None = None) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _subject(name)
        self._above = signed_by
        signer = signed_by or self
        certificate = _built(
            self._subject, self._key, signer._subject, signer._key, _extensions(authority=True), (-1, 1)
        )
        self.certificate: bytes = certificate.public_bytes(serialization.Encoding.PEM)
        """Its own certificate, PEM."""

    def issue(
        self,
        *names: str,
        days: tuple[float, float] = (-1, 1),
        usage: str = "server",
        chain: bool = True,
    ) -> Certificate:
        """Sign a certificate.

        :param names: whom it is for, names and addresses; none at all makes one without a ``subjectAltName``.
        :param days: from when to when it is valid, in days from now.
        :param usage: `"server"` or `"client"`.
        :param chain: whether the certificates of the authorities below the topmost one go with it.
        """
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(names[0] if names else "nobody")
        extensions = _extensions(names=names, usage=usage)
        certificate = _built(subject, key, self._subject, self._key, extensions, days)
        pem: bytes = certificate.public_bytes(serialization.Encoding.PEM)
        authority: Authority | None = self
        while chain and authority is not None and authority._above is not None:
            pem += authority.certificate
            authority = authority._above
        return Certificate(
            pem,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def save(self, folder: Path, name: str = "authority.pem") -> Path:
        """Write its own certificate into `folder`; return the path."""
        path = folder / name
        path.write_bytes(self.certificate)
        return path


def _subject(name: str) -> Any:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _extensions(
    names: tuple[str, ...] = (), usage: str = "server", authority: bool = False
) -> list[tuple[Any, bool]]:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    if authority:
        return [(x509.BasicConstraints(ca=True, path_length=None), True)]
    usages = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
    found: list[tuple[Any, bool]] = [(x509.ExtendedKeyUsage([usages[usage]]), False)]
    if names:
        found.append((x509.SubjectAlternativeName([_general_name(name) for name in names]), False))
    return found


def _general_name(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _built(
    subject: Any,
    key: Any,
    issuer: Any,
    signing: Any,
    extensions: list[tuple[Any, bool]],
    days: tuple[float, float],
) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.datetime.now(datetime.UTC)
    begin, end = (now + datetime.timedelta(days=each) for each in days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signing, hashes.SHA256())
