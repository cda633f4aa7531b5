"""Packaging: the `vegurtx` package, and its plugin inside Twisted's own `twisted.plugins`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "([^"]+)"$', (HERE / "vegurtx/__init__.py").read_text("utf-8"), re.MULTILINE
)
assert VERSION is not None

TEST = [
    "h11",
    "httptools",
    "hypothesis",
    "jsonschema",
    "pytest",
    "pytest-xdist",
    "setuptools>=70.1",
    "treq",
    "websockets",
]
DEV = [*TEST, "import-linter", "mypy", "mypy-zope", "ruff", "types-PyYAML"]

setup(
    name="vegurtx",
    version=VERSION[1],
    description="An HTTP proxy that you program in Python, on Twisted",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.11",
    # twisted/plugins must have no __init__.py: Twisted joins such folders to its own package.
    packages=[*find_packages(include=["vegurtx", "vegurtx.*"]), "twisted.plugins"],
    package_data={"vegurtx": ["py.typed"]},
    exclude_package_data={"twisted.plugins": ["dropin.cache"]},
    install_requires=[
        "Twisted[tls]>=26.10",
        "zope.interface",
        "pydantic>=2.10",
        "PyYAML",
        "prometheus-client",
        "prometheus-client",
        'uvloop; platform_python_implementation == "CPython" and sys_platform != "win32"',
    ],
    extras_require={"test": TEST, "dev": DEV},
    zip_safe=False,
    classifiers=[
        "Framework :: Twisted",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Topic :: Internet :: Proxy Servers",
        "Topic :: Internet :: WWW/HTTP",
        "Typing :: Typed",
    ],
)
