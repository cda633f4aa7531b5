"""The screens in docs/admin-page.md: `make docs-screens` takes them anew, in three minutes.

A proxy with two workers, a few back-ends of different manners, clients who come in waves; and Chromium, which looks.
It is told what to look at by what the page's tests use, too.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import random
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.ops.admin_page_case import admin_port, nobody, start_browser, start_proxy  # noqa: E402

#: seconds of traffic before the first screen
PAST = 140
#: seconds that the page has to fill
LOOK = 9
CLIENTS = 10
#: what is asked for, and how often among all
TARGETS = {
    "/shop/cart": 80,
    "/search?q=lamp": 50,
    "/shop/slow": 4,
    "/shop/missing": 4,
    "/shop/broken": 2,
    "/search/lost": 2,
    "/elsewhere": 1,
    "/shop/strange": 1,
}
SCREENS = {
    "light": (1280, 1360, 1, "light"),
    "dark": (1280, 940, 1, "dark"),
    "phone": (360, 1400, 2, "light"),
}
CONFIG = """\
services:
  - name: shop
    strategy: LeastConnections
    matcher: /shop
    replicas:
      - {{url: "http://127.0.0.1:{ports[0]}", metadata: {{weight: 2}}}}
      - {{url: "http://127.0.0.1:{ports[1]}", metadata: {{weight: 4}}}}
      - {{url: "http://127.0.0.1:{ports[2]}"}}
  - name: search
    strategy: PowerOfTwo
    matcher: /search
    replicas:
      - {{url: "http://127.0.0.1:{ports[3]}"}}
      - {{url: "http://127.0.0.1:{nobody}"}}
"""


class Manners(BaseHTTPRequestHandler):
    """A back-end that is quick, mostly."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, late or wrong where the path says so."""
        time.sleep(random.expovariate(250) if "slow" not in self.path else 0.15 + random.expovariate(6))
        if "lost" in self.path:
            self.close_connection = True
            return
        body = b"x" * random.randrange(200, 2000)
        self.send_response(500 if "broken" in self.path else 404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Backend(ThreadingHTTPServer):
    """Several connections at once, and no word about those that end."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Nothing."""


def backend() -> Backend:
    """One that serves until the program ends."""
    server = Backend(("127.0.0.1", 0), Manners)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def visit(port: int, number: int) -> None:
    """A client who comes in waves, for ever."""
    choice = random.Random(number)
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            for _ in range(80):
                (path,) = choice.choices(list(TARGETS), TARGETS.values())
                fields = {"Host": "shop.example"}
                if "strange" in path:
                    fields["Expect"] = "a-miracle"
                connection.request("GET", path, headers=fields)
                connection.getresponse().read()
                time.sleep(choice.expovariate(1) * 0.05 / (1.1 + math.sin(time.time() / 18)))


def take(browser: Any, address: str) -> None:
    """All screens, into this folder."""
    for name, (width, height, scale, scheme) in SCREENS.items():
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": scale > 1}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(address)
        time.sleep(LOOK)
        browser.save_screenshot(str(HERE / f"{name}.png"))
        print(f"{name}.png")


def main() -> None:
    """Start everything, wait, look."""
    backends = [backend() for _ in range(4)]
    ports = [server.server_address[1] for server in backends]
    with nobody() as closed, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG.format(ports=ports, nobody=closed))
        with start_proxy(config, "--workers", "2", reactor="uvloop") as proxy:
            for number in range(CLIENTS):
                threading.Thread(target=visit, args=(proxy.port, number), daemon=True).start()
            time.sleep(PAST)
            browser = start_browser()
            try:
                take(browser, f"http://127.0.0.1:{admin_port(proxy)}/")
            finally:
                browser.quit()


main()
