"""How the admin page looks and reads: light and dark, on a phone, to a screen reader; and its own sums.

What an audit of accessibility looks at is worked out here, from what the browser has computed: contrasts, sizes, names
and roles. Source of the bounds: WCAG 2.2, level AA.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.ops.admin_page_case import TOKEN, PageCase, on_each_reactor

pytestmark = pytest.mark.once

AUDIT = Path(__file__).with_name("admin_page_audit.js").read_text("utf-8")
#: roles that nothing may have without a name
NAMED = {"button", "slider", "textbox", "link", "table", "region", "group", "heading", "dialog", "figure"}


class Looks(PageCase):
    """What eyes and screen readers get."""

    def busy(self) -> None:
        """The page with something in all of its parts."""
        self.ask("/gone/lost", host="gone.example")
        self.ask(f"/gone/{'long' * 60}", host=f"{'very.' * 30}long.example")
        self.ask("/status/500", host="x")
        self.open()
        self.ask("/shop", times=5)
        self.until(lambda: len(self.texts("#errors .path")) >= 2, "errors are shown")
        self.until(
            lambda: self.js("return document.querySelector('.line')?.getAttribute('d')"), "plots are drawn"
        )

    def audit(self) -> None:
        """Nothing to complain of."""
        self.assertEqual(self.js(AUDIT), [])

    def test_light(self) -> None:
        """Contrasts, sizes, order."""
        self.busy()
        self.audit()
        self.assertEqual(self.ground(), "rgb(244, 245, 247)")

    def test_dark(self) -> None:
        """The same by night, and it follows the user's wish at once."""
        self.busy()
        self.emulate(scheme="dark")
        self.assertEqual(self.ground(), "rgb(14, 18, 22)")
        self.audit()

    def ground(self) -> str:
        """The page's colour."""
        color: str = self.js("return getComputedStyle(document.body).backgroundColor")
        return color

    def test_phone(self) -> None:
        """360 pixels wide nothing is cut off or has to be pushed to the side, however long a path or a host is."""
        self.emulate(360, 780, "dark")
        self.busy()
        self.audit()
        self.assertEqual(self.js("return document.documentElement.scrollWidth"), 360)
        roles = {role for role, _ in self.tree()}
        self.assertLessEqual({"table", "row", "cell", "rowheader", "columnheader"}, roles)

    def test_problems_and_dialog(self) -> None:
        """What is not always there is looked at, too."""
        self.expected = "422"
        good = self.config.read_text()
        self.addCleanup(self.config.write_text, good)
        self.busy()
        self.config.write_text("services: 1")
        self.js("document.getElementById('reload').click()")
        self.until(lambda: self.text("#problems li"), "the problems")
        self.audit()
        self.js("document.getElementById('drain').click()")
        self.assertEqual(dict(self.tree()).get("dialog"), "Drain this program?")
        self.emulate(scheme="dark")
        self.audit()

    def tree(self) -> list[tuple[str, str]]:
        """Roles and names, as the browser tells them to assistive technology."""
        nodes = self.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        seen = [node for node in nodes if not node["ignored"]]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in seen]

    def test_names(self) -> None:
        """Whatever can be used, and whatever is read as a whole, has a name; the landmarks are there."""
        self.busy()
        tree = self.tree()
        self.assertEqual([role for role, name in tree if role in NAMED and not name.strip()], [])
        names = {name for role, name in tree if role in NAMED}
        for name in (
            "Reload configuration",
            "Drain program…",
            "Services",
            "Replicas of shop",
            "Worker processes",
        ):
            self.assertIn(name, names)
        for name in ("Requests, a point in time", "Recent errors", "Ready", "Latency to the last byte"):
            self.assertIn(name, names)
        self.assertLessEqual({"main", "banner", "contentinfo", "status"}, {role for role, _ in tree})

    def test_focus_is_seen(self) -> None:
        """Every place that Tab comes to has an outline, and they come in the order of the page."""
        from selenium.webdriver.common.keys import Keys

        self.busy()
        seen: list[Any] = []
        for _ in range(40):
            self.press(Keys.TAB)
            element = self.focused()
            if element in seen or element.tag_name == "body":
                break
            seen.append(element)
            self.assertEqual(element.value_of_css_property("outline-style"), "solid", element.text)
        script = (
            "return arguments[0].every((each, n, all) => !n || all[n - 1].compareDocumentPosition(each) & 4)"
        )
        self.assertTrue(self.js(script, seen))
        # skip link, two buttons, three plots with their tables, three replicas with three buttons, the errors
        self.assertEqual(len(seen), 1 + 2 + 6 + 9 + 1)

    def test_sums(self) -> None:
        """Rates and percentiles of two snapshots, and how numbers read."""
        self.open()
        run = """
            const done = arguments[arguments.length - 1];
            import("/numbers.js").then((numbers) => {
                const bounds = [0.1, 0.2, 0.4];
                const at = (time, good, bad, counts, wrong = 0) => ({
                    time, requests: { "2xx": good, "5xx": bad }, errors: { H12: wrong }, latency: { bounds, counts },
                    bytes: { received: 100 * time, sent: 0 },
                });
                const point = numbers.between(at(10, 0, 0, [0, 0, 0, 0]), at(14, 6, 2, [4, 2, 1, 1], 1));
                const { percentile, rate, percent, duration, bytes, age, count } = numbers;
                done([
                    [point.total, point.good, point.server, point.serverShare, point.wrongShare, point.received],
                    [point.p50, point.p90, point.p99],
                    numbers.between(at(14, 6, 2, [4, 2, 1, 1], 1), at(16, 1, 0, [1, 0, 0, 0])),
                    numbers.between(at(14, 6, 2, [4, 2, 1, 1]), at(14, 6, 2, [4, 2, 1, 1])),
                    percentile(bounds, [0, 0, 0, 0], 0.5),
                    [percentile(bounds, [0, 10, 0, 0], 0.5), percentile(bounds, [5, 0, 5, 0], 0.5)],
                    [rate(0), rate(0.44), rate(12.3), rate(3400), rate(null)],
                    [percent(0), percent(0.256), percent(2.51), percent(100)],
                    [duration(0.00042), duration(0.0421), duration(1.26), duration(61)],
                    [bytes(12), bytes(3450), bytes(99_000_000)],
                    [age(59.9), age(60), age(3900), age(180_000), count(1234567)],
                ]);
            }, (problem) => done(String(problem)));
        """
        sums, percentiles, another, at_once, none, inside, *words = self.browser.execute_async_script(run)
        self.assertEqual(sums, [2, 1.5, 0.5, 25, 12.5, 100])
        # the last one is beyond the last bound
        self.assertEqual(percentiles, [0.1, 0.4, 0.4])
        self.assertEqual((another, at_once, none), (None, None, None))
        self.assertAlmostEqual(inside[0], 0.15)
        self.assertAlmostEqual(inside[1], 0.1)
        self.assertEqual(words[0], ["0", "0.4", "12", "3,400", "–"])
        self.assertEqual(words[1], ["0 %", "0.26 %", "2.5 %", "100 %"])
        self.assertEqual(words[2], ["0.4 ms", "42 ms", "1.3 s", "61 s"])
        self.assertEqual(words[3], ["12 B", "3.5 kB", "99 MB"])
        self.assertEqual(words[4], ["59 s", "1 min", "1 h 05 min", "2 d 2 h", "1,234,567"])


class Token(PageCase):
    """With ``--admin-token-file``."""

    expected = "401"  # the browser itself notes an answer like that

    @classmethod
    def setUpClass(cls) -> None:
        """A file with a token."""
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        path = Path(folder.name) / "token"
        path.write_text(TOKEN)
        cls.options = ("--admin-token-file", str(path))
        super().setUpClass()

    def test_token(self) -> None:
        """It is asked for once: the page keeps it for its tab. Without it there is nothing to be seen."""
        from selenium.webdriver.common.keys import Keys

        from tests.ops.admin_page_case import admin_port

        page = f"http://127.0.0.1:{admin_port(self.proxy)}/"
        self.browser.get(page)
        self.until(lambda: self.focused().get_attribute("id") == "token", "the question")
        self.assertFalse(self.all("#main")[0].is_displayed())
        self.assertEqual(self.texts("#services .service"), [])
        self.press("x" * 16, Keys.ENTER)
        self.until(lambda: "does not take" in self.text("#token-problem"), "it is the wrong one")
        self.assertEqual(self.js("return sessionStorage.length"), 0)
        self.press(TOKEN, Keys.ENTER)
        self.until(lambda: self.texts("#services .service"), "the numbers")
        self.assertFalse(self.all("#token-form")[0].is_displayed())
        self.assertEqual(self.js("return [localStorage.length, document.cookie]"), [0, ""])
        self.assertEqual(self.js("return location.href"), page)
        self.browser.refresh()
        self.until(lambda: self.texts("#services .service"), "it is not asked for again")
        self.js("document.getElementById('reload').click()")
        self.until(lambda: "all good" in self.text("#notice"), "it is sent with what is done, too")


globals().update(on_each_reactor(Looks))
globals().update(on_each_reactor(Token))
