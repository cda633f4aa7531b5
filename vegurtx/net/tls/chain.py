"""A certificate with its chain and its key, given to OpenSSL: between PEM files and `ssl.SSLContext`.

The files are read once, and looked at before OpenSSL sees them, so that what is wrong can be said of the right file.
The standard library takes certificates from files only: what was read goes to it through one in memory.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


class Chain:
    """A certificate, what of its chain goes with it, and its key, out of their files.

    :param certificate: the PEM file with the certificate, the chain behind it.
    :param key: the PEM file with the key; the same one will do.
    :param unusable: makes the exception for a file that cannot be used, of one line that names it.
    """

    def __init__(self, certificate: Path, key: Path, unusable: Callable[[str], Exception]) -> None:
        self._files = (certificate, key)
        self._unusable = unusable
        chain_data, key_data = read(certificate, unusable), read(key, unusable)
        #: the certificate itself first
        self.certificates = certificates_in(chain_data, certificate, unusable)
        try:
            self._key: Any = load_pem_private_key(key_data, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise unusable(f"{key}: no PEM private key in it, or one with a password") from None

    def show(self, context: ssl.SSLContext) -> None:
        """Have `context` show this certificate.

        :raises Exception: what `unusable` makes: the key is another certificate's, or OpenSSL wants neither.
        """
        certificate, key = self._files
        try:
            show(context, self.certificates, self._key)
        except ssl.SSLError as error:
            reason = error.reason or "OpenSSL does not say why"
            if "MISMATCH" in reason:
                raise self._unusable(f"{certificate}: the key in {key} is not this certificate's") from None
            said = reason.replace("_", " ").lower()
            raise self._unusable(f"{certificate}: it cannot be used ({said})") from None


def show(context: ssl.SSLContext, certificates: list[x509.Certificate], key: Any) -> None:
    """Have `context` show the first of `certificates`, the others behind it.

    :param key: its private key, one of ``cryptography``'s.
    :raises ssl.SSLError: OpenSSL does not want them.
    """
    pem = [certificate.public_bytes(Encoding.PEM) for certificate in certificates]
    pem.append(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with _in_memory(b"".join(pem)) as path:
        context.load_cert_chain(path)


def read(path: Path, unusable: Callable[[str], Exception]) -> bytes:
    """A file's content.

    :raises Exception: what `unusable` makes.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise unusable(f"{path}: {error.strerror}") from None
    except ValueError:
        raise unusable(f"{str(path)!r}: no file can have this name") from None


def certificates_in(data: bytes, path: Path, unusable: Callable[[str], Exception]) -> list[x509.Certificate]:
    """The certificates in a PEM file's content; there is one at the least.

    :raises Exception: what `unusable` makes.
    """
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise unusable(f"{path}: no PEM certificate in it") from None


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path at which `content` can be read. Where the system can, the key in it never comes to a disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate")
        try:
            path = f"/proc/self/fd/{descriptor}"
            if os.path.exists(path):
                _write_all(descriptor, content)
                yield path
                return
        finally:
            os.close(descriptor)
    with tempfile.NamedTemporaryFile() as file:  # readable by nobody else
        file.write(content)
        file.flush()
        yield file.name


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
