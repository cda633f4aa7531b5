"""The certificate of the TLS case: self-signed, made by ``openssl`` for one run, the same for all proxies."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path


class NoCertificate(Exception):
    """``openssl`` is missing, or failed."""


def self_signed(folder: Path) -> Path:
    """Make a PEM file in `folder` with a P-256 key and a certificate for 127.0.0.1; returns its path.

    :raises NoCertificate: it cannot be made.
    """
    key, certificate, pem = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        raise NoCertificate("openssl is not installed") from None
    except subprocess.CalledProcessError as failed:
        raise NoCertificate(f"openssl failed: {failed.stderr.strip()[-300:]}") from None
    pem.touch(0o600)
    pem.write_text(certificate.read_text() + key.read_text())
    return pem


def agreed(port: int) -> str:
    """Connect to 127.0.0.1 and `port`; return TLS version and cipher suite that were agreed on.

    :raises OSError: there is no TLS.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10.0) as plain,
        context.wrap_socket(plain) as tls,
    ):
        cipher = tls.cipher()
        return f"{tls.version()} {cipher[0] if cipher else '?'}"
