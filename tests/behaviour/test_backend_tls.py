"""TLS to back-ends: whom the proxy trusts there, and what the router hears where it does not.

The proxy's side is `vegurtx.net.tls` over either reactor's transports, the back-end's a socket of Python's `ssl`.
"""

from __future__ import annotations

import os
import ssl
from typing import Any

from twisted.internet.ssl import Certificate as TwistedCertificate
from twisted.internet.ssl import optionsForClientTLS, trustRootFromCertificates

from tests.behaviour.conversation import GET, OK
from tests.behaviour.secure_backends import NAME, Secure
from vegurtx import Backend, BackendTLS
from vegurtx.testing import Certificate, answering, router_to, self_signed
from vegurtx.testing.authority import Authority


class Trusted(Secure):
    """Back-ends that are whom they should be."""

    async def test_request(self) -> None:
        """A request over TLS is as any other: its fields speak of the client's connection, not of this one."""
        backend = await self.secure()
        server = await self.assert_served(backend, Backend(NAME, backend.port, tls=self.trusting()))
        self.assertIn(b"\r\nHost: example.org\r\n", server.received)
        self.assertIn(b"\r\nX-Forwarded-Port: 80\r\n", server.received)
        self.assertIn(b"\r\nX-Forwarded-Proto: http\r\n", server.received)
        self.assertEqual((server.protocol, self.asked_for), ("TLSv1.3", [NAME]))
        self.assertEqual(self.lines, [])

    async def test_system(self) -> None:
        """``tls=True`` trusts the system's authorities, which OpenSSL's environment variables name."""
        backend = await self.secure()
        way = Backend(NAME, backend.port, tls=True)
        await self.assert_refused(way, "tls_unverified", "authority is unknown", backend)
        self._environment(SSL_CERT_FILE=self.ca)
        await self.assert_served(backend, way)
        self.assertEqual(self.asked_for, [NAME] * 2)

    def _environment(self, **variables: str) -> None:
        for name, value in variables.items():
            before = os.environ.get(name)
            os.environ[name] = value
            if before is None:
                self.addCleanup(os.environ.pop, name)
            else:
                self.addCleanup(os.environ.__setitem__, name, before)

    async def test_false(self) -> None:
        """``tls=False`` is none."""
        backend = await self.backend()
        await self.assert_served(backend, Backend("127.0.0.1", backend.port, tls=False))

    async def test_folder(self) -> None:
        """`ca` may be a folder of PEM files: each authority in it is trusted."""
        folder, other = self.folder(), Authority("other")
        self.authority.save(folder, "a.pem")
        other.save(folder, "b.crt")
        (folder / "README").write_text("not a certificate")
        for authority in (self.authority, other):
            backend = await self.secure(certificate=authority.issue(NAME))
            await self.assert_served(backend, Backend(NAME, backend.port, tls=BackendTLS(ca=str(folder))))

    async def test_chain(self) -> None:
        """An authority between is trusted when the back-end sends its certificate, or when it is named itself."""
        between = Authority("between", signed_by=self.authority)
        backend = await self.secure(certificate=between.issue(NAME))
        await self.assert_served(backend, Backend(NAME, backend.port, tls=self.trusting()))
        alone = await self.secure(certificate=between.issue(NAME, chain=False))
        way = Backend(NAME, alone.port, tls=self.trusting())
        await self.assert_refused(way, "tls_unverified", "authority is unknown", alone)
        named = BackendTLS(ca=str(between.save(self.folder())))
        await self.assert_served(alone, Backend(NAME, alone.port, tls=named))

    async def test_self_signed(self) -> None:
        """A certificate that signed itself is trusted where it is named."""
        certificate = self_signed(NAME)
        path = self.folder() / "it.pem"
        path.write_bytes(certificate.certificate)
        backend = await self.secure(certificate=certificate)
        await self.assert_served(backend, Backend(NAME, backend.port, tls=BackendTLS(ca=str(path))))

    async def test_names(self) -> None:
        """The name that is asked for is the host's, in ASCII; a wildcard is for one label."""
        for host, names, asked in [
            (NAME, ["other.example", NAME], NAME),
            ("BACK.Example", [NAME], NAME),
            ("a.back.example", ["*.back.example"], "a.back.example"),
            ("bücher.example", ["xn--bcher-kva.example"], "xn--bcher-kva.example"),
            ("under_score.example", ["under_score.example"], "under_score.example"),
        ]:
            with self.row(host):
                del self.asked_for[:]
                backend = await self.secure(*names)
                await self.assert_served(backend, Backend(host, backend.port, tls=self.trusting()))
                self.assertEqual(self.asked_for, [asked])

    async def test_address(self) -> None:
        """An address is checked against the certificate's addresses, and never sent (RFC 6066, section 3)."""
        backend = await self.secure("127.0.0.1")
        await self.assert_served(backend, backend.as_backend(tls=self.trusting()))
        self.assertEqual(self.asked_for, [None])
        for names in ((NAME,), ("127.0.0.2",)):
            backend = await self.secure(*names)
            line = f"for '{names[0]}', not for 127.0.0.1"
            await self.assert_refused(
                backend.as_backend(tls=self.trusting()), "tls_unverified", line, backend
            )

    async def test_server_name(self) -> None:
        """`server_name` is asked for and checked in place of the host; also an address."""
        backend = await self.secure()
        await self.assert_served(backend, backend.as_backend(tls=self.trusting(server_name=NAME)))
        by_address = await self.secure("192.0.2.1")
        tls = self.trusting(server_name="192.0.2.1")
        await self.assert_served(by_address, Backend(NAME, by_address.port, tls=tls))
        self.assertEqual(self.asked_for, [NAME, None])

    async def test_unix(self) -> None:
        """TLS goes over a UNIX socket too; the name is then `server_name`."""
        backend = await self.secure(path=str(self.folder() / "socket"))
        assert backend.path is not None
        await self.assert_served(backend, Backend.unix(backend.path, tls=self.trusting(server_name=NAME)))
        other = await self.secure(path=str(self.folder() / "socket"))
        assert other.path is not None
        way = Backend.unix(other.path, tls=self.trusting(server_name="other.example"))
        await self.assert_refused(way, "tls_unverified", f"{other.path!r}: ", other)

    async def test_alpn(self) -> None:
        """HTTP/1.1 is offered by ALPN; another offer may be made, or none."""
        for tls, settled in [
            (self.trusting(), "http/1.1"),
            (self.trusting(alpn=["http/1.0", "http/1.1"]), "http/1.0"),
            (self.trusting(alpn=()), None),
        ]:
            with self.row(tls):
                backend = await self.secure(protocols=("h2", "http/1.0", "http/1.1"))
                server = await self.assert_served(backend, Backend(NAME, backend.port, tls=tls))
                self.assertEqual(server.application_protocol, settled)


class Untrusted(Secure):
    """Rule 22: a back-end that is not whom it should be gets no byte of a request; another one may serve it."""

    async def test_doubts(self) -> None:
        """``tls_unverified``, and the log says what is wrong."""
        unknown = Authority("unknown")
        issue = self.authority.issue
        for certificate, line in [
            (self_signed(NAME), "self-signed"),
            (unknown.issue(NAME), "authority is unknown"),
            (issue(NAME, days=(-2, -1)), "has expired"),
            (issue(NAME, days=(1, 2)), "is not valid yet"),
            (issue(NAME, usage="client"), "is not for servers"),
            (
                issue("other.example", "*.more.example"),
                "for 'other.example', '*.more.example', not for back.example",
            ),
            (issue("127.0.0.1"), "for '127.0.0.1', not for back.example"),
            (issue(*[f"{n}.example" for n in range(5)]), "for '0.example', '1.example', '2.example', …, not"),
            (issue("*.example.org"), "not for back.example"),
            (issue(), "names nobody"),
        ]:
            for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.row(line, newest):
                    backend = await self.secure(certificate=certificate, newest=newest)
                    way = Backend(NAME, backend.port, tls=self.trusting())
                    await self.assert_refused(way, "tls_unverified", line, backend)
                    self.assertIn(f"back.example:{backend.port}: ", self.lines[0])

    async def test_unverified(self) -> None:
        """``verify=False`` trusts them all; the name is sent all the same."""
        for certificate in (self_signed("x.example"), self.authority.issue(days=(-2, -1), usage="client")):
            backend = await self.secure(certificate=certificate)
            await self.assert_served(backend, Backend(NAME, backend.port, tls=BackendTLS(verify=False)))
        self.assertEqual(self.asked_for, [NAME] * 2)

    async def test_twisteds_options(self) -> None:
        """TLS options of Twisted's are taken as they are: what they find wrong is wrong here too."""
        trusted = trustRootFromCertificates([TwistedCertificate.loadPEM(self.authority.certificate)])
        for name, trust, line in [
            (NAME, trusted, None),
            ("other.example", trusted, "for another name"),
            (NAME, None, "certificate verify failed"),
        ]:
            with self.row(name, line):
                backend = await self.secure()
                way = Backend(NAME, backend.port, tls=optionsForClientTLS(name, trust))
                if line is None:
                    await self.assert_served(backend, way)
                else:
                    await self.assert_refused(way, "tls_unverified", line, backend)

    async def test_next_one(self) -> None:
        """Rule 22: the router is asked again, and the whole request goes to the one that it names then."""
        bad = await self.secure("other.example")
        good = await self.secure(handler=answering(OK))
        tls = self.trusting()
        router = router_to(Backend(NAME, bad.port, tls=tls), Backend(NAME, good.port, tls=tls))
        client = await (await self.proxy(router)).connect()
        client.send(b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nhello")
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertTrue(good.connections[0].received.endswith(b"\r\n\r\nhello"))
        phases = [call.arguments[2:] for call in router.of("checkin_service")]
        self.assertEqual(phases, [("connecting", "tls_unverified"), ("connected", "normal")])
        await self.assert_nothing_said(bad)

    async def test_said_once(self) -> None:
        """A line that every request would repeat is logged once a minute."""
        backend = await self.secure("other.example", handler=answering(OK))
        way = Backend(NAME, backend.port, tls=self.trusting())
        router = router_to(way)
        proxy, clock = await self.timed_proxy(router)
        for seconds, lines in ((0, 1), (30, 1), (31, 2), (59, 2), (1, 3)):
            clock.advance(seconds)
            client = await proxy.connect()
            client.send(GET)
            self.assertEqual((await client.receive_response()).status, 503)
            client.close()
            self.assertEqual(len(self.lines), lines, seconds)
        del backend.failures[:]


class Shown(Secure):
    """As whom the proxy speaks: client certificates."""

    def shown(self, certificate: Certificate, **options: Any) -> BackendTLS:
        """TLS with that certificate."""
        paths = [str(path) for path in certificate.save(self.folder())]
        return self.trusting(certificate=paths[0], private_key=paths[1], **options)

    async def test_certificate(self) -> None:
        """A back-end that asks for a certificate gets it, with its chain."""
        between = Authority("between", signed_by=self.authority)
        for certificate in (
            self.authority.issue("proxy", usage="client"),
            between.issue("proxy", usage="client"),
        ):
            for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                backend = await self.secure(clients=self.authority.certificate, newest=newest)
                way = Backend(NAME, backend.port, tls=self.shown(certificate))
                server = await self.assert_served(backend, way)
                own = ssl.PEM_cert_to_DER_cert(certificate.certificate.decode().partition("-----END")[0]
                                               + "-----END CERTIFICATE-----\n")  # fmt: skip
                self.assertEqual(server.certificate, own)

    async def test_key_in_the_certificates_file(self) -> None:
        """Without `private_key` the key is where the certificate is."""
        certificate = self.authority.issue("proxy", usage="client")
        path = self.folder() / "both.pem"
        path.write_bytes(certificate.key + certificate.certificate)
        backend = await self.secure(clients=self.authority.certificate)
        await self.assert_served(
            backend, Backend(NAME, backend.port, tls=self.trusting(certificate=str(path)))
        )

    async def test_none(self) -> None:
        """TLS 1.2: a back-end that misses one refuses the handshake."""
        backend = await self.secure(clients=self.authority.certificate, newest=ssl.TLSVersion.TLSv1_2)
        way = Backend(NAME, backend.port, tls=self.trusting())
        await self.assert_refused(way, "tls_failed", "handshake failure", backend)

    async def test_none_told_later(self) -> None:
        """TLS 1.3: it says so behind the handshake, when the request may be on its way; the log tells why."""
        for tls, line in [
            (self.trusting(), "certificate required"),
            (self.shown(Authority("unknown").issue("proxy", usage="client")), "unknown authority"),
        ]:
            backend = await self.secure(clients=self.authority.certificate)
            router = router_to(Backend(NAME, backend.port, tls=tls))
            client = await (await self.proxy(router)).connect()
            del self.lines[:]
            client.send(GET)
            self.assertEqual((await client.receive_response()).status, 503)
            ending = await self.ending(router)
            self.assertEqual((ending.phase, ending.status), ("connected", "error"))
            self.assertEqual(ending.state[0], "downstream")
            self.assertEqual(len(self.lines), 1)
            self.assertIn(line, self.lines[0])
            await self.assert_nothing_said(backend)
