"""vegurtx: an HTTP proxy that you program in Python.

The public names, all importable from here. They are loaded on first use (PEP 562): ``vegurtx.wire`` stays free of
Twisted, and ``twistd`` can pick its reactor before anything imports one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vegurtx.errors import RouteError as RouteError
    from vegurtx.interfaces import IMiddleware as IMiddleware
    from vegurtx.interfaces import IRouter as IRouter
    from vegurtx.message import Backend as Backend
    from vegurtx.message import BackendTLS as BackendTLS
    from vegurtx.message import ErrorPage as ErrorPage
    from vegurtx.message import Headers as Headers
    from vegurtx.message import Redirect as Redirect
    from vegurtx.message import Response as Response
    from vegurtx.middleware import default_middlewares as default_middlewares
    from vegurtx.proxy.factory import ProxyFactory as ProxyFactory
    from vegurtx.router import Router as Router
    from vegurtx.service import start_http as start_http
    from vegurtx.service import start_https as start_https
    from vegurtx.service import start_proxy as start_proxy
    from vegurtx.settings import Settings as Settings
    from vegurtx.settings import SettingsError as SettingsError

__version__ = "0.1.0"

_HOME = {
    "Backend": "vegurtx.message",
    "BackendTLS": "vegurtx.message",
    "ErrorPage": "vegurtx.message",
    "Headers": "vegurtx.message",
    "IMiddleware": "vegurtx.interfaces",
    "IRouter": "vegurtx.interfaces",
    "ProxyFactory": "vegurtx.proxy.factory",
    "Redirect": "vegurtx.message",
    "Response": "vegurtx.message",
    "RouteError": "vegurtx.errors",
    "Router": "vegurtx.router",
    "Settings": "vegurtx.settings",
    "SettingsError": "vegurtx.settings",
    "default_middlewares": "vegurtx.middleware",
    "start_http": "vegurtx.service",
    "start_https": "vegurtx.service",
    "start_proxy": "vegurtx.service",
}

__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> object:
    """Load a public name from the module where it lives; raises `AttributeError` for any other name."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'vegurtx' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
