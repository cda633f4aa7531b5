"""The admin page as files and answers: what is sent, to whom, and with which policy. No browser here."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
from twisted.internet.task import Clock

from tests.ops.admin_case import JSON, LIVE, LOCAL, TOKEN, AdminCase
from vegurtx.ops.admin import Access, AdminApi
from vegurtx.ops.admin.http_server import AdminFactory
from vegurtx.ops.admin.page import page_files

pytestmark = pytest.mark.once

_MAKE_MARKUP = (
    r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|setHTML|srcdoc|DOMParser"
)


class Files(AdminCase):
    """The page and what belongs to it."""

    def test_page(self) -> None:
        """HTML, with a policy that lets in the page's own files and nothing else."""
        answer = self.answer("GET", "/")
        self.assertEqual((answer.code, answer.content_type), (200, "text/html; charset=utf-8"))
        policy = dict(answer.headers)["Content-Security-Policy"].split("; ")
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"):
            self.assertIn(part, policy)
        for part in (
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "trusted-types 'none'",
        ):
            self.assertIn(part, policy)
        self.assertNotIn("unsafe", " ".join(policy))
        self.assertNotIn("http", " ".join(policy))

    def test_types(self) -> None:
        """Each file has the type of its kind: nothing is sniffed."""
        for path, kind in (
            ("/page.css", "text/css; charset=utf-8"),
            ("/page.js", "text/javascript; charset=utf-8"),
            ("/plot.js", "text/javascript; charset=utf-8"),
            ("/icon.svg", "image/svg+xml"),
        ):
            answer = self.answer("GET", path)
            self.assertEqual((answer.code, answer.content_type), (200, kind))
            self.assertIn("Content-Security-Policy", dict(answer.headers))

    def test_nothing_else(self) -> None:
        """No other file of the package, and no way around in it."""
        for path in (
            "/__init__.py",
            "/../api.py",
            "/..%2fapi.py",
            "/page.html",
            "/__pycache__",
            "/page.css/",
        ):
            self.assertEqual(self.asked("GET", path)[0], 404, path)

    def test_only_to_be_read(self) -> None:
        """There is nothing to be done to them."""
        self.assertEqual(self.answer("HEAD", "/").code, 200)
        self.assertEqual(self.answer("POST", "/").headers, (("Allow", "GET, HEAD"),))

    def test_everything_is_there(self) -> None:
        """What the files name exists; and it is all from here."""
        known = {f"/{path}" for (path,) in page_files()}
        for file in files("vegurtx.ops.admin.page").iterdir():
            if not file.name.endswith((".html", ".js", ".css")):
                continue
            text = file.read_text("utf-8")
            for name in re.findall(r'(?:src|href|from)[= ]"(?:\./)?([^"#]+)"', text):
                self.assertIn(f"/{name}", known, file.name)
            self.assertNotRegex(text.replace("http://www.w3.org/2000/svg", ""), r"https?://")

    def test_no_markup_is_made(self) -> None:
        """The scripts have no word by which a string becomes markup or code."""
        for file in files("vegurtx.ops.admin.page").iterdir():
            if file.name.endswith(".js"):
                self.assertNotRegex(file.read_text("utf-8"), _MAKE_MARKUP, file.name)
            if file.name == "page.html":
                self.assertNotRegex(file.read_text("utf-8"), r"<style|style=|\son\w+=|<script[^>]*>[^<]")


class Numbers(AdminCase):
    """What the page asks for."""

    def test_live(self) -> None:
        """As the program says it."""
        self.assertEqual(self.asked("GET", "/api/live"), (200, LIVE))

    def test_no_markup_in_answers(self) -> None:
        """What a request brought is escaped in the JSON, too."""
        self.program.live = lambda: {**LIVE, "recent": [{"path": "/<script>&"}]}  # type: ignore[method-assign]
        answer = self.answer("GET", "/api/live")
        self.assertNotRegex(answer.body, b"[<>&]")
        self.assertEqual(json.loads(answer.body)["recent"], [{"path": "/<script>&"}])

    def test_history(self) -> None:
        """Sampled while the API is served, and no longer."""
        clock = Clock()
        factory = AdminFactory(self.api, clock)
        self.assertEqual(self.asked("GET", "/api/history")[1]["samples"], [])
        factory.doStart()
        clock.pump([5.0] * 2)
        self.assertEqual(len(self.asked("GET", "/api/history")[1]["samples"]), 3)
        factory.doStop()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_history_ends_with_the_service(self) -> None:
        """Also where the port is gone already."""
        clock = Clock()
        factory = AdminFactory(self.api, clock)
        factory.doStart()
        factory.stop()
        self.assertEqual(clock.getDelayedCalls(), [])


class Draining(AdminCase):
    """``POST /api/drain``."""

    def test_drain(self) -> None:
        """It is begun, and not waited for."""
        self.assertEqual(self.asked("POST", "/api/drain"), (202, {"draining": True}))
        self.assertEqual(self.program.drains, 1)

    def test_not_possible(self) -> None:
        """409 with the reason."""
        self.program.drain_error = LookupError("it drains already")
        self.assertEqual(self.asked("POST", "/api/drain"), (409, {"error": "it drains already"}))

    def test_not_by_others(self) -> None:
        """Neither by another site's page, nor by a link or a form; nothing is done then."""
        for fields in (
            {**LOCAL, b"origin": b"http://evil.example"},
            {**LOCAL, b"sec-fetch-site": b"cross-site"},
            {b"host": b"evil.example"},
        ):
            self.assertIn(self.asked("POST", "/api/drain", fields)[0], (403, 421))
        self.assertEqual(self.asked("GET", "/api/drain")[0], 405)
        self.assertEqual(self.asked("POST", "/api/drain", JSON, b"x=1")[0], 400)
        self.assertEqual(self.program.drains, 0)


class WithToken(AdminCase):
    """From anywhere: the page is for everybody, what it shows is not."""

    def setUp(self) -> None:
        """A token is needed."""
        super().setUp()
        self.api = AdminApi(self.program, Access(TOKEN))

    def test_page(self) -> None:
        """Under any name, without a token; and it does not hold one."""
        for (path,), file in page_files().items():
            answer = self.answer("GET", f"/{path}", {b"host": b"proxy.example"})
            self.assertEqual(answer, file)
            self.assertNotIn(TOKEN, answer.body)

    def test_numbers(self) -> None:
        """They need it."""
        for method, path in (("GET", "/api/live"), ("GET", "/api/history"), ("POST", "/api/drain")):
            self.assertEqual(self.answer(method, path, LOCAL).code, 401)
            fields = {b"host": b"proxy.example", b"authorization": b"Bearer " + TOKEN}
            self.assertIn(self.answer(method, path, fields).code, (200, 202))
        self.assertEqual(self.program.drains, 1)
