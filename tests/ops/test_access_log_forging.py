"""No request can forge a line: whatever it says, one line comes of it, and that reads back as what was said."""

from __future__ import annotations

import json
import string
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.access_log_case import A, LogCase, combined, logfmt
from vegurtx import Router
from vegurtx.ops.access_log.quoting import apache, bare, bare_text, quoted, quoted_text
from vegurtx.testing import answering, response_bytes

_VISIBLE = bytes(range(0x21, 0x7F)).replace(b"#", b"")
_NASTY = (b'" at=error code=H99', b"\\", b'\\" x="', b"\\n", b"\\u000a", b"%0a", b"=", b'"', b'" "', b"' --")


def pieces(alphabet: bytes) -> Any:
    """Bytes of `alphabet`, among them what could end a value."""
    nasty = [each for each in _NASTY if not set(each) - set(alphabet)]
    return st.lists(
        st.one_of(
            st.lists(st.sampled_from(list(alphabet)), max_size=8).map(bytes),
            st.sampled_from(nasty),
        ),
        max_size=6,
    ).map(b"".join)


#: usual ones, too: their lines are made another way
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST"]) | st.text(
    "!#$%&'*+-.^_`|~" + string.ascii_letters + string.digits, min_size=1, max_size=10
).map(str.encode).filter(lambda method: method != b"CONNECT")
TARGETS = pieces(_VISIBLE).map(lambda rest: b"/" + rest)
VALUES = pieces(b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))).map(
    lambda value: value.strip(b" \t")
)
NAMES = st.text(max_size=30)


class Anything(Router):
    """Leads to one back-end, by a service whose name the test says."""

    service: Any = ""

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """What the test says."""
        return self.service

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """Always the same."""
        return A


class Forging(LogCase):
    """Requests through the whole proxy, read back from each format."""

    def line_of(
        self, format: str, name: str, method: bytes, target: bytes, fields: dict[bytes, bytes]
    ) -> bytes:
        """The line that comes of a request."""
        router = Anything()
        router.service = name
        proxy = self.proxy(router, format)
        self.addCleanup(proxy.stop)
        proxy.backend(A.host, A.port, answering(response_bytes(204)))
        lines = b"".join(b"%b: %b\r\n" % field for field in fields.items())
        proxy.client().send(b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, lines))
        proxy.settle()
        return self.line()

    @settings(max_examples=150, deadline=None)
    @given(NAMES, METHODS, TARGETS, VALUES)
    def test_router(self, name: str, method: bytes, target: bytes, forwarded: bytes) -> None:
        """Path, method, service and who is spoken for."""
        fields = {b"Host": b"x", b"X-Forwarded-For": forwarded}
        said = logfmt(self.line_of("router", name, method, target, fields))
        self.assertEqual(
            (said["at"], said["method"], said["path"], said["dyno"]),
            ("info", method.decode(), target.decode(), name),
        )
        peer = "192.0.2.1"
        self.assertEqual(said["fwd"], f"{forwarded.decode('latin-1')}, {peer}" if forwarded else peer)

    @settings(max_examples=100, deadline=None)
    @given(VALUES)
    def test_host(self, host: bytes) -> None:
        """A ``Host`` that is none is told as it is; a good one by its domain. Either way nothing else is."""
        said = logfmt(self.line_of("router", "x", b"GET", b"/", {b"Host": host}))
        text = host.decode("latin-1")
        if said["status"] == "204":
            self.assertEqual(said["host"], text.lower().rpartition(":")[0] if ":" in text else text.lower())
        else:
            self.assertEqual((said["at"], said["code"], said["host"]), ("error", "H26", text))

    @settings(max_examples=150, deadline=None)
    @given(NAMES, TARGETS, VALUES, VALUES)
    def test_json(self, name: str, target: bytes, agent: bytes, referer: bytes) -> None:
        """Path, service, user agent and referrer."""
        fields = {b"Host": b"x", b"User-Agent": agent, b"Referer": referer}
        said = json.loads(self.line_of("json", name, b"GET", target, fields))
        self.assertEqual((said["path"], said["service"] or ""), (target.decode(), name))
        self.assertEqual(said["user_agent"], agent.decode("latin-1"))
        self.assertEqual(said["referer"], referer.decode("latin-1"))

    @settings(max_examples=150, deadline=None)
    @given(METHODS, TARGETS, VALUES, VALUES)
    def test_combined(self, method: bytes, target: bytes, agent: bytes, referer: bytes) -> None:
        """The request line, user agent and referrer."""
        fields = {b"Host": b"x", b"User-Agent": agent, b"Referer": referer}
        said = combined(self.line_of("combined", "x", method, target, fields))
        self.assertEqual(said["line"], f"{method.decode()} {target.decode()} HTTP/1.1")
        self.assertEqual(said["agent"], agent.decode("latin-1") or "-")
        self.assertEqual(said["referer"], referer.decode("latin-1") or "-")


class Quoting(LogCase):
    """The functions alone, with all bytes."""

    @given(st.binary())
    def test_bytes(self, value: bytes) -> None:
        """Printable ASCII comes out, and reads back."""
        text = value.decode("latin-1")
        self.assertEqual(json.loads(quoted(value)), text)
        self.assertEqual(logfmt(b"at=info x=%b y=1\n" % bare(value)), {"at": "info", "x": text, "y": "1"})
        line = b'1.2.3.4 - - [x] "%b" 200 - "-" "-"\n' % apache(value)
        self.assertEqual(combined(line)["line"], text)

    @given(st.text())
    def test_text(self, value: str) -> None:
        """The same for any text."""
        self.assertEqual(json.loads(quoted_text(value)), value)
        self.assertEqual(logfmt(b"at=info x=%b\n" % bare_text(value))["x"], value)
