"""The admin API's resources: methods, bodies, statuses, and JSON whatever happens."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.ops.admin_case import JSON, LOCAL, AdminCase
from vegurtx.ops.admin.api import Asked

STATE = "/api/services/web/replicas/http%3A%2F%2F127.0.0.1%3A8081/state"


class Reading(AdminCase):
    """State."""

    def test_probes(self) -> None:
        """Alive, and ready until it drains."""
        self.assertEqual(self.asked("GET", "/healthz"), (200, {"status": "ok"}))
        self.assertEqual(self.asked("GET", "/readyz"), (200, {"ready": True}))
        self.program.reason = "draining"
        self.assertEqual(self.asked("GET", "/readyz"), (503, {"ready": False, "reason": "draining"}))
        self.assertEqual(self.asked("GET", "/healthz")[0], 200)

    def test_state(self) -> None:
        """What the program says; nothing in it can be taken for markup."""
        self.assertEqual(self.asked("GET", "/api/config"), (200, {"settings": {"timeout": 1}}))
        self.assertEqual(self.asked("GET", "/api/process"), (200, {"pid": 1}))
        answer = self.answer("GET", "/api/services")
        self.assertEqual(answer.body, b'{"services": [{"name": "\\u003cb\\u003e\\u0026"}]}\n')

    def test_metrics(self) -> None:
        """Text, in the format that is asked for."""
        answer = self.answer("GET", "/metrics")
        self.assertIn(b"vegurtx_x_total 7.0\n", answer.body)
        self.assertTrue(answer.content_type.startswith("text/plain"))
        fields = {**LOCAL, b"accept": b"application/openmetrics-text;version=1.0.0"}
        answer = self.answer("GET", "/metrics", fields)
        self.assertTrue(answer.body.endswith(b"# EOF\n"))
        self.assertTrue(answer.content_type.startswith("application/openmetrics-text"))

    def test_a_program_that_takes_its_time(self) -> None:
        """It may return Deferreds: a supervisor asks its workers."""
        waiting: Deferred[Any] = Deferred()
        self.program.process = lambda: waiting
        answering = self.api.answer(Asked(b"GET", b"/api/process", LOCAL.get))
        self.assertNoResult(answering)
        waiting.callback({"pid": 2})
        self.assertEqual(self.successResultOf(answering).body, b'{"pid": 2}\n')

    def test_failure(self) -> None:
        """It is logged, and not told."""
        self.program.failure = RuntimeError("secret")
        code, said = self.asked("GET", "/api/services")
        self.assertEqual((code, "secret" in str(said)), (500, False))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class Methods(AdminCase):
    """What can be done where."""

    def test_not_allowed(self) -> None:
        """405 with ``Allow``."""
        for method, path, allow in (
            ("POST", "/metrics", "GET, HEAD"),
            ("DELETE", "/api/services", "GET, HEAD"),
            ("OPTIONS", "/healthz", "GET, HEAD"),
            ("GET", "/api/reload", "POST"),
            ("PUT", STATE, "POST"),
        ):
            answer = self.answer(method, path)
            self.assertEqual((answer.code, answer.headers), (405, (("Allow", allow),)))
        self.assertEqual(self.answer("HEAD", "/metrics").code, 200)

    def test_not_there(self) -> None:
        """404; neither an empty segment nor a trailing slash is anything else."""
        paths = (
            "/page.html",
            "/api",
            "/metrics/",
            "//metrics",
            "/api/services/web",
            "/Metrics",
            "/%ff",
            "*",
            "x/healthz",
            "/healthz%2f",
        )
        for path in paths:
            self.assertEqual(self.asked("GET", path)[0], 404, path)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=60))
    def test_anything(self, method: bytes, path: bytes, host: bytes, body: bytes) -> None:
        """No request makes it fail, or say anything but JSON."""
        for fields in ({b"host": host}, JSON):
            asked = Asked(method, b"/" + path, fields.get, body)
            answer = self.successResultOf(self.api.answer(asked))
            self.assertIn(answer.code, (200, 400, 403, 404, 405, 415, 421))
            self.assertNotIn(b"<", answer.body)


class Changing(AdminCase):
    """What changes something."""

    def test_reload(self) -> None:
        """Problems are told; a program without files says so."""
        self.assertEqual(self.asked("POST", "/api/reload"), (200, {"reloaded": True, "problems": []}))
        self.program.problems = ["config.yaml:3: <bad>"]
        expected = (422, {"reloaded": False, "problems": ["config.yaml:3: <bad>"]})
        self.assertEqual(self.asked("POST", "/api/reload"), expected)
        self.program.problems = LookupError("nothing to read")
        self.assertEqual(self.asked("POST", "/api/reload"), (409, {"error": "nothing to read"}))
        self.assertEqual(self.asked("POST", "/api/reload", LOCAL, b"x")[0], 400)

    def test_replica_state(self) -> None:
        """Names and keys are percent-encoded in the path."""
        expected = {"service": "web", "replica": "http://127.0.0.1:8081", "state": "drain"}
        self.assertEqual(self.asked("POST", STATE, JSON, b'{"state": "drain"}'), (200, expected))
        fields = {**JSON, b"content-type": b"application/json; charset=utf-8"}
        self.asked("POST", STATE.replace("web", "a%20%C3%A9"), fields, b'{"state": "ready"}')
        self.assertEqual(
            self.program.states,
            [("web", "http://127.0.0.1:8081", "drain"), ("a é", "http://127.0.0.1:8081", "ready")],
        )

    def test_bad_bodies(self) -> None:
        """400, or 415 where it does not say that it is JSON; nothing is changed."""
        bodies = (
            *(
                b"",
                b"x",
                b"[]",
                b"{}",
                b'"drain"',
                b'{"state": "off"}',
                b'{"state": ["drain"]}',
                b'{"state": null}',
            ),
            *(b'{"state": "drain", "more": 1}', b"[" * 60_000, b"\xff"),
        )
        for body in bodies:
            self.assertEqual(self.asked("POST", STATE, JSON, body)[0], 400, body[:30])
        for content_type in (b"text/plain", b"application/x-www-form-urlencoded", b""):
            fields = {**LOCAL, b"content-type": content_type}
            self.assertEqual(self.asked("POST", STATE, fields, b'{"state": "drain"}')[0], 415)
        self.assertEqual(self.program.states, [])

    def test_unknown(self) -> None:
        """404; what was asked for is not repeated."""
        self.program.state_error = KeyError("web")
        code, said = self.asked("POST", STATE, JSON, b'{"state": "drain"}')
        self.assertEqual((code, list(said)), (404, ["error"]))
        self.assertNotIn("web", said["error"])
