"""``--router``: what a dotted name can mean, and what is said where it means nothing usable."""

from __future__ import annotations

import sys

from tests.cli.modules_case import ModulesCase
from vegurtx.cli.dotted import LoadError
from vegurtx.cli.router import load_router

MODULE = """
from vegurtx import Backend, IRouter, Router

class Good(Router):
    def checkout_service(self, domain_group, request, state):
        return 1
    def service_backend(self, service, request, state):
        return Backend("127.0.0.1", 1)

class Holder:
    inside = Good

class Half(Router):
    def checkout_service(self, domain_group, request, state):
        return 1

class Picky(Good):
    def __init__(self, what):
        pass

class Twisted(Good):
    def init(self):
        pass

class Undeclared:
    pass
for name in IRouter:
    setattr(Undeclared, name, getattr(Good, name))

class Bare:
    def init(self, accepted_at, request):
        pass

def make():
    return Good()

def make_none():
    return None

good = Good()
"""


class Loading(ModulesCase):
    """The modules are in the current directory, which is not in the search path."""

    def setUp(self) -> None:
        """A folder with a package."""
        super().setUp()
        (self.folder / "loadable").mkdir()
        self.write("loadable/__init__.py", "")
        self.write("loadable/routers.py", MODULE)

    def assert_problem(self, name: str, *parts: str) -> None:
        """`name` cannot be loaded; the line begins with the first of `parts` and has the others."""
        line = str(self.assertRaises(LoadError, load_router, name))
        self.assertNotIn("\n", line)
        self.assertTrue(line.startswith(parts[0]), line)
        for part in parts[1:]:
            self.assertIn(part, line)

    def test_what_a_name_can_be(self) -> None:
        """A class, a function, an instance; also inside a class."""
        for name in ("Good", "make", "good", "Holder.inside"):
            self.assertEqual(type(load_router(f"loadable.routers.{name}")).__name__, "Good")

    def test_instance_is_itself(self) -> None:
        """An instance is not copied."""
        loaded = load_router("loadable.routers.good")
        self.assertIs(loaded, sys.modules["loadable.routers"].good)

    def test_not_dotted(self) -> None:
        """A name of one part, or of none."""
        for name in ("router", "", "a..b", "a.b:c", "a b.c"):
            self.assert_problem(name, f"router {name!r}: not a dotted name such as mymodule.MyRouter")

    def test_missing_module(self) -> None:
        """The part that is missing is named."""
        self.assert_problem("nowhere.R", "router 'nowhere.R': there is no module 'nowhere'")
        self.assert_problem("loadable.nope.R", "router 'loadable.nope.R': module 'loadable' has no 'nope'")

    def test_missing_name(self) -> None:
        """So is a missing name."""
        name = "loadable.routers.Nope"
        self.assert_problem(name, f"router '{name}': module 'loadable.routers' has no 'Nope'")
        name = "loadable.routers.Holder.nope"
        self.assert_problem(name, f"router '{name}': object 'loadable.routers.Holder' has no 'nope'")

    def test_import_error_inside(self) -> None:
        """A module that imports what is not there is not called missing itself."""
        self.write("imports.py", "import nowhere_to_be_found\n")
        self.assert_problem(
            "imports.R",
            "router 'imports.R': importing 'imports' failed: ModuleNotFoundError: No module named 'nowhere_to",
            "imports.py, line 1)",
        )

    def test_error_inside(self) -> None:
        """Any error is named with its place, in one line."""
        self.write("breaks.py", "x = 1\nraise ValueError('a\\nb')\n")
        self.assert_problem(
            "breaks.R", "router 'breaks.R': importing 'breaks' failed: ValueError: a b", "line 2)"
        )
        self.write("wrong.py", "x = 1\n\ndef f(:\n")
        self.assert_problem(
            "wrong.R", "router 'wrong.R': importing 'wrong' failed: SyntaxError", "wrong.py, line 3"
        )
        self.write("leaves.py", "import sys\nsys.exit(3)\n")
        self.assert_problem(
            "leaves.R", "router 'leaves.R': importing 'leaves' failed: SystemExit: 3", "leaves.py, line 2"
        )

    def test_cannot_be_made(self) -> None:
        """A class that wants arguments."""
        name = "loadable.routers.Picky"
        self.assert_problem(name, f"router '{name}': calling it failed: TypeError: ", "'what'")

    def test_not_a_router(self) -> None:
        """What is missing is named."""
        name = "loadable.routers.Bare"
        self.assert_problem(
            name,
            f"router '{name}' does not provide IRouter: it lacks lookup_domain_name, checkout_service, "
            "service_backend, checkin_service, feature, additional_headers, error_page, terminate",
        )
        self.assert_problem(
            "loadable.routers.make_none", "router 'loadable.routers.make_none' does not provide"
        )

    def test_wrong_signature(self) -> None:
        """A callback that cannot be called as it will be."""
        name = "loadable.routers.Twisted"
        self.assert_problem(name, f"router '{name}' does not provide IRouter: init: ", "arguments")

    def test_not_declared(self) -> None:
        """All methods, but nobody has said so."""
        name = "loadable.routers.Undeclared"
        self.assert_problem(
            name, f"router '{name}' does not provide IRouter: ", "@implementer(vegurtx.IRouter)"
        )

    def test_half_a_router(self) -> None:
        """A `Router` without what only the user can say."""
        name = "loadable.routers.Half"
        self.assert_problem(name, f"router '{name}' must define service_backend")
        name = "vegurtx.Router"
        self.assert_problem(name, f"router '{name}' must define checkout_service and service_backend")
