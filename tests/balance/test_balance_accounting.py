"""Whatever happens to requests, what each one takes is given back once, and charged to the replica that had it."""

from __future__ import annotations

import random
from typing import Any

from balance_fakes import FakeRequest
from balancer_case import one_service
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.router import Balancer
from vegurtx.errors import RouteError

URLS = [f"http://127.0.0.1:{port}" for port in (1, 2, 3, 4)]
SECTIONS = {
    "queue": "{length: 3, timeout: 5}",
    "max_connections": "5",
    "retries": "{attempts: 2, budget: 0.5, min_per_second: 1}",
    "circuit_breaker": "{errors: 4, window: 10, open_for: 3, half_open: 2}",
    "passive_health": "{consecutive_errors: 3, ejection_time: 5}",
    "sticky": "true",
}


class Request:
    """One request as the proxy's exchange carries it through the contract."""

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self.request = FakeRequest()
        self.state = balancer.init(0.0, self.request)
        self.group = balancer.lookup_domain_name("example.org", self.request, self.state)
        self.service: Any = None
        self.waiting: Deferred[Any] | None = None
        self.over = False
        self.failures: list[tuple[str, str]] = []
        self.checkout()

    def checkout(self) -> None:
        """Ask for a replica; it comes at once, later, or not at all."""
        try:
            got = self.balancer.checkout_service(self.group, self.request, self.state)
        except RouteError as error:
            self.end("checkout", error.reason)
            return
        if isinstance(got, Deferred):
            self.waiting = got
            got.addCallbacks(self.got, self.not_got)
        else:
            self.got(got)

    def got(self, replica: Any) -> None:
        """A replica, which is connected to."""
        self.waiting = None
        self.service = replica
        assert self.balancer.service_backend(replica, self.request, self.state).port

    def not_got(self, failure: Any) -> None:
        """Waited in vain, or left."""
        self.waiting = None
        if failure.check(CancelledError) is None:
            self.end("checkout", failure.trap(RouteError) and failure.value.reason)

    def failed_connect(self) -> None:
        """The connect fails."""
        service, self.service = self.service, None
        self.failures.append((service.key, "econnrefused"))
        self.balancer.checkin_service(
            self.group, service, "connecting", "econnrefused", self.request, self.state
        )
        self.checkout()

    def failed_try(self) -> None:
        """The back-end closes before its response."""
        self.failures.append((self.service.key, "closed"))
        if not self.balancer.feature("retry", self.request, self.state):
            self.end("connected", ("downstream", "closed"))
            return
        service, self.service = self.service, None
        self.balancer.checkin_service(
            self.group, service, "retrying", ("downstream", "closed"), self.request, self.state
        )
        self.checkout()

    def answered(self, status: int) -> None:
        """A whole response."""
        self.request.response_code = status
        if status == 503:
            self.failures.append((self.service.key, "status_503"))
        self.balancer.additional_headers("downstream", self.request.log, self.request, self.state)
        self.end("connected", "normal")

    def leave(self) -> None:
        """The client goes, wherever its request is."""
        if self.waiting is not None:
            self.waiting.cancel()
        self.end("connected" if self.service else "checkout", ("upstream", "closed"))

    def end(self, phase: str, state: Any) -> None:
        """The final check-in, and the last call."""
        assert not self.over
        self.over = True
        self.balancer.checkin_service(self.group, self.service, phase, state, self.request, self.state)
        self.balancer.terminate("error", self.request, self.state)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "new",
                "new",
                "new",
                "200",
                "503",
                "refused",
                "closed",
                "leave",
                "time",
                "health",
                "admin",
                "reload",
            ]
        ),
        st.integers(0, 1000),
    ),
    max_size=120,
)


class Accounting(SynchronousTestCase):
    """Random lives of requests, with replicas that come and go."""

    def setUp(self) -> None:
        """Random strategies and cookies' secrets need no seed; the rest is the example's."""
        random.seed(1)

    @settings(max_examples=150, deadline=None)
    @given(STEPS)
    def test_even(self, steps: list[tuple[str, int]]) -> None:
        """In flight are those that hold a replica, at each moment; in the end nobody. Errors are where they were."""
        clock = Clock()
        balancer = Balancer(one_service(*URLS[:3], **SECTIONS), reactor=clock)
        web = balancer.services["web"]
        requests: list[Request] = []
        met = set(web.replicas)
        for what, number in steps:
            alive = [one for one in requests if not one.over]
            connected = [one for one in alive if one.service is not None]
            if what == "new":
                requests.append(Request(balancer))
            elif what == "time":
                clock.advance(number / 250)
            elif what == "health":
                replica = web.replicas[number % len(web.replicas)]
                replica.healthy = not replica.healthy
                balancer.changed(web)
            elif what == "admin":
                replica = web.replicas[number % len(web.replicas)]
                balancer.set_replica_state("web", replica.key, ("ready", "drain", "maint")[number % 3])  # type: ignore[arg-type]
            elif what == "reload":
                urls = URLS[number % 3 : number % 3 + 2]
                balancer.reload(one_service(*urls, **SECTIONS))
                met.update(web.replicas)
            elif what == "leave" and alive:
                alive[number % len(alive)].leave()
            elif connected:
                one = connected[number % len(connected)]
                if what in ("200", "503"):
                    one.answered(int(what))
                elif what == "refused":
                    one.failed_connect()
                elif what == "closed":
                    one.failed_try()
            self.check(web, requests, met)
        for one in requests:
            if not one.over:
                one.leave()
        self.assertEqual((web.in_flight, len(web.queue)), (0, 0))
        self.check(web, requests, met)
        counted: dict[tuple[str, str], int] = {}
        for replica in met:
            for word, count in replica.errors.items():
                counted[replica.key, word] = counted.get((replica.key, word), 0) + count
        happened: dict[tuple[str, str], int] = {}
        for one in requests:
            for failure in one.failures:
                happened[failure] = happened.get(failure, 0) + 1
        self.assertEqual(counted, happened)
        balancer.stop()
        self.assertEqual(clock.getDelayedCalls(), [])

    def check(self, web: Any, requests: list[Request], met: set[Any]) -> None:
        """Every counter says what is."""
        holding = [one.service for one in requests if not one.over and one.service is not None]
        self.assertEqual(web.in_flight, len(holding))
        for replica in met:
            self.assertEqual(replica.in_flight, holding.count(replica))
        self.assertLessEqual(web.in_flight, 5)
        self.assertEqual(len(web.queue), sum(one.waiting is not None for one in requests))
        self.assertEqual(sum(replica.total for replica in met), web.total)
        free = web.candidates and not web.saturated
        if free and web.breaker.admits(0.0) and web.breaker.state.value == "closed":
            self.assertEqual(len(web.queue), 0, "somebody waits although there is a replica")
