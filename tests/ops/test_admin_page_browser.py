"""The admin page in a real browser, before a real proxy that has something to do."""

from __future__ import annotations

import pytest

from tests.ops.admin_page_case import PageCase, on_each_reactor

pytestmark = pytest.mark.once

ATTACK = "<svg/onload=alert(1)><img/src=x/onerror=alert(2)>"
BUTTONS = "#services tbody tr:first-child button"

#: timers of two seconds and more wait in a list until a test calls them; and ``nobody`` sees the page, if it says so
BY_HAND = """
    window.waiting = [];
    const real = window.setTimeout;
    window.setTimeout = (call, after, ...more) =>
        after >= 2000 ? window.waiting.push(call) : real(call, after, ...more);
    Object.defineProperty(document, "hidden", { get: () => window.nobody === true });
"""


class Page(PageCase):
    """What is to be seen, and what can be done, with the keyboard alone."""

    def area(self) -> str:
        """The path of the first plot's largest area."""
        drawn: str = self.js(
            "return document.querySelector('.area.good:not(.swatch *)')?.getAttribute('d') ?? ''"
        )
        return drawn

    def legend(self) -> list[str]:
        """The names and values of all plots."""
        return self.texts("#plots .legend > div")

    def test_traffic(self) -> None:
        """Numbers, plots and the load of replicas move when requests come."""
        self.open()
        self.until(self.area, "something is drawn")
        before = self.area()
        self.ask("/shop", times=30)
        self.until(lambda: self.area() != before, "the plot moves")
        self.until(lambda: not self.texts("#now b")[0].startswith(("0", "–")), "requests a second are shown")
        self.until(
            lambda: self.legend()[5].startswith("p50") and self.legend()[5].endswith("ms"), "a latency"
        )
        self.until(
            lambda: self.texts("#services .rate")[:2] not in (["0 /s"] * 2, ["– /s"] * 2),
            "the replicas' load",
        )
        self.assertEqual(self.texts("#services h3"), ["shop", "gone"])
        self.assertEqual(self.texts("#services .badge")[:2], ["up", "up"])
        self.assertIn("RoundRobin · 2 of 2 available", self.text("#services .facts"))
        (worker,) = self.texts("#workers tbody tr")
        self.assertIn(str(self.proxy.pid), worker)
        self.assertIn("serving", worker)

    def test_errors(self) -> None:
        """What goes wrong is shown with its code; and what was asked for is text, whatever it looks like."""
        self.ask("/gone/first", host="gone.example")
        self.open()
        row = self.until(
            lambda: [each for each in self.texts("#errors tr") if "/gone/first" in each], "the error"
        )[0]
        for part in ("H21", "Backend connection refused", "GET", "gone.example", "gone", "503"):
            self.assertIn(part, row)
        self.assertIn("H21", self.text("#codes"))

        fields = [("X-Test", ATTACK), ("User-Agent", ATTACK), ("Referer", ATTACK)]
        self.ask(f"/gone/{ATTACK}?{ATTACK}", *fields, host="gone.example")
        self.ask("/shop/host", *fields, host=ATTACK)
        self.ask(f"/nothing{ATTACK}", host="x.example")
        seen = self.until(
            lambda: (
                len(found := [each for each in self.texts("#errors .path") if ATTACK in each]) == 2 and found
            ),
            "the attacks",
        )
        self.assertEqual(seen, [f"/nothing{ATTACK}", f"/gone/{ATTACK}"])
        script = "return document.querySelectorAll('#errors svg, #errors img, [onload], [onerror]').length"
        self.assertEqual(self.js(script), 0)
        self.assertEqual(self.texts("#errors script, #main script"), [])

    def test_plots_by_keyboard(self) -> None:
        """A plot is a slider through time: what stands there is shown, and said, in all three."""
        from selenium.webdriver.common.keys import Keys

        self.ask("/shop", times=5)
        self.open()
        points = "return Number(document.querySelector('.slider').getAttribute('aria-valuemax'))"
        self.until(lambda: self.js(points) >= 2, "some points")
        self.tab_to(lambda element: element.get_attribute("role") == "slider")
        self.press(Keys.HOME)
        self.assertEqual(self.focused().get_attribute("aria-valuenow"), "0")
        first = self.focused().get_attribute("aria-valuetext")
        self.assertRegex(first, r"^\d\d:\d\d:\d\d: 1xx–3xx .+, 4xx .+, 5xx .+$")
        self.press(Keys.ARROW_RIGHT)
        self.assertNotEqual(self.focused().get_attribute("aria-valuetext"), first)
        times = self.texts(".plot-time")
        self.assertEqual((len(set(times)), len(times)), (1, 3))
        self.assertRegex(times[0], r"^\d\d:\d\d:\d\d$")
        self.press(Keys.ESCAPE)
        self.assertEqual(self.texts(".plot-time"), ["", "", ""])
        self.tab_to(lambda element: element.tag_name == "summary")
        self.press(Keys.ENTER)
        table = self.until(lambda: self.texts("#plots details[open] table"), "the plot as a table")[0]
        for word in ("Time", "1xx–3xx", "4xx", "5xx"):
            self.assertIn(word, table)

    def test_replica_by_keyboard(self) -> None:
        """A replica is taken out and put back; the focus stays where it was while the page goes on."""
        from selenium.webdriver.common.keys import Keys

        self.open()
        self.addCleanup(self.all(BUTTONS)[0].click)
        self.tab_to(lambda element: element.text == "Maint")
        self.press(Keys.SPACE)
        self.until(lambda: self.texts("#services .badge")[0] == "maintenance", "it is in maintenance")
        self.assertIn("1 of 2 available", self.text("#services .facts"))
        pressed = [button.get_attribute("aria-pressed") for button in self.all(BUTTONS)[:3]]
        self.assertEqual(pressed, ["false", "false", "true"])
        before = self.backends[0].requests
        self.assertEqual(self.ask("/shop", times=4), 200)
        self.assertEqual(self.backends[0].requests, before)
        self.assertEqual(self.focused().text, "Maint")
        self.back()
        self.assertEqual(self.focused().text, "Drain")
        self.press(Keys.ENTER)
        self.until(lambda: self.texts("#services .badge")[0] == "drain", "it drains")
        self.back()
        self.press(Keys.ENTER)
        self.until(lambda: self.texts("#services .badge")[0] == "up", "it is up again")

    def test_reload_by_keyboard(self) -> None:
        """A new file is in force at once; what is wrong with one is shown, and can be put away."""
        from selenium.webdriver.common.keys import Keys

        good = self.config.read_text()
        self.addCleanup(self.config.write_text, good)
        self.expected = "422"  # the browser itself notes an answer like that
        self.open()
        self.config.write_text(good.replace("name: gone", "name: renamed"))
        self.tab_to(lambda element: element.get_attribute("id") == "reload")
        self.press(Keys.ENTER)
        self.until(lambda: "all good" in self.text("#notice"), "it was good")
        self.until(lambda: self.texts("#services h3") == ["shop", "renamed"], "the new name")
        self.config.write_text(good.replace("matcher: /gone", f"matcher: [{ATTACK}"))
        self.assertEqual(self.focused().get_attribute("id"), "reload")
        self.press(Keys.ENTER)
        problem = self.until(lambda: self.text("#problems li"), "the problems")
        self.assertIn("config.yaml", problem)
        self.assertEqual(
            self.js("return document.querySelectorAll('#problems img, #problems svg').length"), 0
        )
        self.assertEqual(self.texts("#services h3"), ["shop", "renamed"])
        self.tab_to(lambda element: element.text == "Dismiss")
        self.press(Keys.ENTER)
        self.assertFalse(self.all("#problems")[0].is_displayed())
        self.config.write_text(good)
        self.js("document.getElementById('reload').click()")
        self.until(lambda: self.texts("#services h3") == ["shop", "gone"], "the old name")

    def test_drain_by_keyboard(self) -> None:
        """It asks first; then the program ends by itself, and the page says so until another one is there."""
        from selenium.webdriver.common.keys import Keys

        from tests.ops.admin_page_case import admin_port

        self.expected = "ERR_CONNECTION_REFUSED"
        proxy = self.start()
        self.addCleanup(lambda: proxy.stop())
        port = admin_port(proxy)
        self.open(proxy)
        self.tab_to(lambda element: element.get_attribute("id") == "drain")
        self.press(Keys.ENTER)
        self.assertEqual(self.focused().get_attribute("id"), "drain-cancel")
        self.assertIn("takes no more clients", self.text("#drain-text"))
        self.press(Keys.ESCAPE)
        self.assertEqual(self.focused().get_attribute("id"), "drain")
        self.press(Keys.ENTER)
        self.press(Keys.TAB, Keys.ENTER)
        self.assertEqual(proxy.wait(), 0)
        self.until(lambda: self.text("#state") == "away", "it is away")
        self.assertIn("No answer", self.text("#notice"))
        again = self.start(port=port)
        self.addCleanup(lambda: again.stop())
        self.until(lambda: self.text("#state") == "serving", "the next one serves")
        self.until(lambda: not self.all("#notice")[0].is_displayed(), "the notice is gone")
        self.until(lambda: str(again.pid) in self.text("#workers"), "its process")

    def test_nobody_looks(self) -> None:
        """A page that nobody sees asks nothing more; seen again, it asks at once, for what it has missed, too."""
        script = {"source": BY_HAND}
        made = self.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
        self.addCleanup(self.browser.execute_cdp_cmd, "Page.removeScriptToEvaluateOnNewDocument", made)
        self.open()

        def asked(what: str) -> int:
            names: list[str] = self.js(
                "return performance.getEntriesByType('resource').map(({ name }) => name)"
            )
            return sum(name.endswith(what) for name in names)

        waiting = "return window.waiting.length"
        self.until(lambda: self.js(waiting) == 1, "the next poll is planned")
        before = asked("/api/live")
        self.js("window.waiting.pop()()")
        self.until(
            lambda: asked("/api/live") == before + 1 and self.js(waiting) == 1, "it comes, and plans another"
        )
        self.js("window.nobody = true; window.waiting.pop()()")
        self.assertEqual((asked("/api/live"), self.js(waiting)), (before + 1, 0))
        self.js("window.nobody = false; document.dispatchEvent(new Event('visibilitychange'))")
        self.until(lambda: asked("/api/live") == before + 2, "it asks again")
        self.assertEqual(asked("/api/history"), 2)


class Workers(PageCase):
    """With ``--workers``: the page shows all of them as one."""

    options = ("--workers", "2")

    def test_workers(self) -> None:
        """Each has its row; requests and errors of all are counted; a replica's state is set in all."""
        self.ask("/shop", times=12)
        self.ask("/gone/first", times=3)
        self.open()
        rows = self.until(lambda: len(found := self.texts("#workers tbody tr")) == 2 and found, "two workers")
        self.assertTrue(all("ready" in row for row in rows), rows)
        self.until(lambda: len(self.texts("#errors .path")) == 3, "the errors of both")
        self.until(
            lambda: sum(map(int, self.texts("#workers td.requests"))) == 15, "all requests are counted"
        )
        self.all(BUTTONS)[2].click()
        self.until(lambda: self.texts("#services .badge")[0] == "maintenance", "it is in maintenance")
        before = self.backends[0].requests
        self.ask("/shop", times=12)
        self.assertEqual(self.backends[0].requests, before)


globals().update(on_each_reactor(Page))
globals().update(on_each_reactor(Workers))
