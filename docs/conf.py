"""How Sphinx makes a site of these pages: `make docs`. All pages are Markdown, and read well without Sphinx, too."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import vegurtx  # noqa: E402 - the checkout's, whichever is installed

project = "vegurtx"
version = release = vegurtx.__version__
language = "en"
root_doc = "README"
source_suffix = {".md": "markdown"}
exclude_patterns = ["_ext", "_templates"]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "docstrings",
    "page_contents",
    "pages_outside",
    "zope_interfaces",
]

myst_enable_extensions = ["deflist"]
# Links to a heading of another page, as GitHub names headings.
myst_heading_anchors = 4

# Docstrings have names in single backquotes. Most are parameters, which are no targets.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autoclass_content = "class"

# No network is needed, so none is used: `make docs-linkcheck` looks at links to elsewhere.
html_theme = "furo"
html_title = f"vegurtx {release}"
html_extra_path = ["config.schema.json"]
html_additional_pages = {"index": "to_root.html"}
templates_path = ["_templates"]
html_show_copyright = False

linkcheck_timeout = 20
linkcheck_workers = 2
# In examples, or of the reader's own machine.
linkcheck_ignore = [r"https?://(127\.0\.0\.1|localhost|[^/]*\.(localhost|example|internal))"]

# Every name that a docstring refers to is a target, but for these.
nitpicky = True
nitpick_ignore = [("py:exc", "zope.interface.Invalid"), ("py:exc", "CertificateError")]
