"""Loading the file again while the balancer runs: a file that cannot be used changes nothing, and says why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger

from vegurtx.balance.config import Config, ConfigError, load
from vegurtx.balance.router import Balancer

_log = Logger()

#: bytes of a file that are read; `load` says that a file is too long before that
_MOST = 4 * 1024 * 1024

#: what tells one version of a file from another: inode, time of change, size
_Version = tuple[int, int, int] | None


class Reloader:
    """Keeps a balancer to its file.

    :param balancer: what is reloaded.
    :param path: the file.
    :param reactor: for `watch`.
    :param overrides: settings that win over the file's, as for `vegurtx.balance.config.load`.
    """

    def __init__(
        self,
        balancer: Balancer,
        path: str | os.PathLike[str],
        reactor: Any,
        *,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self._balancer = balancer
        self._path = os.fspath(path)
        self._reactor = reactor
        self._overrides = overrides
        self._version = self._look()
        self._call: Any = None
        self._interval = 0.0
        #: how often it was loaded, and how often it could not be
        self.reloads = 0
        self.failures = 0
        #: seconds of the reactor's time at which it was last loaded; ``None``: not since the start
        self.last_success: float | None = None
        #: what was wrong with the file the last time; empty: nothing
        self.problems: list[str] = []

    def reload(self) -> list[str]:
        """Read the file, and put it in force. Returns the problems, one line each; then the old one stays in force."""
        self._version = self._look()
        problems = self.problems = self._try()
        if problems:
            self.failures += 1
            for problem in problems:
                _log.error("{problem}", problem=problem)
            _log.error("{path}: the configuration in force stays as it was", path=self._path)
        else:
            self.reloads += 1
            self.last_success = self._reactor.seconds()
            _log.info("{path}: loaded", path=self._path)
        return problems

    def _try(self) -> list[str]:
        try:
            config = read(self._path, overrides=self._overrides)
            settings = self._balancer.config.settings
            self._balancer.reload(config)
        except ConfigError as error:
            return list(error.problems)
        except ValueError as error:
            return [f"{self._path}: {error}"]
        except Exception as error:  # a strategy of one's own may raise anything
            _log.failure("{path} cannot be put in force", path=self._path)
            return [f"{self._path}: {type(error).__name__}: {error}"]
        if config.settings != settings:
            _log.warn("{path}: changed settings come into force with the next start", path=self._path)
        return []

    # -- watching the file -----------------------------------------------------------------------------------------

    def watch(self, interval: float) -> None:
        """Look at the file every `interval` seconds, and reload it when it has changed (or been replaced)."""
        self.stop()
        self._interval = interval
        self._call = self._reactor.callLater(interval, self._watch)

    def stop(self) -> None:
        """Do not look at the file any more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _watch(self) -> None:
        self._call = self._reactor.callLater(self._interval, self._watch)
        version = self._look()
        # a file that is gone for a moment is being replaced
        if version is not None and version != self._version:
            self.reload()

    def _look(self) -> _Version:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def read(path: str | os.PathLike[str], **options: Any) -> Config:
    """The configuration in the file at `path`; `options` as for `vegurtx.balance.config.load`.

    :raises ConfigError: it cannot be read, or not be used.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            raw = file.read(_MOST)
        text = raw.decode("utf-8", "strict" if len(raw) < _MOST else "ignore")
    except OSError as error:
        raise ConfigError([f"{name}: cannot be read: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{name}: is no UTF-8 text (byte {error.start})"]) from None
    return load(text, name, **options)
