"""``.. autointerface:: vegurtx.IRouter``: an interface of zope.interface with its methods, from their docstrings.

autodoc does not know them: an interface is no class, and its methods are no functions.
"""

from __future__ import annotations

from importlib import import_module
from inspect import cleandoc
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from zope.interface.interface import InterfaceClass, Method


def described(name: str, interface: InterfaceClass) -> list[str]:
    """The lines of reStructuredText that say what `interface`, found as `name`, asks for."""
    lines = [f".. py:class:: {name}", "   :no-typesetting:", ""]
    lines += [f"**interface** ``{name}``", "", *cleandoc(interface.__doc__ or "").splitlines(), ""]
    for _, method in interface.namesAndDescriptions():
        if isinstance(method, Method):
            lines += [f".. py:method:: {name}.{method.getName()}{method.getSignatureString()}", ""]
            lines += [f"   {line}".rstrip() for line in cleandoc(method.__doc__ or "").splitlines()]
            lines.append("")
    return lines


class AutoInterface(SphinxDirective):
    """The directive."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return what stands in its place."""
        name = self.arguments[0]
        module, _, attribute = name.rpartition(".")
        interface = getattr(import_module(module), attribute)
        container = nodes.container()
        source, line = self.get_source_info()
        text = described(name, interface)
        self.state.nested_parse(
            StringList(text, items=[(source, line)] * len(text)), self.content_offset, container
        )
        return container.children


def setup(app: Any) -> dict[str, Any]:
    """Sphinx asks for it."""
    app.add_directive("autointerface", AutoInterface)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
