"""Rule 12: what a back-end is told of the client: the forwarding fields, and whose claims are believed."""

from __future__ import annotations

from tests.behaviour.recording import OK_TO_CLIENT, RecordingCase, added, timeless
from vegurtx import Redirect
from vegurtx.net.proxied import ProxiedFactory
from vegurtx.testing import client_context, context_factory, self_signed

GET = b"GET / HTTP/1.1\r\n"
HOST = b"Host: example.com\r\n"
START = GET + HOST
ELSEWHERE = GET + b"Host: example.com:8080\r\n"


class ForwardedFor(RecordingCase):
    """`X-Forwarded-For`, and who is believed."""

    async def test_appended(self) -> None:
        """Rule 12: the client's address is appended to what it brings."""
        await self.stage()
        await self.each(
            {
                "nothing": (b"", "127.0.0.1"),
                "one": (b"X-Forwarded-For: 10.0.0.1\r\n", "10.0.0.1, 127.0.0.1"),
                "a chain": (b"x-forwarded-for: 10.0.0.1,10.0.0.2\r\n", "10.0.0.1,10.0.0.2, 127.0.0.1"),
                "several fields": (
                    b"X-Forwarded-For: 10.0.0.1\r\nX-FORWARDED-FOR: 10.0.0.2\r\n",
                    "10.0.0.1, 10.0.0.2, 127.0.0.1",
                ),
                "an empty one": (b"X-Forwarded-For:\r\n", "127.0.0.1"),
                "anything": (b"X-Forwarded-For: unknown, [::1]:80\r\n", "unknown, [::1]:80, 127.0.0.1"),
            },
            lambda vector: self.passes(START + vector[0] + b"\r\n", START + added(forwarded_for=vector[1])),
        )

    async def test_address(self) -> None:
        """Rule 12: it is the address of this client."""
        await self.stage()
        for source in ("127.0.0.1", "127.0.0.2", "127.7.7.7"):
            await self.passes(START + b"\r\n", START + added(forwarded_for=source), source=source)

    async def test_trusted(self) -> None:
        """Rule 12: with `trusted_proxies`, fields from those peers are extended as without the setting."""
        await self.stage(trusted_proxies=["10.0.0.0/8", "127.0.0.0/30"])
        claims = b"X-Forwarded-Host: a.example\r\nX-Forwarded-Proto: https\r\nForwarded: for=10.0.0.1\r\n"
        for source in ("127.0.0.1", "127.0.0.2"):
            await self.passes(
                ELSEWHERE + claims + b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Peer-Port: 99\r\n\r\n",
                ELSEWHERE + claims + b"X-Forwarded-Peer-Port: 99\r\n"
                + added(forwarded_for=f"10.0.0.1, {source}", port=8080, proto=None),
                source=source,
            )  # fmt: skip

    async def test_not_trusted(self) -> None:
        """Rule 12: with `trusted_proxies`, fields from other peers are replaced, not extended."""
        await self.stage(trusted_proxies=["127.0.0.1/32", "::1/128"])
        claims = (
            b"X-Forwarded-For: 10.0.0.1\r\nx-forwarded-for: 10.0.0.2\r\nX-Forwarded-Port: 443\r\n"
            b"X-Forwarded-Proto: https\r\n"
            b"X-FORWARDED-HOST: a.example\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-Peer-Port: 99\r\n"
        )
        await self.passes(
            START + claims + b"X-After: 1\r\n\r\n",
            START + b"X-After: 1\r\n" + added(forwarded_for="127.0.0.2"),
            source="127.0.0.2",
        )
        await self.passes(
            ELSEWHERE + claims + b"X-After: 1\r\n\r\n",
            ELSEWHERE + b"X-After: 1\r\n" + added(forwarded_for="127.0.0.2", port=8080, proto=None),
            source="127.0.0.2",
        )

    async def test_not_trusted_peer_port(self) -> None:
        """Rule 12: with feature `peer_port`, a peer that is not trusted has its real port reported."""
        await self.stage(trusted_proxies=["10.0.0.0/8"], answers={"feature": {"peer_port"}})
        request, _, client = await self.ask(START + b"X-Forwarded-Peer-Port: 99\r\n\r\n")
        self.assertEqual(request.all("x-forwarded-peer-port"), [str(client.local[1])])

    async def test_trusted_one_by_one(self) -> None:
        """Rule 12: whether a peer is trusted is decided for each connection."""
        await self.stage(trusted_proxies=["127.0.0.3"])
        for source, chain in (
            ("127.0.0.2", "127.0.0.2"),
            ("127.0.0.3", "10.0.0.1, 127.0.0.3"),
            ("127.0.0.4", "127.0.0.4"),
        ):
            await self.passes(
                START + b"X-Forwarded-For: 10.0.0.1\r\n\r\n",
                START + added(forwarded_for=chain),
                source=source,
            )

    async def test_redirect_scheme(self) -> None:
        """Rule 12, Settled: a redirect believes X-Forwarded-Proto of trusted peers only."""
        await self.stage(
            trusted_proxies=["127.0.0.3"], answers={"lookup_domain_name": Redirect("new.example")}
        )
        for source, scheme in (("127.0.0.2", "http"), ("127.0.0.3", "https")):
            client = await self.front.connect(source=source)
            client.send(ELSEWHERE + b"X-Forwarded-Proto: https\r\n\r\n")
            response = await client.receive_response()
            self.assertEqual(
                (response.status, response.header("location")), (301, f"{scheme}://new.example/")
            )


class ForwardedPort(RecordingCase):
    """`X-Forwarded-Port`, `X-Forwarded-Proto`, `X-Forwarded-Peer-Port`, `X-Forwarded-Host`."""

    async def test_replaced(self) -> None:
        """Rule 12, Settled: X-Forwarded-Port is the Host's port or 80, whatever the client brings."""
        await self.stage()
        claims = b"X-Forwarded-Port: 1\r\nx-forwarded-port: 2\r\n"
        await self.passes(START + claims + b"\r\n", START + added())
        await self.passes(ELSEWHERE + claims + b"\r\n", ELSEWHERE + added(port=8080, proto=None))

    async def test_proto(self) -> None:
        """Rule 12: X-Forwarded-Proto is written anew on ports 80 and 443, and left as it came on others."""
        await self.stage()
        claims = b"X-Forwarded-Proto: gopher\r\nX-A: 1\r\nX-FORWARDED-PROTO: https\r\n"
        secure = GET + b"Host: example.com:443\r\n"
        await self.passes(START + claims + b"\r\n", START + b"X-A: 1\r\n" + added())
        await self.passes(secure + claims + b"\r\n", secure + b"X-A: 1\r\n" + added(port=443, proto="https"))
        await self.passes(ELSEWHERE + claims + b"\r\n", ELSEWHERE + claims + added(port=8080, proto=None))
        await self.passes(ELSEWHERE + b"\r\n", ELSEWHERE + added(port=8080, proto=None))

    async def test_tls(self) -> None:
        """Rule 12, Settled: on TLS the port is the Host's or 443, and the proto always `https`."""
        await self.stage(tls=context_factory(self_signed("example.com")))
        for host, port in ((b"example.com", 443), (b"example.com:8443", 8443), (b"example.com:80", 80)):
            client = await self.front.connect(tls=client_context(), server_name="example.com")
            client.send(GET + b"Host: " + host + b"\r\nX-Forwarded-Proto: http\r\n\r\n")
            self.assertEqual((await client.receive_response()).status, 200)
            self.assertEqual(
                timeless(self.seen[-1].raw),
                GET + b"Host: " + host + b"\r\n" + added(port=port, proto="https"),
            )
            client.close()

    async def test_behind_proxy_protocol(self) -> None:
        """Rule 12, Settled: behind PROXY the port is the header's destination port, whatever Host says."""
        await self.stage()
        proxied = await self.listen(ProxiedFactory(self.front.factory))
        for destination, proto in ((443, "https"), (80, "http"), (5000, None)):
            for head in (START, ELSEWHERE):
                client = await proxied.connect()
                client.send(b"PROXY TCP4 10.9.8.7 10.0.0.1 4321 %d\r\n" % destination + head + b"\r\n")
                await client.expect(OK_TO_CLIENT % b"keep-alive")
                self.assertEqual(
                    timeless(self.seen[-1].raw),
                    head + added(forwarded_for="10.9.8.7", port=destination, proto=proto),
                )
                client.close()

    async def test_peer_port_behind_proxy_protocol(self) -> None:
        """Rule 12, Settled: X-Forwarded-Peer-Port is the client's own port there, too; so is whom to
        trust.
        """
        await self.stage(answers={"feature": {"peer_port"}}, trusted_proxies=["127.0.0.0/8"])
        proxied = await self.listen(ProxiedFactory(self.front.factory))
        client = await proxied.connect()
        client.send(
            b"PROXY TCP4 10.9.8.7 10.0.0.1 4321 80\r\n" + START + b"X-Forwarded-For: 10.0.0.1\r\n\r\n"
        )
        await client.expect(OK_TO_CLIENT % b"keep-alive")
        self.assertEqual(
            timeless(self.seen[-1].raw),
            START + b"X-Forwarded-Peer-Port: 4321\r\n" + added(forwarded_for="10.9.8.7"),
        )

    async def test_peer_port(self) -> None:
        """Rule 12, Settled: with feature `peer_port` the client's port is told, in place of what it
        brings.
        """
        await self.stage(answers={"feature": {"peer_port"}})
        for claim in (b"", b"X-Forwarded-Peer-Port: 1\r\nx-forwarded-peer-port: 2\r\n"):
            client = await self.front.connect()
            client.send(START + claim + b"\r\n")
            await client.expect(OK_TO_CLIENT % b"keep-alive")
            port = b"X-Forwarded-Peer-Port: %d\r\n" % client.local[1]
            self.assertEqual(timeless(self.seen[-1].raw), START + port + added())
        self.assertEqual(self.router.of("feature")[0].arguments, ("peer_port",))

    async def test_no_peer_port(self) -> None:
        """Rule 12: without the feature nothing is added, and what the client brings goes on."""
        await self.stage()
        await self.passes(START + b"\r\n", START + added())
        request, _, _ = await self.ask(START + b"X-Forwarded-Peer-Port: 99\r\n\r\n")
        self.assertEqual(request.all("x-forwarded-peer-port"), ["99"])

    async def test_host(self) -> None:
        """Rule 12: X-Forwarded-Host is neither added nor touched."""
        await self.stage()
        head = START + b"x-forwarded-HOST: a.example\r\nX-A: 1\r\nX-Forwarded-Host: b.example\r\n"
        await self.passes(head + b"\r\n", head + added())
