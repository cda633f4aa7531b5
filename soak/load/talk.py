"""One conversation with the proxy: its connection, its requests, and what is found about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

from soak.load.connection import Broken, Connection, Malformed, Response, Where, connected
from soak.load.windows import Windows
from soak.outcome import BROKEN, Entry, Finding, Outcome, ends
from soak.plan import Planned

#: what a plain request must come to
GOOD = (ends(200),)
#: codes of the access log for requests whose client or whose process was killed on the way
ANY_CODE = frozenset({"", "H10", "H12", "H13", "H15", "H18", "H19", "H21", "H24", "H27", "H28"})


class ClosedBetween(Exception):
    """A worker that drains, or was killed, has closed the connection between two requests; the second one may be made
    again."""


class Shared(NamedTuple):
    """What all conversations have in common."""

    where: Where
    windows: Windows
    counts: Counter[str]
    entry: Callable[[Entry], None]
    """Takes what the access log must say of a request."""


class Talk:
    """See the module's text.

    :param plan: what is planned.
    :param shared: what others have, too.
    """

    def __init__(self, plan: Planned, shared: Shared) -> None:
        self.plan = plan
        self.shared = shared
        self.random = plan.random
        self.connection: Connection | None = None
        self.fresh = True
        """Whether the connection has not had a response yet."""
        self._answered = 0.0
        """When it has had its last one."""
        self._requests = 0
        self._id = ""
        self._began = 0.0

    async def connect(self, receive_buffer: int = 0) -> Connection:
        """Connect anew; once more, where a worker was killed inside the TLS handshake.

        :raises Finding: nobody listens.
        """
        self.leave()
        while self.connection is None:
            self._began = monotonic()
            try:
                self.connection = await connected(self.shared.where, self.plan.tls, receive_buffer)
            except OSError as problem:
                if not (self.plan.tls and self.excused(["worker-kill"])):
                    raise Finding(f"no connection: {problem!r}") from None
                self.count("excused: handshakes broken off")
        self.fresh = True
        return self.connection

    def leave(self) -> None:
        """Close the connection, if there is one."""
        if self.connection is not None and not self.connection.closed:
            self.connection.close()
        self.connection = None

    def count(self, what: str, by: int = 1) -> None:
        """Count something for the report."""
        self.shared.counts[what] += by

    # -- requests --------------------------------------------------------------------------------------------------

    def next_id(self) -> str:
        """The next request's id, which the access log will have."""
        self._requests += 1
        self._id = f"soak-{self.plan.number:08d}-{self._requests:04d}-{self.plan.key():010x}"
        self._began = monotonic()
        return self._id

    def head(self, method: str, target: str, *fields: tuple[str, object], version: str = "1.1") -> bytes:
        """Return the head of a new request."""
        self.count(f"requests {self.plan.kind}")
        every = ("Host", "soak.example"), ("X-Request-Id", self.next_id()), *fields
        lines = "".join(f"{name}: {value}\r\n" for name, value in every)
        return f"{method} {target} HTTP/{version}\r\n{lines}\r\n".encode("latin-1")

    @property
    def id(self) -> str:
        """Of the request that was made last."""
        return self._id

    def excused(self, names: Iterable[str], since: float | None = None) -> bool:
        """Whether one of these has gone on since the last request began, or since another moment."""
        since = self._began if since is None else since
        return any(self.shared.windows.touch(name, since) for name in names)

    def log_must_say(
        self,
        codes: Iterable[str],
        statuses: Iterable[int] = (),
        lines: tuple[int, int] = (1, 1),
        id: str | None = None,
    ) -> None:
        """Tell what the access log must have of the last request, or of the one with this id."""
        if self.excused(["worker-kill"]):
            codes, statuses, lines = {*codes, *ANY_CODE}, (), (0, lines[1])
        named = id or self._id, self.plan.number, self.plan.kind
        entry = Entry(*named, frozenset(codes), frozenset(statuses), lines, monotonic())
        self.shared.entry(entry)

    async def ask(
        self,
        method: str,
        target: str,
        key: int | None,
        allowed: Iterable[Outcome] = GOOD,
        *fields: tuple[str, object],
        version: str = "1.1",
        **options: Any,
    ) -> Response | None:
        """Make a request without a body and take its response; see `answer`.

        It is made again where its connection was closed meanwhile, as a client may (RFC 9112, section 9.3.1).
        """
        while True:
            connection = self.connection or await self.connect()
            # Where the proxy is gone, reading tells how.
            with suppress(OSError):
                await connection.send(self.head(method, target, *fields, version=version))
            try:
                return await self.answer(method, key, allowed, **options)
            except ClosedBetween:
                continue  # the next connection is fresh

    # -- what came of it -------------------------------------------------------------------------------------------

    async def answer(
        self,
        method: str,
        key: int | None,
        allowed: Iterable[Outcome] = GOOD,
        *,
        id: str | None = None,
        pause: float = 0.0,
        excuses: Iterable[str] = (),
    ) -> Response | None:
        """Read the response to the last request (or to the one with this id), and judge how it ends.

        :param key: what the body is compared with; `None`: it is kept as it is.
        :param allowed: what may come of it.
        :param excuses: what excuses a response that breaks off; a worker that is killed always does.
        :returns: the whole response; `None`: it broke off, and that was allowed.
        :raises Finding: nothing of this is allowed.
        :raises ClosedBetween: not a byte came, on a connection that has had a response, and a worker has ended.
        """
        assert self.connection is not None
        id = id or self._id
        allowed = tuple(allowed)
        try:
            response = await self.connection.response(method, key, pause)
        except Broken as broken:
            self._broken(broken, allowed, id, tuple(excuses))
            return None
        except Malformed as problem:
            raise Finding(f"{id}: {problem}") from None
        self.fresh = False
        self._answered = monotonic()
        self.count("bytes of responses", response.body.size)
        for outcome in allowed:
            if outcome.status == response.status:
                self.log_must_say(outcome.codes, [response.status], id=id)
                break
        else:
            raise Finding(f"{id}: status {response.status}, not {_statuses(allowed)}")
        if response.status == 200 and response.fields.get("x-soak-id") != id:
            raise Finding(f"{id}: this is the response to {response.fields.get('x-soak-id')!r}")
        if response.closes:
            self.leave()
        return response

    def _broken(
        self, broken: Broken, allowed: tuple[Outcome, ...], id: str, excuses: tuple[str, ...]
    ) -> None:
        self.leave()
        came = broken.response
        if came is None and not self.fresh and self.excused(["drain", "worker-kill"], self._answered):
            self.count("excused: closed between two requests")
            self.log_must_say(ANY_CODE, lines=(0, 1), id=id)
            raise ClosedBetween
        if came is not None:
            self.count("bytes of responses", came.body.size)
            if came.body.data is None and (problem := came.body.problem(None)):
                raise Finding(f"{id}: {problem}, and then the connection was {broken.how}")
        for outcome in allowed:
            if outcome.status == BROKEN:
                self.log_must_say(outcome.codes, id=id)
                return
        if not self.excused(("worker-kill", *(excuses if came is not None else ()))):
            raise Finding(f"{id}: {broken}; allowed is {_statuses(allowed)}")
        self.count("excused: broken off")
        self.log_must_say(ANY_CODE, lines=(0, 1), id=id)

    def check_body(self, response: Response, key: int, size: int, *, sent: bool = True) -> None:
        """Compare a response's body with what it must be, and with what the back-end says that it has sent.

        :param sent: whether the digest in the head is of what was sent; that of a HEAD is not.
        :raises Finding: it is another one.
        """
        said = response.fields.get("x-soak-sha256") if sent else None
        problem = response.body.problem(size, said)
        trailer = response.trailers.get("x-soak-trailer", said)
        if not problem and trailer != said:
            problem = f"the trailer is {trailer!r}, not {said!r}"
        if problem:
            raise Finding(f"{response.fields.get('x-soak-id')}: {problem}")
        self.count("bodies checked")


def _statuses(allowed: Iterable[Outcome]) -> str:
    return " or ".join("broken off" if each.status == BROKEN else str(each.status) for each in allowed)
