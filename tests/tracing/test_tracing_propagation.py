"""A proxy in memory that passes traces on: what its back-end gets, and what its router knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Invalid
from zope.interface.verify import verifyObject

from vegurtx import Backend, RouteError
from vegurtx.interfaces import IRouter
from vegurtx.testing import MemoryProxy, RecordingRouter, answering, parse_request_head, response_bytes
from vegurtx.tracing import META, Propagation, Trace, TracedRouter
from vegurtx.tracing.context import parsed_parent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01"
OK = response_bytes(200, b"hi")
NO_BYTES_OF_A_HEAD = st.characters(min_codepoint=0x21, max_codepoint=0x7E)


class Proxied(SynchronousTestCase):
    """What they share."""

    def stage(self, tracer: Any = None, **answers: Any) -> None:
        """Start a proxy in front of one back-end. `answers`: the router's."""
        self.router = RecordingRouter([Backend("10.0.0.1", 80)], **answers)
        self.proxy = MemoryProxy(TracedRouter(self.router, tracer))
        self.got: list[bytes] = []
        self.back = self.proxy.backend("10.0.0.1", 80, answering(OK))
        self.addCleanup(self.proxy.stop)

    def asked(self, *fields: str) -> list[tuple[str, str]]:
        """Send a request with these field lines; returns the trace's fields that the back-end got."""
        lines = "".join(f"{field}\r\n" for field in ("GET /a HTTP/1.1", "Host: x", *fields, ""))
        client = self.proxy.client()
        client.send(lines.encode("latin-1"))
        return [
            (name.lower(), value)
            for name, value in parse_request_head(bytes(self.back.connections[-1].received)).headers
            if name.lower() in ("traceparent", "tracestate")
        ]

    @property
    def trace(self) -> Trace:
        """The last request's."""
        trace: Trace = self.router.requests[-1].meta[META]
        return trace


class Begun(Proxied):
    """A request without a trace, or with none that can be used."""

    staged: set[bool] = set()

    def test_one_begins(self) -> None:
        """The back-end gets a new trace, whose parent is the proxy's own span."""
        self.stage()
        fields = self.asked()
        self.assertEqual(fields, [("traceparent", self.trace.traceparent)])
        self.assertEqual(parsed_parent([fields[0][1].encode()]), (self.trace.trace_id, self.trace.span_id, 3))
        self.assertIsNone(self.trace.parent_id)
        self.assertTrue(self.trace.sampled)

    def test_each_its_own(self) -> None:
        """No two requests share a trace or a span."""
        self.stage()
        texts = [self.asked()[0][1] for _ in range(20)]
        self.assertEqual(len({text[3:35] for text in texts}), 20)
        self.assertEqual(len({text[36:52] for text in texts}), 20)

    def test_not_sampled(self) -> None:
        """With a part of 0 they begin without the flag; they are passed on all the same."""
        self.stage(Propagation(sample=0.0))
        self.assertTrue(self.asked()[0][1].endswith("-02"))
        self.assertFalse(self.trace.sampled)

    def test_malformed(self) -> None:
        """What is malformed, or there twice, is as if it were not there; its ``tracestate`` goes with it."""
        for fields in (
            [f"traceparent: {GOOD.upper()}"],
            [f"traceparent: 00-{'0' * 32}-{PARENT}-01"],
            [f"traceparent: {GOOD}", f"Traceparent: {GOOD}"],
            [f"traceparent: {GOOD}, {GOOD}"],
            ["traceparent:"],
            [],
        ):
            self.stage()
            sent = self.asked(*fields, "tracestate: a=1", "TraceState: b=2")
            self.assertEqual(sent, [("traceparent", self.trace.traceparent)], fields)
            self.assertNotIn(TRACE, self.trace.traceparent)
            self.assertEqual(self.trace.state, "")

    @given(
        st.text(NO_BYTES_OF_A_HEAD, max_size=70)
        | st.from_regex(r"0[0f]-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True),
        st.text(NO_BYTES_OF_A_HEAD, max_size=40),
        st.booleans(),
    )
    def test_whatever_comes(self, parent: str, state: str, restart: bool) -> None:
        """The back-end gets one good ``traceparent``, of the client's trace only where the client's was good."""
        if restart not in self.staged:
            self.stage(Propagation(restart=restart))
            self.staged = {restart}
        fields = self.asked(f"traceparent: {parent}", f"tracestate: {state}")
        values = [value.encode() for name, value in fields if name == "traceparent"]
        sent = parsed_parent(values)
        assert sent is not None
        given = None if restart else parsed_parent([parent.encode("latin-1")])
        self.assertEqual(given is not None and sent.trace_id == given.trace_id, given is not None)
        self.assertLessEqual(len(fields), 2 if given is not None else 1)


class PassedOn(Proxied):
    """A request that belongs to a trace."""

    def test_passed_on(self) -> None:
        """The same trace and flags, and the proxy's span as the parent (section 3.4)."""
        self.stage()
        fields = self.asked(f"Traceparent: {GOOD}")
        self.assertEqual(fields, [("traceparent", f"00-{TRACE}-{self.trace.span_id}-01")])
        self.assertNotEqual(self.trace.span_id, PARENT)
        self.assertEqual((self.trace.trace_id, self.trace.parent_id), (TRACE, PARENT))

    def test_its_decision(self) -> None:
        """A trace that is not sampled stays so, and the other way round, whatever part the proxy would sample."""
        for sample in (0.0, 1.0):
            for flags in ("00", "01", "02", "03"):
                self.stage(Propagation(sample=sample))
                self.assertTrue(self.asked(f"traceparent: {GOOD[:-2]}{flags}")[0][1].endswith(f"-{flags}"))

    def test_reserved_flags(self) -> None:
        """Flags that mean nothing yet are sent as zero (section 3.2.2.5)."""
        self.stage()
        self.assertTrue(self.asked(f"traceparent: {GOOD[:-2]}fd")[0][1].endswith("-01"))

    def test_later_version(self) -> None:
        """Of a version that does not exist yet, what is known goes on as version 00 (section 3.2.4)."""
        self.stage()
        fields = self.asked(f"traceparent: fe-{GOOD[3:]}-news")
        self.assertEqual(fields, [("traceparent", f"00-{TRACE}-{self.trace.span_id}-01")])

    def test_state(self) -> None:
        """A good ``tracestate`` goes on byte for byte; several fields become one."""
        self.stage()
        self.assertIn(("tracestate", "b=2,a=1"), self.asked(f"traceparent: {GOOD}", "TRACESTATE: b=2,a=1"))
        self.assertEqual(self.trace.state, "b=2,a=1")
        fields = self.asked(f"traceparent: {GOOD}", "tracestate: b=2 ,", "tracestate: a=1")
        self.assertEqual(sorted(fields)[1:], [("tracestate", "b=2,a=1")])

    def test_bad_state(self) -> None:
        """One that is malformed does not go on, and the trace does."""
        for state in ("nonsense", "a=1,a=2", ",".join(f"k{number}=v" for number in range(33))):
            self.stage()
            fields = self.asked(f"traceparent: {GOOD}", f"tracestate: {state}")
            self.assertEqual(fields, [("traceparent", f"00-{TRACE}-{self.trace.span_id}-01")], state)

    def test_long_state(self) -> None:
        """Of a long one whole members go on, 512 characters of them at the most (section 3.3.1.5)."""
        self.stage()
        state = ",".join(f"k{number}={'v' * 60}" for number in range(20))
        fields = dict(self.asked(f"traceparent: {GOOD}", f"tracestate: {state}"))
        self.assertLessEqual(len(fields["tracestate"]), 512)
        self.assertTrue(state.startswith(fields["tracestate"] + ","))

    def test_restart(self) -> None:
        """At an edge whose clients are strangers, their traces are not believed."""
        self.stage(Propagation(restart=True))
        fields = self.asked(f"traceparent: {GOOD}", "tracestate: a=1")
        self.assertEqual(fields, [("traceparent", self.trace.traceparent)])
        self.assertNotEqual(self.trace.trace_id, TRACE)

    def test_not_hop_by_hop(self) -> None:
        """A client cannot take the trace away by naming its field in ``Connection``."""
        self.stage()
        fields = self.asked("Connection: traceparent", f"traceparent: {GOOD}")
        self.assertEqual(fields, [("traceparent", f"00-{TRACE}-{self.trace.span_id}-01")])


class Around(Proxied):
    """The router within."""

    def test_known_from_the_first_call(self) -> None:
        """Each callback finds the trace in `meta`, also of a request that no stage lets pass."""
        seen: list[Any] = []
        self.stage(init=lambda accepted_at, request: seen.append(request.meta[META]))
        self.asked(f"traceparent: {GOOD}")
        self.proxy.client().send(b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n")  # a Host that is none
        self.assertEqual(self.router.names[-3:], ["error_page", "checkin_service", "terminate"])
        self.assertEqual([trace.trace_id == TRACE for trace in seen], [True, False])

    def test_its_own_fields(self) -> None:
        """What the router adds is there, too, in each form of an answer; of the trace's names, its own wins."""
        own = [("X-Own", "1"), ("TraceParent", "its-own")]
        forms: tuple[Callable[[], Any], ...] = (
            lambda: own,
            lambda: tuple(own),
            lambda: iter(own),
            lambda: [(name.encode(), value.encode()) for name, value in own],
            lambda: succeed(own),
        )
        for form in forms:
            self.stage(additional_headers=lambda direction, *_, form=form: form())
            self.assertEqual(self.asked(f"traceparent: {GOOD}"), [("traceparent", "its-own")])
            head = parse_request_head(bytes(self.back.connections[-1].received))
            self.assertEqual(head.all("X-Own"), ["1"])

    def test_nothing_of_its_own(self) -> None:
        """A router that adds nothing, in each form of an answer."""
        forms: tuple[Callable[[], Any], ...] = (lambda: (), list, lambda: None, lambda: succeed(()))
        for form in forms:
            self.stage(
                additional_headers=lambda direction, *_, form=form: form() if direction == "upstream" else ()
            )
            self.assertEqual(self.asked(), [("traceparent", self.trace.traceparent)])

    def test_async(self) -> None:
        """Fields that come later are joined then."""
        later: Deferred[Any] = Deferred()

        async def headers(direction: str, *_: Any) -> Any:
            return await later if direction == "upstream" else ()

        self.stage(additional_headers=headers)
        client = self.proxy.client()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        later.callback([("X-Own", "1")])
        head = parse_request_head(bytes(self.back.connections[-1].received))
        self.assertEqual(head.header("X-Own"), "1")
        self.assertEqual(head.header("traceparent"), self.trace.traceparent)

    def test_nothing_towards_the_client(self) -> None:
        """The response says nothing of the trace."""
        self.stage()
        client = self.proxy.client()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertNotIn(b"trace", bytes(client.received).lower())

    def test_retried(self) -> None:
        """Each back-end that is tried gets the trace."""
        self.stage(feature={"retry"})
        self.router.backends = [Backend("10.0.0.2", 80), Backend("10.0.0.1", 80)]

        async def closing(connection: Any) -> None:
            await connection.receive_request()
            connection.close()

        first = self.proxy.backend("10.0.0.2", 80, closing)
        fields = self.asked()
        tried = parse_request_head(bytes(first.connections[0].received))
        self.assertEqual(tried.header("traceparent"), self.trace.traceparent)
        self.assertEqual(fields, [("traceparent", self.trace.traceparent)])

    def test_meta_taken(self) -> None:
        """A router that keeps something else under that key loses the trace, and nothing more."""

        def init(accepted_at: float, request: Any) -> None:
            request.meta[META] = "mine"

        self.stage(init=init)
        self.assertEqual(self.asked(f"traceparent: {GOOD}"), [("traceparent", GOOD)])

    def test_its_errors(self) -> None:
        """What the router raises reaches the proxy as if nobody stood around it."""
        self.stage(checkout_service=RouteError("no_app", 404))
        client = self.proxy.client()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(client.receive_response().status, 404)

    def test_the_contract(self) -> None:
        """It provides the contract; what is no router is refused when it is made."""
        self.stage()
        verifyObject(IRouter, TracedRouter(self.router))
        self.assertRaises(Invalid, TracedRouter, object())
