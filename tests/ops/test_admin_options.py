"""The options of access log and admin API: what they ask for, what cannot be, and the parts that come of it."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from tests.ops.admin_case import TOKEN
from vegurtx import Backend
from vegurtx.cli.ops_options import PARAMETERS, Operations, OpsSpec, build_operations, ops_spec
from vegurtx.ops.recorder import Recorder
from vegurtx.testing import MemoryProxy, ProxyTestCase, answering, response_bytes, router_to


class Given(usage.Options):
    """Nothing but these options."""

    optParameters = PARAMETERS


def spec(*arguments: str) -> OpsSpec:
    """What these options ask for."""
    options = Given()
    options.parseOptions(arguments)
    return ops_spec(options)


class Options(SynchronousTestCase):
    """A user's words."""

    def setUp(self) -> None:
        """A folder with a token."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.token = str(self.folder / "token")
        Path(self.token).write_bytes(TOKEN)

    def refused(self, *arguments: str) -> str:
        """Why they cannot be followed: one line."""
        with self.assertRaises(usage.UsageError) as caught:
            spec(*arguments)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_nothing(self) -> None:
        """Neither log nor API."""
        self.assertEqual(spec(), OpsSpec())
        self.assertFalse(spec().administered)
        self.assertIsNone(spec("--log-format", "none").log_path)

    def test_log(self) -> None:
        """A file is where it is, whatever folder a daemon goes to."""
        made = spec("--access-log", "a.log")
        self.assertEqual((made.log_path, made.log_format), (os.path.abspath("a.log"), "router"))
        self.assertEqual(spec("--access-log", "-", "--log-format", "json").log_path, "-")
        self.assertIsNone(spec("--access-log", "a.log", "--log-format", "none").log_path)
        self.assertIn("must be router, json, combined or none", self.refused("--log-format", "xml"))
        self.assertIn("needs --access-log", self.refused("--log-format", "json"))
        self.assertIn("no name", self.refused("--access-log", ""))

    def test_admin(self) -> None:
        """On this machine without a token; elsewhere with one."""
        made = spec("--admin-port", "0")
        self.assertEqual((made.admin_interface, made.admin_port, made.administered), ("127.0.0.1", 0, True))
        self.assertEqual(spec("--admin-port", "1", "--admin-interface", "::1").admin_interface, "::1")
        for interface in ("0.0.0.0", "::", "10.0.0.1"):
            at = ("--admin-port", "1", "--admin-interface", interface)
            self.assertIn("needs --admin-token-file", self.refused(*at))
            self.assertEqual(spec(*at, "--admin-token-file", self.token).token, TOKEN)
        made = spec("--admin-port", "unix:a.sock", "--admin-token-file", self.token)
        self.assertEqual(
            (made.admin_path, made.admin_port, made.token), (os.path.abspath("a.sock"), None, TOKEN)
        )

    def test_admin_that_cannot_be(self) -> None:
        """One line says why."""
        self.assertIn("'x' is not allowed", self.refused("--admin-port", "x"))
        self.assertIn(
            "not an IP address", self.refused("--admin-port", "1", "--admin-interface", "localhost")
        )
        self.assertIn("needs a path", self.refused("--admin-port", "unix:"))
        self.assertIn("is for a port", self.refused("--admin-port", "unix:a", "--admin-interface", "::1"))
        for name, value in (("interface", "::1"), ("token-file", self.token)):
            self.assertEqual(self.refused(f"--admin-{name}", value), f"--admin-{name} needs --admin-port")
        self.assertIn(
            "cannot be read", self.refused("--admin-port", "1", "--admin-token-file", self.token + "x")
        )

    def test_what_cannot_be_opened(self) -> None:
        """Nothing stays of what was opened before."""
        proxy = MemoryProxy(router_to())
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with self.assertRaises(CannotListenError):
                build_operations(OpsSpec(admin_port=port), proxy.factory, proxy.clock)
        path = str(self.folder / "admin.sock")
        with self.assertRaises(OSError):
            build_operations(
                OpsSpec(log_path=str(self.folder / "no" / "a.log"), admin_path=path),
                proxy.factory,
                proxy.clock,
            )
        self.assertFalse(os.path.exists(path))
        self.assertIsNone(proxy.factory.observer)

    def test_what_is_observed(self) -> None:
        """Only what is asked for costs something."""
        log, api = {"log_path": str(self.folder / "a.log")}, {"admin_port": 0}
        wanted: list[tuple[dict[str, Any], str]] = [
            ({}, "NoneType"),
            (log, "AccessLog"),
            (api, "Recorder"),
            ({**log, **api}, "Recorder"),
        ]
        for asked, kind in wanted:
            proxy = MemoryProxy(router_to())
            operations = build_operations(OpsSpec(**asked), proxy.factory, Clock())
            self.assertEqual(type(proxy.factory.observer).__name__, kind)
            if operations.admin is not None:
                operations.admin._bound.close()
            if operations.writer is not None:
                operations.writer.close()


class Running(ProxyTestCase):
    """All of it, with sockets and a file."""

    async def test_log_and_metrics_agree(self) -> None:
        """A proxy with both: what the client has asked is in the file and in the numbers."""
        folder = self.folder()
        ok = response_bytes(200, b"hello")
        backend = await self.backend(handler=answering(ok))
        proxy = await self.proxy(router_to(Backend("127.0.0.1", backend.port, keepalive="default")))
        operations: Operations = build_operations(
            OpsSpec(str(folder / "a.log"), "json", admin_path=str(folder / "admin")),
            proxy.factory,
            self.reactor,
        )
        self.assertIsInstance(proxy.factory.observer, Recorder)
        operations.startService()
        await self.until(lambda: operations.admin is not None and operations.admin.port is not None)
        client = await proxy.connect()
        for number in range(20):
            client.send(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
            await client.receive_response()
        (folder / "a.log").rename(folder / "old.log")
        operations.reopen()
        client.send(b"GET /new HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.receive_response()
        admin = await self.connect(str(folder / "admin"))
        admin.send(b"GET /metrics HTTP/1.1\r\nHost: x.localhost\r\n\r\n")
        text = (await admin.receive_response()).body.decode()
        self.assertIn('vegurtx_requests_total{code_class="2xx",listener="http",method="GET"} 21.0', text)
        await operations.stopService()
        old, new = ((folder / name).read_bytes().splitlines() for name in ("old.log", "a.log"))
        self.assertEqual([json.loads(line)["path"] for line in old], [f"/{number}" for number in range(20)])
        self.assertEqual([json.loads(line)["path"] for line in new], ["/new"])
        self.assertFalse((folder / "admin").exists())
