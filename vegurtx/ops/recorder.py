"""The observer of a program that has an admin API: access log, metrics, and the last errors."""

from __future__ import annotations

from typing import Any

from vegurtx.ops.access_log.log import AccessLog
from vegurtx.ops.ledger import Ledger
from vegurtx.ops.live.recent import RecentErrors
from vegurtx.ops.metrics.traffic import Traffic


class Recorder(Ledger):
    """Tells an `AccessLog` and a `Traffic`, and notes what goes wrong.

    :param log: the access log; `None`: there is none.
    :param traffic: the metrics' numbers.
    :param recent: the last errors; without it, new ones.
    """

    def __init__(self, log: AccessLog | None, traffic: Traffic, recent: RecentErrors | None = None) -> None:
        super().__init__(log, traffic)
        #: for the admin page
        self.recent = RecentErrors() if recent is None else recent

    def otherwise(self, request: Any, status: str, reason: Any, domain_group: Any, service: Any) -> None:
        """See `Ledger`: whatever has gone wrong comes here."""
        super().otherwise(request, status, reason, domain_group, service)
        if status == "error":
            self.recent.note(request, reason, domain_group, service)

    def rejected(self, error: Any, connection: Any) -> None:
        """See `IObserver`."""
        super().rejected(error, connection)
        self.recent.rejected(error)
