"""Who may use the admin API: tokens, addresses, and pages that somebody's browser shows."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.ops.admin_case import JSON, LOCAL, TOKEN, AdminCase
from vegurtx.ops.admin import Access, AdminApi, TokenError, read_token


class WithoutToken(AdminCase):
    """On this machine."""

    def test_hosts(self) -> None:
        """Addresses and localhost are us; a name may be anybody's that leads here (DNS rebinding)."""
        good = (
            b"127.0.0.1",
            b"127.0.0.1:9000",
            b"[::1]:9000",
            b"localhost:1",
            b"a.localhost",
            b"10.1.2.3:80",
            b"LOCALHOST",
        )
        for host in good:
            self.assertEqual(self.answer("GET", "/api/process", {b"host": host}).code, 200, host)
        bad = (
            b"evil.example",
            b"127.0.0.1.evil.example:9000",
            b"localhost.evil.example",
            b"",
            b"a b",
            b"127.0.0.1,evil",
        )
        for host in bad:
            for path in ("/api/process", "/metrics", "/healthz"):
                self.assertEqual(self.answer("GET", path, {b"host": host}).code, 421, host)
        self.assertEqual(self.answer("GET", "/api/process", {}).code, 200)  # HTTP/1.0: no browser

    def test_other_origins(self) -> None:
        """Another site's page may not change anything; our own may."""
        for origin in (b"http://evil.example", b"null", b"http://127.0.0.1:1", b"https://127.0.0.1:9000"):
            fields = {**LOCAL, b"origin": origin}
            self.assertEqual(self.asked("POST", "/api/reload", fields)[0], 403)
        for site in (b"cross-site", b"same-site"):
            self.assertEqual(self.asked("POST", "/api/reload", {**LOCAL, b"sec-fetch-site": site})[0], 403)
        own = {**LOCAL, b"origin": b"http://127.0.0.1:9000", b"sec-fetch-site": b"same-origin"}
        self.assertEqual(self.asked("POST", "/api/reload", own)[0], 200)
        self.assertEqual(
            self.asked("GET", "/api/process", {**LOCAL, b"origin": b"http://evil.example"})[0], 200
        )

    def test_before_anything_else(self) -> None:
        """Who may not ask learns nothing of what there is."""
        self.assertEqual(self.answer("POST", "/nothing", {b"host": b"evil.example"}).code, 421)


class WithToken(AdminCase):
    """From anywhere."""

    def setUp(self) -> None:
        """A token is needed."""
        super().setUp()
        self.api = AdminApi(self.program, Access(TOKEN))

    def test_token(self) -> None:
        """The right one, in the right place; then any name of the host is good."""
        for given in (b"Bearer " + TOKEN, b"bearer " + TOKEN, b"Bearer  " + TOKEN + b" "):
            fields = {b"host": b"proxy.example", b"authorization": given}
            self.assertEqual(self.answer("GET", "/metrics", fields).code, 200, given)
        for given in (
            b"",
            TOKEN,
            b"Basic " + TOKEN,
            b"Bearer",
            b"Bearer " + TOKEN[:-1],
            b"Bearer " + TOKEN + b"0",
            b"\xff",
        ):
            answer = self.answer("GET", "/metrics", {**LOCAL, b"authorization": given})
            self.assertEqual((answer.code, answer.headers[0][0]), (401, "WWW-Authenticate"), given)
        self.assertEqual(self.answer("GET", "/api/process").code, 401)
        self.assertEqual(self.answer("POST", "/api/reload").code, 401)

    def test_probes_need_none(self) -> None:
        """They say nothing that would be worth one."""
        self.assertEqual(self.answer("GET", "/healthz").code, 200)
        self.assertEqual(self.answer("GET", "/readyz").code, 200)
        self.assertEqual(self.answer("GET", "/readyz/").code, 401)

    def test_origin_all_the_same(self) -> None:
        """A token does not make another site's page ours."""
        fields = {**JSON, b"authorization": b"Bearer " + TOKEN, b"origin": b"http://evil.example"}
        self.assertEqual(self.answer("POST", "/api/reload", fields).code, 403)


class TokenFiles(SynchronousTestCase):
    """``--admin-token-file``."""

    def test_files(self) -> None:
        """White space around the token does not count; anything else must be a token."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "token"
            path.write_bytes(b"\n " + TOKEN + b"\r\n")
            self.assertEqual(read_token(str(path)), TOKEN)
            for content in (b"", b"short", b"x" * 15, TOKEN + b"\n" + TOKEN, TOKEN + b"\xff", b"a b" * 10):
                path.write_bytes(content)
                with self.assertRaisesRegex(TokenError, "holds no token") as caught:
                    read_token(str(path))
                self.assertNotIn(content.decode("latin-1") or "?", str(caught.exception))
            with self.assertRaisesRegex(TokenError, "No such file"):
                read_token(str(path) + "x")
