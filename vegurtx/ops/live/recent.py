"""The last errors, for people who look. Plain requests never come here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from vegurtx.errors import REJECTIONS, UNKNOWN, Reason
from vegurtx.ops.access_log.codes import DESCRIPTIONS, ending
from vegurtx.ops.access_log.quoting import name_of

#: errors that are kept
KEPT = 100
#: characters of a path, of a host, and of a service's name
LONGEST = 200
#: characters of a method
LONGEST_METHOD = 20


class RecentErrors:
    """The last `KEPT` errors.

    What comes from a request stays as it came (latin-1 text), cut short: whoever shows it escapes it. A path is kept
    without its query, which may hold what is nobody's business.

    :param wall: seconds since the epoch; a `ProxyFactory` has it under this name.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._errors: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def note(self, request: Any, reason: Reason, domain_group: Any, service: Any) -> None:
        """A request has gone wrong. Arguments as of `vegurtx.interfaces.IObserver.ended`.

        One that never reached a service goes by its domain group's name, or by that of the group's service.
        """
        how = ending(request, reason)
        self._errors.append(
            {
                "time": self._wall(),
                "code": how.code,
                "description": how.description,
                "reason": how.label,
                "method": request.method[:LONGEST_METHOD],
                "path": request.path[:LONGEST],
                "host": request.host[:LONGEST],
                "service": (name_of(service) or name_of(domain_group))[:LONGEST],
                "status": how.status,
            }
        )

    def rejected(self, error: Any) -> None:
        """What was no request was answered by the proxy alone. See `vegurtx.interfaces.IObserver.rejected`."""
        what = error.what if error.what in REJECTIONS else "other"
        line = REJECTIONS.get(what, UNKNOWN)
        self._errors.append(
            {
                "time": self._wall(),
                "code": line.code,
                "description": DESCRIPTIONS.get(line.code, line.meaning),
                "reason": what,
                "method": "",
                "path": "",
                "host": "",
                "service": "",
                "status": error.status,
            }
        )

    def newest_first(self) -> list[dict[str, Any]]:
        """All of them; of each its time (seconds since the epoch), Heroku's code (empty where none fits) and what that
        means, the reason as one word, what was asked for, the service, and the status that the client got.
        """
        return list(reversed(self._errors))
