"""A folder in which a page is read: an empty one, or a fresh checkout; and the environment that goes with it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
#: what a reader of the README sees of a checkout
PARTS = ("Makefile", "setup.py", "pyproject.toml", "README.md", "vegurtx", "twisted", "examples", "docs")
#: the Makefile's marks of an environment that is made
_MARKS = (".made", ".runs", ".develops")


def copy_checkout(folder: Path) -> None:
    """Put a checkout into `folder`, with a ready environment in the place where ``make`` has its own.

    ``make`` would get its packages from an index; here its Python is the one that runs the tests.
    """
    ignore = shutil.ignore_patterns("__pycache__", "dropin.cache")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=ignore)
        else:
            shutil.copy2(source, folder / part)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    (programs / "python").chmod(0o755)
    for mark in _MARKS:
        (folder / ".venv" / mark).touch()


def environment(reactor: str, beside: Path) -> Mapping[str, str]:
    """The environment for programs of a page: this Python's commands, and the package of the checkout.

    :param reactor: with ``"epoll"`` uvloop is not to be had, as where it is not installed.
    :param beside: an empty folder for what makes it so.
    """
    path = [str(ROOT)]
    if reactor == "epoll":
        (beside / "uvloop.py").write_text('raise ImportError("it is not installed here")\n', "utf-8")
        path.insert(0, str(beside))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("VEGURTX_")},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
