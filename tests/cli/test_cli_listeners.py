"""The real programs behind several doors: what each serves, how it is misused, and certificates that are read again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.cli_case import (
    MODULE,
    PATIENCE,
    ROOT,
    TWISTD,
    end,
    environment,
    log_line,
    outcome_of,
    run_program,
)
from vegurtx.cli.options import Options
from vegurtx.cli.tap import makeService
from vegurtx.listeners import Kind, ListenerSpec
from vegurtx.testing import (
    BlockingClient,
    Certificate,
    ProxyProcess,
    ThreadedBackend,
    client_context,
    self_signed,
)

TOY = ["--router", "examples.toy_router.ToyRouter"]
HERE = ["--interface", "127.0.0.1"]
ROUTER = """
import os
from vegurtx import Backend, Router

class Here(Router):
    def checkout_service(self, domain_group, request, state):
        return int(os.environ["BACKEND_PORT"])
    def service_backend(self, port, request, state):
        return Backend("127.0.0.1", port, keepalive="default")
    def additional_headers(self, direction, log, request, state):
        peer = getattr(request.peer, "host", "unix")
        return [("Peer", peer), ("Tls", str(request.tls is not None))] if direction == "downstream" else []
"""
#: a kind of endpoint that Twisted knows from a plugin only, and that fails when it is to listen
PLUGIN = """
from zope.interface import implementer
from twisted.internet.defer import fail
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin

@implementer(IStreamServerEndpoint)
class Failing:
    def listen(self, factory):
        return fail(CannotListenError("the moon", 1, OSError("no air")))

@implementer(IPlugin, IStreamServerEndpointStringParser)
class Parser:
    def __init__(self, prefix, make):
        self.prefix, self.make = prefix, make
    def parseStreamServer(self, reactor, *arguments, **options):
        return self.make(reactor)

failing = Parser("moon", lambda reactor: Failing())
earth = Parser("earth", lambda reactor: TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"))
"""


def specs(*arguments: str) -> list[ListenerSpec]:
    """The listeners that the options describe."""
    options = Options()
    options.parseOptions([*TOY, *arguments])
    return options.listeners


class Described(SynchronousTestCase):
    """From options to descriptions."""

    def test_default(self) -> None:
        """8080 for HTTP; but not where any other listener is asked for."""
        self.assertEqual(specs(), [ListenerSpec(Kind.HTTP, "0.0.0.0", 8080)])
        self.assertEqual(specs("--proxy-port", "1"), [ListenerSpec(Kind.PROXY, "0.0.0.0", 1)])
        self.assertEqual(specs("--listen", "tcp:1"), [ListenerSpec(Kind.ENDPOINT, "", description="tcp:1")])

    def test_all(self) -> None:
        """Several at once, ``--listen`` several times; the interface is for the ports."""
        self.assertEqual(
            specs(
                *("--port", "1", "--https-port", "2", "--certificate", "c", "--private-key", "k"),
                *("--proxy-port", "3", "--interface", "::", "--listen", "tcp:4", "--listen", "unix:/x"),
            ),
            [
                ListenerSpec(Kind.HTTP, "::", 1),
                ListenerSpec(Kind.HTTPS, "::", 2, certificate="c", private_key="k"),
                ListenerSpec(Kind.PROXY, "::", 3),
                ListenerSpec(Kind.ENDPOINT, "", description="tcp:4"),
                ListenerSpec(Kind.ENDPOINT, "", description="unix:/x"),
            ],
        )

    def test_kernel_chooses(self) -> None:
        """Port 0 can be asked for more than once."""
        self.assertEqual(len(specs("--port", "0", "--proxy-port", "0")), 2)

    def test_misuse(self) -> None:
        """What does not go together is one line."""
        for arguments, line in (
            (["--https-port", "1"], "--https-port needs --certificate"),
            (["--certificate", "c"], "--certificate is for --https-port, which is not given"),
            (["--private-key", "k"], "--private-key is for --https-port, which is not given"),
            (
                ["--port", "8", "--proxy-port", "8"],
                "--port and --proxy-port are both 8; each needs a port of its own",
            ),
            (
                ["--https-port", "9", "--certificate", "c", "--proxy-port", "09"],
                "--https-port and --proxy-port are both 9; each needs a port of its own",
            ),
            (
                ["--proxy-port", "x"],
                "--proxy-port: 'x' is not allowed; it must be a whole number from 0 to 65535",
            ),
        ):
            outcome = outcome_of(lambda arguments=arguments: specs(*arguments))  # type: ignore[misc]
            self.assertEqual(outcome, (1, "", f"vegurtx: {line}\n"))


class ListenerCase(SynchronousTestCase):
    """A back-end, a folder with a router, and a certificate."""

    def setUp(self) -> None:
        """Make them."""
        self.backend = ThreadedBackend()
        self.addCleanup(self.backend.stop)
        made = tempfile.TemporaryDirectory(prefix="vegurtx-")
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        (self.folder / "doors.py").write_text(ROUTER, "utf-8")
        self.added = {"BACKEND_PORT": str(self.backend.port)}
        self.certificate = self_signed("a.example")
        self.paths = [str(path) for path in self.certificate.save(self.folder)]
        self.https = ["--https-port", "0", "--certificate", self.paths[0], "--private-key", self.paths[1]]

    def start(self, options: Sequence[str], **arguments: Any) -> ProxyProcess:
        """The program, with the router."""
        proxy = ProxyProcess(
            "doors.Here",
            options,
            environment=self.added,
            path=[str(ROOT), str(self.folder)],
            cwd=str(self.folder),
            **arguments,
        )
        self.addCleanup(proxy.kill)
        return proxy

    def asked(self, client: BlockingClient, before: bytes = b"") -> tuple[str | None, str | None]:
        """What the router has seen of a client: its address, and whether it spoke TLS."""
        client.send(before + b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        response = client.receive_response()
        self.assertEqual(response.status, 200)
        return response.header("Peer"), response.header("Tls")

    @contextmanager
    def secure(self, port: int, trusted: Certificate) -> Any:
        """A client that speaks TLS."""
        with BlockingClient(port) as client:
            client.socket = client_context(trusted).wrap_socket(client.socket, server_hostname="a.example")
            yield client


class Serving(ListenerCase):
    """All kinds of listeners of one program."""

    def test_all_at_once(self) -> None:
        """HTTP, HTTPS, PROXY and endpoints, in that order in the log, under twistd and on its own."""
        unix = self.folder / "proxy.sock"
        options = [*self.https, "--proxy-port", "0", "--listen", f"unix:{unix}"]
        options += ["--listen", "tcp:0:interface=127.0.0.1"]
        programs: list[Any] = ["twistd", "module"]
        for program in programs:
            proxy = self.start(options, program=program, listeners=4)
            proxy.wait_for(f"vegurtx listening on unix:{unix} (unix:{unix})")
            http, https, behind, endpoint = (port for _, port in proxy.addresses)
            for port in (http, endpoint):
                with BlockingClient(port) as client:
                    self.assertEqual(self.asked(client), ("127.0.0.1", "False"))
            with self.secure(https, self.certificate) as client:
                self.assertEqual(self.asked(client), ("127.0.0.1", "True"))
            with BlockingClient(behind) as client:
                header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 443\r\n"
                self.assertEqual(self.asked(client, header), ("192.0.2.7", "False"))
            with BlockingClient(http) as client:
                client.socket.close()
                client.socket = socket.socket(socket.AF_UNIX)
                client.socket.connect(str(unix))
                self.assertEqual(self.asked(client), ("unix", "False"))
            for said in ("(https)", "(proxy)", "(tcp:0:interface=127.0.0.1)"):
                self.assertIn(said, proxy.output)
            self.assertIn(proxy.stop(), (0, -signal.SIGTERM))  # twistd ends by the signal itself
            self.assertFalse(unix.exists())
            self.assertNotIn("Traceback", proxy.output)

    def test_not_on_8080(self) -> None:
        """With another listener the default one is not opened."""
        proxy = self.start(["--listen", "tcp:0:interface=127.0.0.1"], program="module", port_option=None)
        self.assertEqual(proxy.output.count("vegurtx listening on"), 1)
        self.assertNotEqual(proxy.port, 8080)

    def test_systemd(self) -> None:
        """A socket that systemd has opened."""
        with socket.create_server(("127.0.0.1", 0)) as passed:
            port = passed.getsockname()[1]
            wrap = (
                f"import os, sys; os.dup2({passed.fileno()}, 3, inheritable=True); "
                "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='x'); "
                "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
            )
            arguments = [*MODULE, "--router", "doors.Here", "--listen", "systemd:domain=INET:index=0"]
            process = subprocess.Popen(
                [sys.executable, "-c", wrap, *arguments],
                cwd=self.folder,
                env=environment(self.added),
                stdin=subprocess.DEVNULL,
                pass_fds=[passed.fileno()],
            )
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            with BlockingClient(port, timeout=PATIENCE) as client:
                self.assertEqual(self.asked(client), ("127.0.0.1", "False"))


class CannotListen(ListenerCase):
    """One line, status 1, before twistd becomes a daemon. (The programs' own tests see it do so.)"""

    def assert_line(self, line: str, *arguments: str) -> None:
        """What making the service says."""
        options = Options()
        options.parseOptions([*TOY, *HERE, *arguments])
        outcome = outcome_of(lambda: makeService(options))
        self.assertEqual(outcome, (1, "", f"vegurtx: {line}\n"))

    def test_in_use(self) -> None:
        """Each kind of listener, and an endpoint that is given twice."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            line = f"cannot listen on 127.0.0.1:{port}: Address already in use"
            for options in (
                ["--https-port", port, *self.https[2:]],
                ["--port", "0", "--proxy-port", port],
                ["--listen", f"tcp:{port}:interface=127.0.0.1"],
            ):
                self.assert_line(line, *options)
        unix = self.folder / "proxy.sock"
        self.assert_line(
            f"cannot listen on unix:{unix}: Address already in use",
            *("--listen", f"unix:{unix}", "--listen", f"unix:{unix}"),
        )

    def test_certificates(self) -> None:
        """The file is named."""
        (self.folder / "other.key").write_bytes(self_signed("b.example").key)
        missing, other = str(self.folder / "missing"), str(self.folder / "other.key")
        start = ["--https-port", "0", "--certificate"]
        certificate, key = self.paths
        self.assert_line(f"{missing}: No such file or directory", *start, missing)
        self.assert_line(f"{key}: no PEM certificate in it", *start, key)
        self.assert_line(
            f"{certificate}: no PEM private key in it, or one with a password", *start, certificate
        )
        self.assert_line(
            f"{certificate}: the key in {other} is not this certificate's", *start, certificate, "-k", other
        )

    def test_endpoint(self) -> None:
        """The description is quoted."""
        self.assert_line(
            "--listen: 'moon:1' is not an endpoint: Unknown endpoint type: 'moon'", "--listen", "moon:1"
        )

    def plugged(self) -> dict[str, str]:
        """The environment in which Twisted has two more kinds of endpoints."""
        plugins = self.folder / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "endpoints_for_test.py").write_text(PLUGIN, "utf-8")
        path = os.pathsep.join([str(self.folder), environment()["PYTHONPATH"]])
        return {**self.added, "PYTHONPATH": path}

    def test_endpoint_of_a_plugin(self) -> None:
        """What cannot be bound before it listens, and then cannot listen, is the same one line."""
        added = self.plugged()
        for program in ([*TWISTD, "-n", "--pidfile=", "vegur"], MODULE):
            outcome = run_program([*program, *TOY, "--listen", "moon:1"], added=added)
            self.assertEqual(outcome.err, "vegurtx: cannot listen on the moon:1: no air\n")
            self.assertEqual(outcome.status, 1)
            self.assertNotIn("Traceback", outcome.out)

    def test_plugin_serves(self) -> None:
        """One that can listen serves."""
        self.added = self.plugged()
        proxy = self.start(["--listen", "earth:1"], program="module", port_option=None)
        proxy.wait_for("(earth:1)")
        with BlockingClient(proxy.port) as client:
            self.assertEqual(self.asked(client), ("127.0.0.1", "False"))


class Hangup(ListenerCase):
    """SIGHUP reads the certificates again, and no connection suffers."""

    def replaced(self) -> Certificate:
        """Another certificate in the same files."""
        certificate = self_signed("a.example")
        certificate.save(self.folder)
        return certificate

    def reload(self, proxy: ProxyProcess, said: str) -> None:
        """Signal, and wait for the line."""
        proxy.signal(signal.SIGHUP)
        proxy.wait_for(said)

    def test_certificates(self) -> None:
        """On each reactor: the next connection gets the new one; one that stands goes on; a bad file changes none."""
        programs: list[tuple[Any, str | None]] = [("twistd", None), ("module", "epoll")]
        for program, reactor in programs:
            first = self.replaced()
            proxy = self.start(self.https, program=program, reactor=reactor, port_option=None, listeners=1)
            with self.secure(proxy.port, first) as standing:
                self.asked(standing)
                (self.folder / "certificate.pem").write_text("broken")
                self.reload(proxy, "no PEM certificate in it; the certificates in force stay as they were")
                with self.secure(proxy.port, first) as client:
                    self.asked(client)
                second = self.replaced()
                self.reload(proxy, f"{self.paths[0]}: loaded")
                with self.secure(proxy.port, second) as client:
                    self.asked(client)
                self.asked(standing)
            self.assertIn(proxy.stop(), (0, -signal.SIGTERM))
            self.assertNotIn("Traceback", proxy.output)

    def test_nothing_to_read(self) -> None:
        """Without certificates it is not the end, either."""
        proxy = self.start([])
        self.reload(proxy, "SIGHUP: there are no certificates and no services to read again")
        with BlockingClient(proxy.port) as client:
            self.asked(client)

    def test_daemon(self) -> None:
        """A daemon that has gone elsewhere finds the files again, although they were named by a relative path."""
        pid_file, log = self.folder / "vegur.pid", self.folder / "vegur.log"
        arguments = [*TWISTD, f"--pidfile={pid_file}", f"--logfile={log}", "--rundir=/", "vegur", *HERE]
        arguments += ["--router", "doors.Here", "--https-port", "0", "--certificate", "certificate.pem"]
        arguments += ["--private-key", "key.pem"]
        self.assertEqual(run_program(arguments, cwd=self.folder, added=self.added), (0, "", ""))
        pid = int(pid_file.read_text("ascii"))
        self.addCleanup(end, pid)
        port = int(log_line(log, "vegurtx listening on").split("(")[0].rpartition(":")[2])
        second = self.replaced()
        os.kill(pid, signal.SIGHUP)
        log_line(log, "certificate.pem: loaded")
        with self.secure(port, second) as client:
            self.asked(client)
