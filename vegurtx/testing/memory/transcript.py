"""What happened, line by line: the router's callbacks between the first lines of what the peers said and heard."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from vegurtx.errors import RouteError
from vegurtx.interfaces import IRouter
from vegurtx.testing.router import Call

#: characters of a line
_WIDTH = 160
_MESSAGE = re.compile(rb"[\x21-\x7e]+ [\x21-\x7e]+ HTTP/1\.[01]|HTTP/1\.[01] [\x20-\x7e]+")


def first_line(data: bytes) -> str:
    """The first line of a message that begins with `data`; of anything else, how much it is."""
    line = data.partition(b"\r\n")[0]
    if _MESSAGE.fullmatch(line) is None:
        return f"{len(data)} byte" + ("" if len(data) == 1 else "s")
    return _cut(line.decode("ascii").rstrip())


def difference(expected: str, lines: list[str]) -> str:
    """How `lines` differ from the ones of the text `expected` (its indentation aside); empty where they do not."""
    wanted = textwrap.dedent(expected).strip().splitlines()
    wanted = [line.rstrip() for line in wanted]
    if wanted == lines:
        return ""
    return "\n".join(line for line in difflib.ndiff(wanted, lines) if not line.startswith("?"))


@implementer(IRouter)
class RecordedRouter:
    """A router between the proxy and the author's: it writes down every callback, and changes nothing.

    :param router: the author's.
    :param calls: the list that gets a `Call` for each callback, when it is called.
    :param note: takes the transcript's line for each, with what it raised.
    """

    def __init__(self, router: Any, calls: list[Call], note: Callable[[str], None]) -> None:
        self.router = router
        self._calls = calls
        self._note = note

    def _record(
        self, name: str, shown: tuple[Any, ...], request: Any, state: Any, callback: Any, *all: Any
    ) -> Any:
        self._calls.append(Call(name, shown, request, state))
        # accepted_at is left out: it is the same in every line
        line = f"{name}({', '.join(map(repr, () if name == 'init' else shown))})"
        try:
            answer = callback(*all)
        except RouteError as error:
            self._note(_cut(f"{line} raises RouteError({error.reason!r})"))
            raise
        except Exception as error:
            self._note(_cut(f"{line} raises {error!r}"))
            raise
        self._note(_cut(line))
        return answer

    def init(self, accepted_at: float, request: Any) -> Any:
        """See `IRouter`, as for all that follow."""
        return self._record("init", (accepted_at,), request, None, self.router.init, accepted_at, request)

    def lookup_domain_name(self, domain: str, request: Any, state: Any) -> Any:
        """See `IRouter`."""
        ask = self.router.lookup_domain_name
        return self._record("lookup_domain_name", (domain,), request, state, ask, domain, request, state)

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """See `IRouter`."""
        ask = self.router.checkout_service
        return self._record(
            "checkout_service", (domain_group,), request, state, ask, domain_group, request, state
        )

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """See `IRouter`."""
        ask = self.router.service_backend
        return self._record("service_backend", (service,), request, state, ask, service, request, state)

    def checkin_service(
        self, domain_group: Any, service: Any, phase: str, service_state: Any, request: Any, state: Any
    ) -> Any:
        """See `IRouter`."""
        shown = (domain_group, service, phase, service_state)
        tell = self.router.checkin_service
        return self._record("checkin_service", shown, request, state, tell, *shown, request, state)

    def feature(self, name: str, request: Any, state: Any) -> Any:
        """See `IRouter`."""
        return self._record("feature", (name,), request, state, self.router.feature, name, request, state)

    def additional_headers(self, direction: str, log: Any, request: Any, state: Any) -> Any:
        """See `IRouter`."""
        ask = self.router.additional_headers
        return self._record(
            "additional_headers", (direction,), request, state, ask, direction, log, request, state
        )

    def error_page(self, reason: Any, domain_group: Any, request: Any, state: Any) -> Any:
        """See `IRouter`."""
        shown = (reason, domain_group)
        return self._record(
            "error_page", shown, request, state, self.router.error_page, *shown, request, state
        )

    def terminate(self, status: str, request: Any, state: Any) -> Any:
        """See `IRouter`."""
        tell = self.router.terminate
        return self._record("terminate", (status,), request, state, tell, status, request, state)


def unbalanced(calls: list[Call]) -> list[str]:
    """What is wrong with the accounting of the requests in `calls`: a line for each fault.

    Every request ends in one final ``checkin_service`` and, behind it, one ``terminate``.
    """
    requests: dict[int, list[Call]] = {}
    for call in calls:
        requests.setdefault(id(call.request), []).append(call)
    faults: list[str] = []
    for own in requests.values():
        names = [call.name for call in own]
        finals = [
            call
            for call in own
            if call.name == "checkin_service" and call.arguments[2] not in ("connecting", "retrying")
        ]
        if "terminate" not in names:
            faults.append(f"{own[0].request} has not ended; the router's last call was {names[-1]}")
        elif len(finals) != 1 or names[-1] != "terminate" or names.count("terminate") != 1:
            faults.append(f"{own[0].request} ended with {names}, final check-ins: {finals}")
    return faults


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."
