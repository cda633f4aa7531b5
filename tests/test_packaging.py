"""What is shipped: a wheel whose plugin twistd finds, and nothing that hides it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path
from typing import ClassVar

import pytest
from twisted.trial.unittest import SynchronousTestCase

import vegurtx

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
#: of the admin page's files
PAGE = (".html", ".css", ".js", ".svg")
#: seconds
PATIENCE = 120
SHIPPED = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "vegurtx", "twisted")


def run(*command: object, cwd: Path) -> str:
    """Run `command`; its standard output. Both outputs are in the failure's message."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_sources(folder: Path) -> None:
    """What a wheel is built from; building leaves things behind, which are not for the checkout."""
    for name in SHIPPED:
        for path in [ROOT / name, *(ROOT / name).rglob("*")]:
            copy = folder / path.relative_to(ROOT)
            if path.is_file() and "__pycache__" not in path.parts:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())


class Wheel(SynchronousTestCase):
    """The wheel is built once, with this environment's setuptools."""

    folder: ClassVar[Path]
    wheel: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        """Build it."""
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.folder = Path(made.name)
        sources = cls.folder / "sources"
        copy_sources(sources)
        # A stale one of the checkout's, as any start of twistd leaves it.
        (sources / "twisted/plugins/dropin.cache").write_bytes(b"stale")
        pip = (
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
        )
        run(*pip, "--wheel-dir", cls.folder, sources, cwd=cls.folder)
        (cls.wheel,) = cls.folder.glob("vegurtx-*.whl")

    def test_content(self) -> None:
        """All modules, the mark of a typed package and the plugin; no tests, no cache, nothing of Twisted's."""
        with zipfile.ZipFile(self.wheel) as wheel:
            names = {name for name in wheel.namelist() if ".dist-info/" not in name}
            metadata = wheel.read(f"vegurtx-{vegurtx.__version__}.dist-info/METADATA").decode("utf-8")
        modules = {str(path.relative_to(ROOT)) for path in (ROOT / "vegurtx").rglob("*.py")}
        page = ROOT / "vegurtx/ops/admin/page"
        files = {str(path.relative_to(ROOT)) for path in page.iterdir() if path.suffix in PAGE}
        self.assertIn("vegurtx/ops/admin/page/page.html", files)
        self.assertEqual(names, {*modules, *files, "vegurtx/py.typed", "twisted/plugins/vegurtx_plugin.py"})
        for line in (
            "Requires-Python: >=3.11",
            "Requires-Dist: pydantic>=2.10",
            "Requires-Dist: zope.interface",
        ):
            self.assertIn(f"\n{line}\n", metadata)
        self.assertRegex(metadata, r"(?i)\nRequires-Dist: twisted\[tls\]>=26\.10\n")
        self.assertRegex(metadata, r"\nRequires-Dist: uvloop; .*CPython.*win32")

    def test_plugin_is_found(self) -> None:
        """In an environment where the wheel is installed, twistd has the command, and it works."""
        home = self.folder / "environment"
        venv.create(home, with_pip=False, symlinks=True)
        python = home / "bin/python"
        site = Path(
            run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip()
        )
        run(
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            self.wheel,
            cwd=home,
        )
        # Its requirements: this environment's packages, behind its own.
        (site / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
        twistd = (
            python,
            "-c",
            "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()",
        )
        where = run(python, "-c", "import vegurtx; print(vegurtx.__file__)", cwd=home).strip()
        self.assertEqual(Path(where).resolve(), (site / "vegurtx/__init__.py").resolve())
        self.assertRegex(run(*twistd, "--help", cwd=home), r"\n +vegur +An HTTP proxy")
        self.assertIn("--idle-timeout=", run(*twistd, "vegur", "--help", cwd=home))
        self.assertEqual(
            run(python, "-m", "vegurtx", "--version", cwd=home), f"vegurtx {vegurtx.__version__}\n"
        )


class Checkout(SynchronousTestCase):
    """What the checkout must not have."""

    def test_plugin_folder(self) -> None:
        """An ``__init__.py`` there would hide Twisted's own plugins."""
        for folder in ("twisted", "twisted/plugins"):
            self.assertFalse((ROOT / folder / "__init__.py").exists())

    def test_cache_is_ignored(self) -> None:
        """Twisted's cache of plugins is nobody's source."""
        self.assertIn("dropin.cache", (ROOT / ".gitignore").read_text("utf-8").splitlines())
        self.assertIn("global-exclude dropin.cache", (ROOT / "MANIFEST.in").read_text("utf-8"))
