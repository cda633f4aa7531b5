"""Hostile replicas, requests and files before the real program: it goes on, bounded, and without a traceback."""

from __future__ import annotations

from pathlib import Path

from acceptance_case import AcceptanceCase, Clients, RudeReplica, until

from vegurtx.balance.strategies import STRATEGIES
from vegurtx.testing import BlockingClient

#: what a replica says to a probe that wants a 200 with "well" in the body
RUBBISH = (
    b"",
    b"\0" * 1000,
    b"\x1b[31mHTTP/1.1 200 OK\r\n\r\nwell",
    b"HTTP/9.9 200 OK\r\n\r\nwell",
    b"HTTP/1.1 2\xff0 OK\r\nContent-Length: 4\r\n\r\nwell",
    b"HTTP/1.1 -200 OK\r\nContent-Length: 4\r\n\r\nwell",
    b"HTTP/1.1 99999999999999999999 OK\r\nContent-Length: 4\r\n\r\nwell",
    b"HTTP/1.1 500 \x1b[31m\nforged: line\r\nContent-Length: 4\r\n\r\nwell",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nwell",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nwell",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\nwel",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nwell\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nwe",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \xff\r\n\r\nwe",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\nwe",
    b"HTTP/1.1 200 OK\r\n: no name\r\n\r\nwe",
    b"HTTP/1.1 200 OK\r\nX: \0\r\n continued\r\n\r\nwe",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08bomb",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: well\r\n\r\nwell",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 4\r\n\r\nwell",
    b"HTTP/1.1 204 No Content\r\n\r\nwell",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 60_000,
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000,
    b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 65_536 + b"well",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)
HOSTILE_FIELDS = (
    b"Cookie: vegurtx=\x01",
    b"Cookie: vegurtx=" + b"f" * 7000,
    b"Cookie: " + b"vegurtx=0000000000000000.00000000000000000000000000000000; " * 130,
    b"Cookie: " + b";" * 8000,
    b'Cookie: vegurtx="' + b"\\" * 4000,
    b"Cookie: " + b" \t" * 4000,
    b"\r\n".join([b"Cookie: vegurtx=\xff.\xfe"] * 500),
    b"X-User: " + b"\xff" * 8000,
    b"Cookie: vegurtx=a.b\r\n folded: yes",
)
HOSTILE_TARGETS = (
    b"/%00",
    b"/%",
    b"/%zz%2e%2e",
    b"/..%2f..%5c",
    b"//evil.example/..",
    b"/" + b"a/" * 4000,
    b"/?" + b"a=b&" * 2000,
    b"/?%ff=%00&&&==",
    b"http://[::1]/",
    b"http://example.com",
    b"*",
)
#: weights of a service's replicas
EDGES = (
    ("5e-324", "5e-324"),
    ("1e-320", "1000000"),
    ("0", "5e-324"),
    ("1000000", "0.000001"),
    ("1000000", "1e6"),
)


def service(name: str, url: str, rest: str, matcher: str | None = None) -> str:
    """One line of a file."""
    return f'  - {{name: {name}, matcher: "{matcher or "/" + name}", replicas: [{{url: "{url}"}}], {rest}}}\n'


class Attacks(AcceptanceCase):
    """Whatever comes, a service beside it is served on."""

    def sound(self) -> str:
        """The file's service that must go on."""
        (backend,) = self.backends("sound")
        return service("sound", backend.url, "health_check: false")

    def assert_sound(self, port: int) -> None:
        """It does."""
        with BlockingClient(port) as client:
            self.assertEqual(client.request("GET", "/sound").status, 200)

    def test_rubbish_for_probes(self) -> None:
        """Whoever does not answer in HTTP, as expected, is down; nothing of what he says is in the log."""
        rest = "health_check: {expect: {status: 200, body: well}, interval: 30, fall: 1, timeout: 5}"
        lines = []
        for number, answer in enumerate(RUBBISH):
            replica = RudeReplica(answer)
            self.addCleanup(replica.stop)
            lines.append(service(f"rude{number}", replica.url, rest))
        proxy = self.start("services:\n" + "".join(lines) + self.sound())
        for number, answer in enumerate(RUBBISH):
            until(lambda number=number: f"rude{number}: replica" in proxy.output, repr(answer[:80]))  # type: ignore[misc]
        self.assertNotIn("is up", proxy.output)
        self.assertNotIn("\x1b", proxy.output)
        self.assertNotIn("forged", proxy.output)
        self.assertNotIn("HTTP11Client", proxy.output)
        self.assert_sound(proxy.port)

    def test_rubbish_for_requests(self) -> None:
        """The same for requests: an answer or an error page, and never a hang."""
        replicas = [RudeReplica(answer) for answer in RUBBISH]
        for replica in replicas:
            self.addCleanup(replica.stop)
        rest = (
            "health_check: false, retries: false, passive_health: true, circuit_breaker: true, sticky: true"
        )
        lines = [service(f"rude{number}", one.url, rest) for number, one in enumerate(replicas)]
        proxy = self.start("services:\n" + "".join(lines) + self.sound())
        for number in range(len(RUBBISH)):
            with BlockingClient(proxy.port) as client:
                client.send(b"GET /rude%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % number)
                self.assertTrue(client.receive_all().startswith(b"HTTP/1.1 "), RUBBISH[number][:80])
        self.assert_sound(proxy.port)

    def test_probes_that_hang(self) -> None:
        """They are cut off, and their sockets are gone when the program says so."""
        replica = RudeReplica(None)
        self.addCleanup(replica.stop)
        rest = "health_check: {path: /, interval: 0.1, timeout: 0.2, fall: 2}"
        proxy = self.start("services:\n" + service("hangs", replica.url, rest) + self.sound())
        proxy.wait_for("hangs: replica")
        self.assertIn("is down: timeout after 0.2 s (2 failures in a row)", proxy.output)
        self.assert_sound(proxy.port)
        before, probes = proxy.fds(), len(replica.taken)
        until(lambda: len(replica.taken) >= probes + 10, "ten more probes")
        self.assertLessEqual(proxy.fds(), before + 1)

    def test_thousands_of_dead_replicas(self) -> None:
        """Probes are bounded in number, and requests go on meanwhile."""
        urls = "".join(
            f'      - url: "http://127.7.{number // 250}.{number % 250 + 1}:9"\n' for number in range(2000)
        )
        text = (
            "services:\n"
            + self.sound()
            + "  - name: dead\n    matcher: /dead\n    health_check: {interval: 1}\n"
            "    retries: {attempts: 2}\n    queue: {length: 2, timeout: 0.2}\n    replicas:\n" + urls
        )
        proxy = self.start(text)
        with Clients(proxy.port, 4, "/sound") as clients:
            proxy.wait_for("127.7.7.250:9 is down", 60)
            self.assertLess(proxy.fds(), 250)
            clients.go_on(20)
            until(lambda: proxy.output.count("is down") >= 1, "")
        self.assertEqual(clients.failures, [])
        with BlockingClient(proxy.port) as client:
            self.assertEqual(client.request("GET", "/dead").status, 503)

    def test_requests(self) -> None:
        """Cookies, fields and paths that are made to hurt matchers, strategies and sessions."""
        (backend,) = self.backends("A")
        text = f"""
        services:
          - name: web
            matcher:
              - {{prefix: /, header: {{X-Never: {{regex: "^x"}}}}, query: {{a: true}}}}
              - {{regex: "/.*"}}
            sticky: true
            strategy: {{name: ConsistentHash, on: "header:X-User"}}
            rewrite: {{regex: "^/(.*)$", replacement: '/in/\\1'}}
            replicas: [{{url: "{backend.url}"}}, {{url: "{backend.url}"}}]
          - {{name: split, replicas: [{{url: "{backend.url}"}}]}}
        splits: [{{name: part, matcher: {{method: PUT, prefix: /}}, services: {{split: 1}}, on: "cookie:vegurtx"}}]
        """
        proxy = self.start(text)
        for method in (b"GET", b"PUT", b"OPTIONS"):
            for target in HOSTILE_TARGETS:
                for fields in (
                    (b"A: b", *HOSTILE_FIELDS) if target == b"/%00" else (b"A: b", HOSTILE_FIELDS[6])
                ):
                    with BlockingClient(proxy.port) as client:
                        client.send(
                            b"%b %b HTTP/1.1\r\nHost: x\r\n%b\r\nConnection: close\r\n\r\n"
                            % (method, target, fields)
                        )
                        answer = client.receive_all()
                    self.assertRegex(answer[:13], rb"HTTP/1.1 [24]\d\d ", (method, target[:50], fields[:50]))
        for fields in HOSTILE_FIELDS:
            with BlockingClient(proxy.port) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\nConnection: close\r\n\r\n" % fields)
                self.assertRegex(client.receive_all()[:13], rb"HTTP/1.1 [24]\d\d ")

    def test_weights_at_the_edges(self) -> None:
        """As light and as heavy as numbers can be: each strategy finds somebody."""
        (backend,) = self.backends("A")
        lines = [
            f"  - {{name: {name}{number}, strategy: {strategy}, matcher: /{name}{number}, replicas: ["
            + ", ".join(f'{{url: "{backend.url}", weight: {weight}}}' for weight in weights)
            + "]}\n"
            for name, strategy in [(name, name) for name in STRATEGIES]
            + [("Bounded", "{name: ConsistentHash, on: path, bounded_load: 1.1}")]
            for number, weights in enumerate(EDGES)
        ]
        split = (
            "splits: [{name: split, matcher: /split, services: {sound: 5e-324, Random0: 5e-324}, on: path}]\n"
        )
        proxy = self.start("services:\n" + "".join(lines) + self.sound() + split)
        with BlockingClient(proxy.port) as client:
            for name in (*STRATEGIES, "Bounded"):
                for number in range(len(EDGES)):
                    statuses = {client.request("GET", f"/{name}{number}").status for _ in range(5)}
                    self.assertEqual(statuses, {200}, (name, EDGES[number]))
            self.assertEqual(client.request("GET", "/split").status, 200)

    def test_names_that_lead_nowhere(self) -> None:
        """Names that cannot be, and addresses that only look like some."""
        hosts = ("does-not-exist.invalid", "-.invalid", "_.invalid", "a" * 63 + ".invalid", "xn--a.invalid")
        lines = [
            f"  - {{name: n{number}{kind}, matcher: /n{number}{kind}, queue: {{timeout: 0.1}}, "
            f'replicas: [{{url: "http://{host}:9", resolve: {kind}}}], retries: false, '
            "health_check: {interval: 0.1, fall: 1}}\n"
            for number, host in enumerate(hosts)
            for kind in ("one", "all")
        ]
        proxy = self.start("services:\n" + "".join(lines) + self.sound())
        with BlockingClient(proxy.port, timeout=30) as client:
            for number in range(len(hosts)):
                for kind in ("one", "all"):
                    self.assertEqual(client.request("GET", f"/n{number}{kind}").status, 503, hosts[number])
        self.assert_sound(proxy.port)

    def test_files_that_are_no_certificates(self) -> None:
        """The file is there, so the configuration is good; what is in it shows when somebody connects."""
        rubbish = self.folder / "rubbish.pem"
        rubbish.write_bytes(b"-----BEGIN CERTIFICATE-----\n\0\xff\n-----END CERTIFICATE-----\n")
        line = (
            '  - {name: NAME, matcher: /NAME, replicas: [{url: "https://127.0.0.1:9", tls: {TLS}}], retries: false, '
            "health_check: {path: /, interval: 0.1, fall: 1}}\n"
        )
        options = {
            "ca": "ca: rubbish.pem",
            "own": "certificate: rubbish.pem, private_key: rubbish.pem",
        }
        lines = [line.replace("NAME", name).replace("TLS", tls) for name, tls in options.items()]
        proxy = self.start("services:\n" + "".join(lines) + self.sound())
        for name in options:
            proxy.wait_for(f"{name}: replica https://127.0.0.1:9 is down")
            with BlockingClient(proxy.port) as client:
                self.assertEqual(client.request("GET", f"/{name}").status, 503)
        self.assert_sound(proxy.port)

    def test_files(self) -> None:
        """A reload of what is no file, or a hostile one, changes nothing; what was in force stays so."""
        proxy = self.start("services:\n" + self.sound())
        bad = "the configuration in force stays as it was"
        bomb = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
            f"{one}: &{one} [{','.join(['*' + before] * 8)}]\n"
            for before, one in zip("abcdefgh", "bcdefghi", strict=True)
        )
        hostile = (
            "",
            "[" * 20_000,
            "{a: " * 20_000,
            bomb,
            "services: &a [*a]",
            "services: !!python/object/apply:os.abort []",
            "services: [{name: a, matcher: /, strategy: os.abort, replicas: [{url: 'http://x'}]}]",
            "services: [{name: a, matcher: {regex: '" + "(" * 900 + "'}, replicas: [{url: 'http://x'}]}]",
            "services: [{name: \"a\\u001b[31m\", matcher: /, replicas: [{url: 'http://x'}]}]",
            "services: [" + "{nope: 1}," * 9000 + "]",
            "#" * (1 << 20) + "\n",
        )
        for text in hostile:
            self.reload(proxy, text, bad)
            self.assert_sound(proxy.port)
        path: Path = self.folder / "config.yaml"
        path.unlink()
        path.mkdir()
        said = proxy.output.count(bad)
        proxy.signal(1)
        until(lambda: proxy.output.count(bad) > said, "what it says to a folder")
        path.rmdir()
        self.assertNotIn("\x1b", proxy.output)
        self.assert_sound(proxy.port)
