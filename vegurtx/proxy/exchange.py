"""One request's life, from ``init`` to ``terminate``: the half that talks to the router.

    init → the chain (validate, lookup domain, continue, upgrade, lookup service) → `Relay` → checkin → terminate

Every way through it ends in `_end`, once. A callback that answers at once costs a call and nothing more; where one
returns a Deferred or is ``async def``, the exchange waits, under the router's deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from vegurtx.errors import ConnectFailed, Reason, RouteError, entry
from vegurtx.message import TAKEN, Backend, ErrorPage, Response
from vegurtx.net.backend import BackendConnection
from vegurtx.net.server import REMEMBERED, ClientConnection
from vegurtx.net.timer import FOREVER
from vegurtx.pending import PENDING, deferred_of, then
from vegurtx.proxy.downstream import page
from vegurtx.proxy.intake import Intake, continue_expected, target_of, upgrade_of
from vegurtx.proxy.log import COARSE, RequestLog
from vegurtx.proxy.relay import Relay
from vegurtx.proxy.request import Request
from vegurtx.wire.request import RequestHead

if TYPE_CHECKING:
    from vegurtx.proxy.factory import ProxyFactory

log = Logger()

_SLASH = ord("/")
_REJECTIONS = frozenset({"bad_request", "bad_request_header", "empty_host", "expectation_failed"})


class Exchange:
    """One request and its response. Created and started by the factory for each head that has parsed."""

    __slots__ = (
        "__weakref__",
        "_dialling",
        "_ended",
        "_failure",
        "_gone",
        "_relay",
        "_stage",
        "_stages",
        "_tries",
        "_waiting",
        "accepted_at",
        "backend",
        "connect_time",
        "connection",
        "deep_continue",
        "domain_group",
        "head",
        "intake",
        "link",
        "log",
        "now",
        "page_size",
        "phase",
        "problem",
        "proxy",
        "request",
        "response_limit",
        "route_time",
        "router",
        "service",
        "state",
        "target",
        "upgrade",
    )

    def __init__(self, proxy: ProxyFactory, connection: ClientConnection, head: RequestHead) -> None:
        self.proxy = proxy
        self.router = proxy.router
        self.connection = connection
        self.head = head
        self.state: Any = None
        #: how far it got: ``"lookup"``, ``"checkout"`` (the domain group is known) or ``"connected"``
        self.phase = "lookup"
        self.domain_group: Any = None
        self.service: Any = None
        self.backend: Any = None
        #: the connection to the back-end, once it stands
        self.link: BackendConnection | None = None
        #: the protocols for an upgrade that the client asked for
        self.upgrade: bytes | None = None
        self.deep_continue = False
        #: milliseconds that the router took to choose, and the connect
        self.route_time = 0
        self.connect_time = 0
        #: seconds to the response's first byte
        self.response_limit = proxy.response_limit
        self._stage = 0
        self._tries = 0
        self._waiting: Deferred[Any] | None = None
        self._dialling = False
        self._relay: Relay | None = None
        self._failure: Reason | None = None
        self._gone = False
        self._ended = False

        self.problem: RouteError | None = None
        self.target = head.target
        self._stages = proxy.stages
        # the head is much the same as the one before: so is what it says
        intake: Intake | None = connection.memo
        if (
            intake is not None
            and intake.known is head.known
            and intake.minor == head.minor
            and head.target[0] == _SLASH
            and head.method != b"CONNECT"
        ):
            self.problem = intake.problem
            if intake.plain:
                self._stages = proxy.plain_stages
        else:
            intake = self._read(head)
        self.intake = intake
        self.now = now = proxy.seconds()
        self.accepted_at = accepted_at = proxy.wall()
        self.log = RequestLog(accepted_at, now, proxy.seconds)
        self.request = Request(
            self, connection, head, self.log, intake.domain, self.target, intake.given_id or proxy.new_id()
        )

    def _read(self, head: RequestHead) -> Intake:
        """What the head says; what is wrong with it is kept for the stage whose matter it is."""
        connection = self.connection
        if head.target[0] == _SLASH and head.method != b"CONNECT":
            intake = Intake(head, connection, self.proxy)
            connection.memo = intake if head.end <= REMEMBERED else None
            self.problem = intake.problem
            return intake
        authority = None
        try:
            self.target, authority = target_of(head)
        except RouteError as error:
            self.problem = RouteError(error.reason, error.code)  # without the frames, which lead back here
        intake = Intake(head, connection, self.proxy, authority)
        self.problem = self.problem or intake.problem
        return intake

    def start(self) -> None:
        """Ask the router's ``init``, and run the chain."""
        connection = self.connection
        connection.handler = self
        framing = self.intake.framing
        if framing:
            connection.expect_body(framing)
        try:
            state = self.router.init(self.accepted_at, self.request)
            if state is not None and PENDING[state.__class__]:
                self.wait(state, self._initialised)
                return
        except RouteError as error:
            self.fail(error.reason, error.code)
            return
        except Exception:
            self.crashed("init")
            return
        self.state = state
        self._run()

    def _initialised(self, state: Any) -> None:
        self.state = state
        self._run()

    # -- the chain ------------------------------------------------------------------------------------------------

    def _run(self, outcome: Any = None) -> None:
        """Go on with the chain; `outcome` is what its last stage came to."""
        stages = self._stages
        request = self.request
        try:
            while outcome is None:
                if self._stage == len(stages):
                    raise TypeError("no stage of the chain has answered")
                stage = stages[self._stage]
                self._stage += 1
                outcome = stage(request)
            if outcome is TAKEN:
                return
            if PENDING[outcome.__class__]:
                self.wait(outcome, self._run)
                return
            if not isinstance(outcome, Response):
                raise TypeError(f"a stage returned {outcome!r}, which is no answer")
        except RouteError as error:
            self.fail(error.reason, error.code)
        except Exception:
            self.crashed("the chain")
        else:
            self._send(outcome, None)

    def wait(self, value: Any, use: Any) -> None:
        """Wait for a pending `value`, and `use` it. While no connect is under way, the router's deadline holds."""
        if not self._dialling:
            self._await_router()
        waiting = self._waiting = deferred_of(value)
        waiting.addCallbacks(self._came, self._came_not, callbackArgs=(use, waiting), errbackArgs=(waiting,))

    def _await_router(self) -> None:
        self.connection.timer.set(self.proxy.seconds(), self.proxy.router_limit)

    def _came(self, value: Any, use: Any, waiting: Deferred[Any]) -> None:
        if self._waiting is not waiting:
            return  # too late
        self._waiting = None
        try:
            use(value)
        except RouteError as error:
            self.fail(error.reason, error.code)
        except Exception:
            self.crashed("what followed a Deferred")

    def _came_not(self, failure: Failure, waiting: Deferred[Any]) -> None:
        if self._waiting is not waiting:
            if failure.check(CancelledError) is None:
                log.failure("a Deferred failed after its request had ended", failure)
            failure.cleanFailure()  # a cancelled coroutine's knows its own callers, and with them all of this
            return
        self._waiting = None
        if isinstance(failure.value, RouteError):
            self.fail(failure.value.reason, failure.value.code)
        else:
            log.failure("a callback or a stage failed", failure)
            self.fail("crashed")

    def _give_up(self) -> None:
        """Whatever is waited for is not wanted any more."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()

    # -- what the stages ask -------------------------------------------------------------------------------------------

    def found(self, domain_group: Any) -> None:
        """The request's domain group is known."""
        if self._failure is not None:
            raise CancelledError
        self.domain_group = domain_group
        self.phase = "checkout"

    def expects_continue(self) -> bool:
        """Whether the client waits for a 100 (rule 8); raises `RouteError`."""
        return b"expect" in self.head.known and continue_expected(self.head)

    def send_continue(self) -> None:
        """The proxy's own 100."""
        self.still_wanted()
        self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def read_upgrade(self) -> None:
        """Which upgrade the client asks for (rule 9); raises `RouteError`."""
        tokens = self.intake.tokens
        if tokens is None:
            raise RouteError("bad_request_header")
        if tokens:
            self.upgrade = upgrade_of(self.head, tokens)

    # -- the service: checkout, connect, and again (rule 22) -------------------------------------------------------

    def checkout(self) -> Any:
        """Check a service out and connect to it, until one answers or the router gives up. For the chain's stage."""
        if self._failure is not None:  # as `still_wanted`
            raise CancelledError
        if self._tries >= self.proxy.max_connect_tries:
            raise RouteError(("downstream", "connect_tries"))
        router, request, state = self.router, self.request, self.state
        service = router.checkout_service(self.domain_group, request, state)
        if PENDING[service.__class__]:
            return deferred_of(service).addCallback(self._checked_out)
        self.service = service
        backend = router.service_backend(service, request, state)
        if backend.__class__ is not Backend and PENDING[backend.__class__]:
            return deferred_of(backend).addCallback(self._connect)
        return self._connect(backend)

    def still_wanted(self) -> None:
        """A callback that was cancelled may answer all the same: nothing more is asked or opened after that."""
        if self._failure is not None:
            raise CancelledError

    def _checked_out(self, service: Any) -> Any:
        self.still_wanted()
        self.service = service
        return then(self.router.service_backend(service, self.request, self.state), self._connect)

    def _connect(self, backend: Any) -> Any:
        if self._failure is not None:  # as `still_wanted`
            raise CancelledError
        if backend.__class__ is not Backend and not isinstance(backend, Backend):
            raise TypeError(f"service_backend returned {backend!r}, which is no Backend")
        self._tries += 1
        self.backend = backend
        proxy = self.proxy
        self.response_limit = backend.response_timeout or proxy.response_limit
        now = proxy.seconds()
        self.route_time = int((now - self.now) * 1000 + COARSE)  # as `milliseconds`
        link = proxy.client.pool.take(backend.key) if backend.keepalive == "default" else None
        if link is None:
            self.log.events += (now, "pre_connect", None)
            return self._dial()
        self.connect_time = 0
        self.log.events += (now, "pre_connect", None, now, "connect_time", "pre", now, "connect_time", "post")
        self.link = link
        self.phase = "connected"
        return None

    def _dial(self) -> Deferred[Any]:
        """A new connection to the present back-end; the connect's own timeout bounds it."""
        self.log.stamp("connect_time", "pre")
        self._dialling = True
        self.connection.timer.limit = FOREVER
        return self.proxy.client.connect(self.backend).addCallbacks(self._connected, self._connect_failed)

    def _dialled(self) -> None:
        self._dialling = False
        self._await_router()
        self.log.stamp("connect_time", "post")
        self.connect_time = self.log.event_duration("connect_time") or 0

    def _connected(self, link: BackendConnection) -> None:
        self._dialled()
        self.link = link
        self.phase = "connected"

    def _connect_failed(self, failure: Failure) -> Any:
        if failure.check(ConnectFailed) is None:  # given up; `trap` would raise, and tie a knot of frames
            return failure
        what: str = failure.value.what  # type: ignore[union-attr]
        self._dialled()
        self.request.connect_failed(what)
        service, self.service = self.service, None
        given_back = self.router.checkin_service(
            self.domain_group, service, "connecting", what, self.request, self.state
        )
        return then(given_back, lambda _: self.checkout())

    # -- the way there and back ------------------------------------------------------------------------------------

    def forward(self) -> Any:
        """Send the request on and its response home. For the chain's last stage; returns `TAKEN`, or a Deferred."""
        relay = self._relay = Relay(self)
        return relay.prepare()

    def redial(self) -> None:
        """The relay's pooled connection was dead: the same request once more, on a fresh one (rule 23)."""
        link, self.link = self.link, None
        if link is not None:
            self._count(link)
        self.phase = "checkout"
        self.connection.handler = self
        tries = self._tries
        self.wait(self._dial(), lambda _: self._redialled(tries))

    def _redialled(self, tries: int) -> None:
        assert self._relay is not None
        if self._tries == tries:
            self._relay.resend()
        else:  # the fresh connection failed, and the router chose again
            self._renew(None)

    def _renew(self, _: Any) -> None:
        assert self._relay is not None
        renewed = self._relay.renew()
        if PENDING[renewed.__class__]:
            self.wait(renewed, _nothing)

    def retry(self, reason: Reason) -> None:
        """The back-end has failed before its response began: the router says whether another one is tried."""
        self._drop_link()
        self.connection.handler = self
        try:
            wanted = self.router.feature("retry", self.request, self.state)
            if PENDING[wanted.__class__]:
                answered = deferred_of(wanted).addErrback(_not_told, "feature")
                self.wait(answered, lambda answer: self._retry(answer, reason))
                return
        except Exception:
            log.failure("feature raised")
            wanted = False
        self._retry(wanted, reason)

    def _retry(self, wanted: Any, reason: Reason) -> None:
        if wanted is not True:
            self.fail(reason)
            return
        service, self.service = self.service, None
        self.phase = "checkout"
        try:
            given_back = self.router.checkin_service(
                self.domain_group, service, "retrying", reason, self.request, self.state
            )
            again = then(given_back, lambda _: self.checkout())
            if PENDING[again.__class__]:
                self.wait(again, self._renew)
            else:
                self._renew(None)
        except RouteError as error:
            self.fail(error.reason, error.code)
        except Exception:
            self.crashed("a retry")

    def completed(self, reusable: bool, keep: bool, now: float) -> None:
        """The response is out, whole. `reusable`: the back-end's connection can serve others."""
        link, self.link = self.link, None
        connection = self.connection
        if link is not None:
            request = self.request
            request.received = link.received
            request.sent = link.sent
            if reusable:
                self.proxy.client.release(link, now)
            elif connection.body_pending:
                link.drop()
            else:
                link.close()
        self._end("normal", "normal", now)
        connection.finish(keep, now)

    def broken(self, reason: Reason) -> None:
        """A part of the response is out, and the rest cannot follow (rule 21)."""
        connection = self.connection
        self._drop_link()
        self._end("error", reason)
        connection.break_off()

    def tunnel_ended(self, reason: Reason | None) -> None:
        """The byte pipe, which this exchange became, has ended, and both connections with it."""
        if reason is None:
            self.log.stamp("client_last_packet_recv")
        if self.link is not None:
            self._count(self.link)
            self.link = None
        self._end("normal" if reason is None else "error", "normal" if reason is None else reason)

    def _drop_link(self) -> None:
        link, self.link = self.link, None
        if link is not None:
            self._count(link)
            link.drop()

    def _count(self, link: BackendConnection) -> None:
        """The conversation on `link` is over, but for a response that is whole (see `completed`)."""
        if link.sent:
            self.log.stamp("service_time", "post")
        self.request.received = link.received
        self.request.sent = link.sent

    # -- what the client's connection tells, while no relay listens ---------------------------------------------------

    def client_lost(self) -> None:
        """The client is gone: nothing is waited for any more."""
        self._gone = True
        self.fail(("upstream", "closed"))

    def timed_out(self) -> None:
        """The router, or a stage, did not answer in time."""
        if self._failure is not None:  # not even for the error page
            self._give_up()
            log.error("error_page did not answer in time")
            self._send(ErrorPage(entry(self._failure).status), self._failure)
        else:
            self.fail(("undefined", "router_timeout"))

    def client_full(self) -> None:
        """Nothing is being written yet; a relay looks for itself."""

    def client_drained(self) -> None:
        """As `client_full`."""

    def client_eof(self) -> None:
        """A request that is whole still gets its answer."""

    def request_body(self, pieces: list[Any], ended: bool, trailers: bytes) -> None:
        """Not before a relay asks for it."""

    def bad_body(self, what: str) -> None:
        """Not before a relay asks for the body."""

    def tunnel_data(self, data: bytes) -> None:
        """Not before there is a tunnel."""

    # -- answers that are not a back-end's ---------------------------------------------------------------------------

    def crashed(self, where: str) -> None:
        log.failure("{where} raised", where=where)
        self.fail("crashed")

    def fail(self, reason: Reason, code: int | None = None) -> None:
        """The request ends with `reason`: with the router's page, if the client is there to see it."""
        if self._ended:
            return
        self._failure = reason
        self._drop_link()
        self._give_up()
        if self._gone:
            self._end("error", reason)
            return
        self.connection.handler = self
        request = self.request
        request.suggested_code = code
        try:
            answer = self.router.error_page(reason, self.domain_group, request, self.state)
            if PENDING[answer.__class__]:
                self._await_router()
                waiting = self._waiting = deferred_of(answer)
                waiting.addBoth(self._page_came, reason, waiting)
                return
        except Exception:
            log.failure("error_page raised")
            answer = ErrorPage(entry(reason).status)
        self._send(answer, reason)

    def _page_came(self, answer: Any, reason: Reason, waiting: Deferred[Any]) -> None:
        if self._waiting is not waiting:
            return
        self._waiting = None
        if isinstance(answer, Failure):
            log.failure("error_page failed", answer)
            answer = ErrorPage(entry(reason).status)
        self._send(answer, reason)

    def _send(self, answer: Any, reason: Reason | None) -> None:
        """Send a page: the router's for `reason`, or without one a stage's answer."""
        connection = self.connection
        link, self.link = self.link, None
        if link is not None:  # a stage answers in place of the back-end, which has not been asked
            self.proxy.client.release(link, self.proxy.seconds())
        connection.skip_body()
        if self._ended:
            return
        last = connection.eof and not connection.holding
        closing = connection.body_pending or last or self.proxy.draining or _rejection(reason)
        keep = not closing and self.intake.persistent
        method = self.head.method
        try:
            if not isinstance(answer, ErrorPage):
                raise TypeError(f"error_page returned {answer!r}, which is no ErrorPage")
            lines, whole = page(answer, method, keep, self.proxy.wall())
        except Exception:
            if reason is None:  # a stage's answer: now it is an error, and the router may say how it looks
                self.crashed("an answer that cannot be sent")
                return
            log.failure("an error page that cannot be sent")
            answer = ErrorPage(entry(reason).status)
            lines, whole = page(answer, method, keep, self.proxy.wall())
        self.request.responded(answer.code, lines)
        self.page_size = len(whole)  # for observers; not there unless a page was sent
        connection.write(whole)
        if reason is None:
            self._end("normal", "normal")
        else:
            self._end("error", reason)
        connection.finish(keep, self.proxy.seconds())

    # -- the end ---------------------------------------------------------------------------------------------------

    def _end(self, status: str, service_state: Reason, now: float | None = None) -> None:
        """The final ``checkin_service``, and ``terminate``. The connections are the caller's business."""
        self._ended = True
        self._relay = None
        request, state = self.request, self.state
        self.log.events += (self.proxy.seconds() if now is None else now, "responded", None)
        observer = self.proxy.observer
        if observer is not None:
            try:
                observer.ended(request, status, service_state, self.domain_group, self.service)
            except Exception:
                log.failure("an observer's ended() raised")
        try:
            given_back = self.router.checkin_service(
                self.domain_group, self.service, self.phase, service_state, request, state
            )
            if given_back is not None and PENDING[given_back.__class__]:
                checking_in = deferred_of(given_back)
                if self.proxy.router_limit < FOREVER:  # `terminate` is called, whatever becomes of this
                    checking_in.addTimeout(self.proxy.router_limit, self.proxy.reactor)
                checking_in.addErrback(_logged, "checkin_service").addCallback(self._checked_in, status)
                return
        except Exception:
            log.failure("checkin_service raised")
        self._terminate(status)

    def _checked_in(self, _: object, status: str) -> None:
        self._terminate(status)

    def _terminate(self, status: str) -> None:
        request = self.request
        try:
            last = self.router.terminate(status, request, self.state)
            if last is not None and PENDING[last.__class__]:
                deferred_of(last).addErrback(_logged, "terminate")
        except Exception:
            log.failure("terminate raised")
        request.exchange = None  # no cycle is left for the collector


def _rejection(reason: Reason | None) -> bool:
    """Whether the client's own message is to blame: it is answered, and its connection closed."""
    return (
        reason in _REJECTIONS if isinstance(reason, str) else reason is not None and reason[0] == "upstream"
    )


def _logged(failure: Failure, where: str) -> None:
    log.failure("{where} failed", failure, where=where)


def _not_told(failure: Failure, where: str) -> None:
    """A callback that fails has not said yes; one that was cancelled is not asked any more."""
    if failure.check(CancelledError) is None:
        _logged(failure, where)
    failure.cleanFailure()  # as in `_came_not`


def _nothing(_: object) -> None:
    """What is left to do when the relay has gone on."""
