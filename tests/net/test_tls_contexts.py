"""What TLS is made of: certificates and keys out of files, a listener's contexts, and Twisted's options."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import crypto
from OpenSSL.SSL import TLSv1_2_METHOD
from twisted.internet.ssl import CertificateOptions, DiffieHellmanParameters
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from tests.net.tls_sessions import CERTIFICATE, Session, client_context, shake_hands
from vegurtx.net.certificates import CertificateError, Certificates
from vegurtx.net.tls import chain, twisted_layer
from vegurtx.net.tls.server_context import server_context
from vegurtx.testing import Certificate, self_signed
from vegurtx.testing.authority import Authority


def shown(context: ssl.SSLContext, name: str = "backend.test", **limits: Any) -> x509.Certificate:
    """The certificate that a client is shown which asks for `name`."""
    client, server = Session(client_context(**limits), name=name), Session(context, server=True)
    shake_hands(client, server)
    return x509.load_der_x509_certificate(client.tls.getpeercert(binary_form=True) or b"")


class Folder(SynchronousTestCase):
    """Files of certificates."""

    def setUp(self) -> None:
        """An empty folder."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def save(self, name: str, certificate: Certificate) -> None:
        """One more pair."""
        (self.folder / f"{name}.crt").write_bytes(certificate.certificate)
        (self.folder / f"{name}.key").write_bytes(certificate.key)


class Chains(Folder):
    """`chain`."""

    def test_whole_chain(self) -> None:
        """What of the chain is in the certificate's file is shown too."""
        root = Authority("root")
        between = Authority("between", signed_by=root)
        self.save("a", between.issue("a.example"))
        context = server_context()
        chain.Chain(self.folder / "a.crt", self.folder / "a.key", ValueError).show(context)
        trusting = ssl.create_default_context(cadata=root.certificate.decode())
        client, server = Session(trusting, name="a.example"), Session(context, server=True)
        shake_hands(client, server)

    def test_no_file_is_left(self) -> None:
        """The key is on no disk, and no descriptor stays; where there is no memory for files, a file is removed."""
        key = load_pem_private_key(CERTIFICATE.key, None)
        certificates = x509.load_pem_x509_certificates(CERTIFICATE.certificate)
        before = len(os.listdir("/proc/self/fd"))
        self.patch(tempfile, "tempdir", str(self.folder))
        for name in (None, "memfd_create"):
            if name is not None:
                self.patch(os, name, None)
                delattr(os, name)
            context = server_context()
            chain.show(context, certificates, key)
            self.assertEqual(shown(context), certificates[0])
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_read_once(self) -> None:
        """A pipe will do: each file is read once."""
        for name, content in (("certificate", CERTIFICATE.certificate), ("key", CERTIFICATE.key)):
            reader, writer = os.pipe()
            self.addCleanup(os.close, reader)
            os.write(writer, content)
            os.close(writer)
            setattr(self, name, Path(f"/dev/fd/{reader}"))
        made: Any = self
        chain.Chain(made.certificate, made.key, ValueError).show(server_context())


class Listeners(Folder):
    """`Certificates`."""

    def test_by_name(self) -> None:
        """Each name has its certificate, whatever version of TLS is spoken; other names have the first one."""
        for number, name in enumerate(("a.example", "b.example", "*.c.example")):
            self.save(str(number), self_signed(name))
        certificates = Certificates(str(self.folder))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for asked, answer in [
                ("a.example", "a.example"),
                ("B.EXAMPLE", "b.example"),
                ("x.c.example", "*.c.example"),
                ("y.x.c.example", "a.example"),
                ("", "a.example"),
            ]:
                context = client_context(maximum_version=version)
                context.set_alpn_protocols(["http/1.1"])
                client = Session(context, name=asked or None)
                server = Session(certificates.context, server=True)
                shake_hands(client, server)
                seen = x509.load_der_x509_certificate(client.tls.getpeercert(binary_form=True) or b"")
                self.assertEqual(seen.subject.rfc4514_string(), f"CN={answer}", asked)
                self.assertEqual(client.tls.selected_alpn_protocol(), "http/1.1")
                self.assertEqual(server.tls.server_name, asked or None)  # type: ignore[attr-defined]

    def test_reload(self) -> None:
        """Read again: the new ones for new connections, those that stand go on; a bad one changes nothing."""
        self.save("a", self_signed("a.example"))
        certificates = Certificates(str(self.folder))
        before = certificates.context
        client, server = Session(client_context(), name="b.example"), Session(before, server=True)
        self.save("b", self_signed("b.example"))
        certificates.reload()
        self.assertEqual(shown(certificates.context, "b.example").subject.rfc4514_string(), "CN=b.example")
        shake_hands(client, server)
        server.hear(client.record(b"goes on"))
        self.assertEqual(bytes(server.plain), b"goes on")
        (self.folder / "a.key").write_bytes(self_signed("a.example").key)
        now = certificates.context
        with self.assertRaisesRegex(
            CertificateError, r"a\.crt: the key in .*a\.key is not this certificate's"
        ):
            certificates.reload()
        self.assertIs(certificates.context, now)

    def test_limits(self) -> None:
        """TLS 1.2 and newer, no renegotiation, HTTP/1.1 where ALPN is asked."""
        context = server_context()
        self.assertEqual(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        self.assertTrue(context.options & ssl.OP_NO_RENEGOTIATION)
        self.assertTrue(context.options & ssl.OP_NO_COMPRESSION)

    def test_resumption(self) -> None:
        """A client that comes back has a shorter handshake."""
        self.save("a", self_signed("backend.test"))
        certificates = Certificates(str(self.folder))
        context = client_context()
        client, server = Session(context, name="backend.test"), Session(certificates.context, server=True)
        shake_hands(client, server)
        ticket = client.tls.session
        client, server = Session(context, name="backend.test"), Session(certificates.context, server=True)
        client.tls.session = ticket
        shake_hands(client, server)
        self.assertTrue(client.tls.session_reused)


class TwistedOptions(SynchronousTestCase):
    """`twisted_layer.context_of`."""

    def options(self, key: bytes = CERTIFICATE.key, **more: Any) -> CertificateOptions:
        """What Twisted makes of ``ssl:…``."""
        return CertificateOptions(
            privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, key),
            certificate=crypto.load_certificate(crypto.FILETYPE_PEM, CERTIFICATE.certificate),
            **more,
        )

    def test_certificate(self) -> None:
        """A certificate and nothing else becomes a context of ours, with ALPN."""
        context: Any = twisted_layer.context_of(self.options())
        self.assertIsInstance(context, ssl.SSLContext)
        self.assertEqual(shown(context).subject.rfc4514_string(), "CN=backend.test")
        for offered, settled in ((["h2", "http/1.1"], "http/1.1"), (["h2"], None)):
            asking = client_context()
            asking.set_alpn_protocols(offered)
            client, server = Session(asking, name="backend.test"), Session(context, server=True)
            shake_hands(client, server)
            self.assertEqual(client.tls.selected_alpn_protocol(), settled)

    def test_more(self) -> None:
        """Options that say more are left to Twisted."""
        parameters = DiffieHellmanParameters.fromFile(FilePath(__file__))
        for options in (self.options(method=TLSv1_2_METHOD), self.options(dhParameters=parameters)):
            self.assertIs(twisted_layer.context_of(options), options)

    def test_mismatch(self) -> None:
        """A key of another certificate is told in one line."""
        options = self.options(key=self_signed("other.example").key)
        with self.assertRaisesRegex(ValueError, "cannot be used .*mismatch"):
            twisted_layer.context_of(options)
