"""What the admin page's tests and its screens share: a proxy as a real process, and Chromium without a screen.

Selenium drives it, and not Playwright: it takes the distribution's own browser and driver, which are of one version,
and loads nothing from anywhere.

A part that is missing skips the tests and says what to install; where the environment variable ``CI`` is set, it is a
failure.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend

ROOT = Path(__file__).resolve().parents[2]
REACTORS: dict[str, str | None] = {"epoll": "epoll", "uvloop": None}
TOKEN = "0123456789abcdef"

#: seconds that something on the page has to happen
PATIENCE = 20.0

#: Debian's package → its program's names
_PROGRAMS = {"chromium": ("chromium", "chromium-browser"), "chromium-driver": ("chromedriver",)}

_SWITCHES = (
    *("headless=new", "hide-scrollbars", "disable-gpu", "disable-dev-shm-usage"),
    *("disable-background-networking", "force-color-profile=srgb"),
)
_ADMIN = re.compile(r"vegurtx admin API at 127\.0\.0\.1:(\d+)")

CONFIG = """\
services:
  - name: shop
    matcher: /shop
    health_check: false
    replicas:
      - url: "http://127.0.0.1:{first}"
      - url: "http://127.0.0.1:{second}"
  - name: gone
    matcher: /gone
    health_check: false
    replicas:
      - url: "http://127.0.0.1:{nobody}"
"""


def browser_parts() -> tuple[str, str]:
    """The paths of Chromium and of its driver.

    :raises SkipTest: one of them, or Selenium, is not there (`AssertionError` where ``CI`` is set).
    """
    found: list[str] = []
    missing: list[str] = []
    for package, names in _PROGRAMS.items():
        path = next(filter(None, map(shutil.which, names)), None)
        if path is None:
            missing.append(f"{package} (on Debian: apt-get install {package})")
        else:
            found.append(path)
    try:
        import selenium  # noqa: F401 - only whether it is there
    except ImportError:
        missing.append("selenium (pip install selenium)")
    if missing:
        text = f"missing: {', '.join(missing)}"
        if os.environ.get("CI"):
            raise AssertionError(text)
        raise SkipTest(text)
    return found[0], found[1]


def start_browser() -> Any:
    """A browser, as a Selenium ``WebDriver``. Raises as `browser_parts` does."""
    binary, driver = browser_parts()
    # It would look for newer drivers, and count its users.
    os.environ.update(SE_OFFLINE="true", SE_AVOID_STATS="true")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = binary
    for name in _SWITCHES:
        options.add_argument(f"--{name}")
    if os.geteuid() == 0:  # as in a container: Chromium's own sandbox does not work for root
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options=options, service=Service(driver))


@contextmanager
def nobody() -> Iterator[int]:
    """A port that is taken, and that nobody listens on: whoever connects is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def start_proxy(config: Path, *options: str, reactor: str, admin_port: int = 0) -> ProxyProcess:
    """The program with an admin API."""
    return ProxyProcess(
        options=["--config", str(config), "--admin-port", str(admin_port), *options],
        reactor=REACTORS[reactor],
        path=[str(ROOT)],
        cwd=str(ROOT),
    )


def admin_port(proxy: ProxyProcess) -> int:
    """Where its admin API listens."""
    proxy.wait_for("vegurtx admin API at ")
    found = _ADMIN.search(proxy.output)
    assert found is not None, proxy.output
    return int(found[1])


def on_each_reactor(case: type[PageCase]) -> dict[str, type[PageCase]]:
    """`case` as test classes by name, one for each reactor, for the module's ``globals().update``."""
    wanted = os.environ.get("VEGURTX_TEST_REACTOR")
    made: dict[str, type[PageCase]] = {}
    for name in [wanted] if wanted else REACTORS:
        facts = {
            "reactor_name": name,
            "__module__": case.__module__,
            "__doc__": case.__doc__,
            "__test__": True,
        }
        made[f"{case.__name__}_{name}"] = type(f"{case.__name__}_{name}", (case,), facts)
    return made


class PageCase(SynchronousTestCase):
    """A browser and a proxy with two back-ends, which all tests of a class share. Each test opens the page anew.

    Whatever a test does, the browser's console must have nothing to complain of: no error, no violated policy.
    """

    __test__ = False
    reactor_name: ClassVar[str]
    options: ClassVar[Sequence[str]] = ()
    browser: ClassVar[Any]
    proxy: ClassVar[ProxyProcess]
    config: ClassVar[Path]
    backends: ClassVar[list[ThreadedBackend]]
    #: what the console may say in this test, as a part of it
    expected: str | None = None

    @classmethod
    def setUpClass(cls) -> None:
        """Start all of them."""
        cls.browser = start_browser()
        cls.addClassCleanup(cls.browser.quit)
        cls.backends = [ThreadedBackend(name=name) for name in ("one", "two")]
        for backend in cls.backends:
            cls.addClassCleanup(backend.stop)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.config = Path(folder.name) / "config.yaml"
        first, second = (backend.port for backend in cls.backends)
        cls.config.write_text(
            CONFIG.format(first=first, second=second, nobody=cls.enterClassContext(nobody()))
        )
        cls.proxy = cls.start()
        cls.addClassCleanup(lambda: cls.proxy.stop())

    @classmethod
    def start(cls, *options: str, port: int = 0) -> ProxyProcess:
        """A proxy of this class's kind."""
        return start_proxy(cls.config, *cls.options, *options, reactor=cls.reactor_name, admin_port=port)

    def setUp(self) -> None:
        """A wide, light window without a past."""
        self.emulate()
        self.browser.get_log("browser")
        self.addCleanup(self.check_console)

    def check_console(self) -> None:
        """Nothing went wrong in the page; the page is left, so that it asks no more."""
        entries = self.browser.get_log("browser")
        said = [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]
        self.browser.get("about:blank")
        self.assertEqual([each for each in said if self.expected is None or self.expected not in each], [])

    def emulate(self, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """A screen, and whether its user likes it dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    # -- the page ------------------------------------------------------------------------------------------------------

    def open(self, proxy: ProxyProcess | None = None) -> None:
        """Open the page, and wait until it has numbers."""
        self.browser.get(f"http://127.0.0.1:{admin_port(proxy or self.proxy)}/")
        self.until(lambda: self.text("#state") == "serving", "the page serves")
        self.until(lambda: self.all("#services .service"), "services are shown")

    def js(self, script: str, *arguments: Any) -> Any:
        """What `script` returns in the page."""
        return self.browser.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        """The elements that are there."""
        found: list[Any] = self.browser.find_elements("css selector", selector)
        return found

    def text(self, selector: str) -> str:
        """The whole text of the first of them, as the document has it; empty where there is none."""
        said: str = self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector)
        return said

    def texts(self, selector: str) -> list[str]:
        """The text of each of them, at one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
        said: list[str] = self.js(script, selector)
        return said

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """What `condition` returns, once it is true."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            return WebDriverWait(self.browser, PATIENCE, 0.05).until(lambda _: condition())
        except TimeoutException:
            shown = self.js("return document.body.innerText")
            raise AssertionError(f"waited {PATIENCE} s until {what}\n{shown}\n{self.proxy.output}") from None

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def back(self) -> None:
        """Press Shift and Tab."""
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.keys import Keys

        ActionChains(self.browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()

    def focused(self) -> Any:
        """The element that has the focus."""
        return self.browser.switch_to.active_element

    def tab_to(self, wanted: Callable[[Any], bool], most: int = 60) -> Any:
        """Press Tab until an element has the focus that is `wanted`."""
        from selenium.webdriver.common.keys import Keys

        for _ in range(most):
            self.press(Keys.TAB)
            if wanted(self.focused()):
                return self.focused()
        raise AssertionError("it cannot be reached by Tab")

    # -- its traffic ---------------------------------------------------------------------------------------------------

    def ask(self, target: str, *fields: tuple[str, str], times: int = 1, host: str = "localhost") -> int:
        """Requests through the proxy, on one connection each; the last one's status."""
        status = 0
        for _ in range(times):
            with BlockingClient(self.proxy.port) as client:
                status = client.request("GET", target, [("Host", host), *fields]).status
        return status
