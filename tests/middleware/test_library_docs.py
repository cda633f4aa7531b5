"""The Python of three documents runs, and does what is said beside it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vegurtx import default_middlewares
from vegurtx.testing import Call, MemoryProxy, answering, router_to

DOCS = Path(__file__).resolve().parents[2] / "docs"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def module_of(page: str) -> dict[str, Any]:
    """The names that the blocks of a page define, run one after the other."""
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.S):
        exec(compile(block, page, "exec"), names)
    return names


def table_of(page: str, heading: str) -> list[list[str]]:
    """The rows of the table below a heading, a list of cells each, without its head."""
    section = (DOCS / page).read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


class Documents(SynchronousTestCase):
    """What the pages say is so."""

    def test_middlewares(self) -> None:
        """The token check, the health check and the stage that waits, all in one chain."""
        names = module_of("middlewares.md")
        proxy = MemoryProxy(names["MyRouter"](), middlewares=names["middlewares"])
        self.addCleanup(proxy.stop)
        proxy.backend("127.0.0.1", 8081, answering(OK))
        client = proxy.client()
        self.assertEqual(client.ask("GET", "http://x/healthz").body, b"ok\n")
        self.assertEqual(client.ask("GET", "http://x/").status, 401)
        self.assertEqual(client.ask("GET", "http://x/", [("My-Token", "abcdef")]).body, b"hi")
        request = proxy.calls[-1].request
        self.assertEqual((request.meta["user"], request.log.event_duration("user_lookup")), ("ann", 0))

    def test_default_chain(self) -> None:
        """The table of the stages is the chain."""
        rows = table_of("middlewares.md", "The default chain")
        self.assertEqual(
            [(int(row[0]), row[1].strip("`")) for row in rows],
            [(place, type(stage).__name__) for place, stage in enumerate(default_middlewares())],
        )

    def test_features(self) -> None:
        """The example, and a table that has every name that the proxy asks for."""
        router = module_of("features.md")["MyRouter"]()

        class Request:
            host = "a.example.com"

        self.assertEqual(
            [router.feature(name, Request, None) for name in ("deep_continue", "peer_port", "?")],
            [True, True, False],
        )
        asked = set()
        for path in (DOCS.parent / "vegurtx").rglob("*.py"):
            asked.update(re.findall(r"""\.feature\(\s*"(\w+)",""", path.read_text("utf-8")))
        text = (DOCS / "features.md").read_text("utf-8")
        self.assertEqual(set(re.findall(r'^\| `"(\w+)"`', text, re.M)), asked)

    def test_request_log(self) -> None:
        """The tables have every event and every duration, and the report is printed as it is shown."""
        names = module_of("request-log.md")
        router = router_to()
        proxy = MemoryProxy(router)
        self.addCleanup(proxy.stop)
        backend = proxy.backend("10.0.0.1", 80)
        router.backends.append(backend.as_backend())
        client = proxy.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        backend.accept().send(OK)
        (end,) = (call for call in proxy.calls if call.name == "terminate")
        request = end.request
        events = list(dict.fromkeys(name for _, name, _ in request.log))
        rows = [row[0].strip("`") for row in table_of("request-log.md", "Events")]
        self.assertEqual(sorted(rows), sorted(events))
        durations = [name for name in dir(request) if name.endswith("_duration")]
        rows = [row[0].split("`")[1] for row in table_of("request-log.md", "Durations")]
        self.assertEqual(sorted(rows), durations)
        self.assertEqual([step for step, _ in names["milestones"](request.log)], [
            "init", "accepted_to_pre_connect", "pre_connect_to_responded", "responded_until_end", "total"
        ])  # fmt: skip
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        backend.accept().send(OK)
        plain: Call = proxy.calls[-1]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            names["Accountable"]().terminate("normal", plain.request, None)
        text = (DOCS / "request-log.md").read_text("utf-8").split("prints, on one line,\n")[1]
        shown = " ".join(text.split("\n\n")[0].split())
        self.assertEqual(re.sub("=\\d+", "=0", shown), printed.getvalue().strip())
