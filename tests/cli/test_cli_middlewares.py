"""``--middleware``: what a dotted name can mean, where the stage goes, and what is said where it is none."""

from __future__ import annotations

from typing import Any

from tests.cli.cli_case import ROOT, outcome_of
from tests.cli.modules_case import ModulesCase
from vegurtx import default_middlewares
from vegurtx.cli.dotted import LoadError
from vegurtx.cli.middlewares import load_middlewares
from vegurtx.cli.options import Options
from vegurtx.testing import BlockingClient, ProxyProcess

MODULE = """
from vegurtx import Response, default_middlewares

class TokenCheck:
    def execute(self, request):
        if request.headers.get("X-Token") != "secret":
            return Response(401, body=b"no token")

class Holder:
    inside = TokenCheck

class Eager:
    def execute(self):
        pass

class Lazy:
    pass

class Picky:
    def __init__(self, what):
        pass

async def later(request):
    return None

def at_once(request):
    return None

def made():
    return TokenCheck()

def chain():
    return [at_once, *default_middlewares()]

def hollow():
    return []

def odd():
    return [at_once, 7]

def breaks():
    raise ValueError("no\\nway")

check = TokenCheck()
listed = [at_once]
"""


class Loading(ModulesCase):
    """With a module of stages."""

    def setUp(self) -> None:
        """Write it."""
        super().setUp()
        self.write("stages.py", MODULE)

    def names(self, *names: str) -> list[str]:
        """The chain that they make, by its stages' names."""
        chain = load_middlewares([f"stages.{name}" for name in names])
        assert chain is not None
        return [getattr(stage, "__name__", type(stage).__name__) for stage in chain]

    def test_none(self) -> None:
        """Without the option nobody touches the default chain."""
        self.assertIs(load_middlewares([]), None)

    def test_place(self) -> None:
        """In their order, behind the validation of headers and before the router is asked anything."""
        default = [type(stage).__name__ for stage in default_middlewares()]
        self.assertEqual(default[:2], ["ValidateHeaders", "LookupDomain"])
        self.assertEqual(
            self.names("later", "TokenCheck", "at_once"),
            ["ValidateHeaders", "later", "TokenCheck", "at_once", *default[1:]],
        )

    def test_what_a_name_can_be(self) -> None:
        """A class, an instance, a function that makes one, a function of the request; also inside a class."""
        for name, stage in {
            "TokenCheck": "TokenCheck",
            "check": "TokenCheck",
            "made": "TokenCheck",
            "Holder.inside": "TokenCheck",
            "at_once": "at_once",
            "later": "later",
        }.items():
            self.assertEqual(self.names(name)[1], stage)

    def test_whole_chain(self) -> None:
        """A list, or a function that returns one, takes the place of the default chain."""
        self.assertEqual(self.names("listed"), ["at_once"])
        self.assertEqual(self.names("chain")[:2], ["at_once", "ValidateHeaders"])
        chain = load_middlewares(["vegurtx.default_middlewares"])
        assert chain is not None
        self.assertEqual(list(map(type, chain)), list(map(type, default_middlewares())))

    def test_misuse(self) -> None:
        """One line that names it."""
        text = "is not a middleware: it has no method execute(request), and is no function of a request"
        for names, line in (
            (["nowhere.S"], "middleware 'nowhere.S': there is no module 'nowhere'"),
            (["stages.Nope"], "middleware 'stages.Nope': module 'stages' has no 'Nope'"),
            (["stage"], "middleware 'stage': not a dotted name such as mymodule.MyMiddleware"),
            (["stages.Lazy"], f"middleware 'stages.Lazy' {text}"),
            (["stages.odd"], f"middleware 'stages.odd[1]' {text}"),
            (
                ["stages.Eager"],
                "middleware 'stages.Eager' is not a middleware: its method execute does not take one argument, "
                "the request",
            ),
            (["stages.hollow"], "middleware 'stages.hollow' is an empty chain"),
            (
                ["stages.check", "stages.chain"],
                "middleware 'stages.chain' is a whole chain; it cannot be given together with others",
            ),
        ):
            self.assertEqual(str(self.assertRaises(LoadError, load_middlewares, names)), line)
        line = str(self.assertRaises(LoadError, load_middlewares, ["stages.Picky"]))
        self.assertTrue(line.startswith("middleware 'stages.Picky': calling it failed: TypeError: "), line)
        line = str(self.assertRaises(LoadError, load_middlewares, ["stages.breaks"]))
        self.assertIn("calling it failed: ValueError: no way", line)
        self.assertNotIn("\n", line)

    def test_option(self) -> None:
        """It can be given several times; what is wrong ends the program."""
        options: Any = Options()
        router = ["--router", "examples.toy_router.ToyRouter"]
        self.patch_path()
        options.parseOptions([*router, "--middleware", "stages.at_once", "--middleware", "stages.TokenCheck"])
        self.assertEqual(type(options.middlewares[2]).__name__, "TokenCheck")
        outcome = outcome_of(lambda: Options().parseOptions([*router, "--middleware", "nowhere.S"]))
        self.assertEqual(outcome, (1, "", "vegurtx: middleware 'nowhere.S': there is no module 'nowhere'\n"))

    def patch_path(self) -> None:
        """Let the examples be found from here."""
        import sys

        sys.path.insert(0, str(ROOT))

    def test_program(self) -> None:
        """The stage answers before the router is asked."""
        proxy = ProxyProcess(
            "examples.toy_router.ToyRouter",
            ["--middleware", "stages.TokenCheck"],
            path=[str(ROOT)],
            cwd=str(self.folder),
        )
        self.addCleanup(proxy.kill)
        with BlockingClient(proxy.port) as client:
            self.assertEqual(client.request("GET", "/").status, 401)
        with BlockingClient(proxy.port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Token: secret\r\n\r\n")
            self.assertNotEqual(client.receive_response().status, 401)
        proxy.stop()
