"""Which replica a request gets, and that whatever it holds is given back once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from balance_fakes import FakeRequest, First, service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.admission import Errand, admit, may_repeat, take, wake
from vegurtx.balance.breaker import CircuitBreaker
from vegurtx.balance.budget import RetryBudget
from vegurtx.balance.replica import Replica, Service
from vegurtx.errors import RouteError


class AdmissionCase(SynchronousTestCase):
    """A service, and requests that come to it."""

    def setUp(self) -> None:
        """The turned clock."""
        self.clock = Clock()

    def service(self, *names: str, length: int = 0, timeout: float = 5.0) -> Service:
        """A service with these replicas."""
        return service(*names, clock=self.clock, length=length, timeout=timeout)

    def errand(self, web: Service, *, retries: int = 2, sticky: Any = None) -> Errand:
        """A request that has matched."""
        errand = Errand()
        errand.route = SimpleNamespace(service=web, retries=retries, sticky=sticky)  # type: ignore[assignment]
        return errand

    def admit(self, errand: Errand) -> Any:
        """What ``checkout_service`` returns for it."""
        return admit(errand, FakeRequest(), self.clock.seconds())

    def reason(self, errand: Errand) -> Any:
        """Why ``checkout_service`` refuses it."""
        return self.assertRaises(RouteError, self.admit, errand).reason

    def give_back(self, web: Service, errand: Errand) -> None:
        """Its end, as far as others may wait for it."""
        replica, errand.replica = errand.replica, None
        assert replica is not None
        web.gave_back(replica)
        wake(web, self.clock.seconds())

    def failed(self, web: Service, errand: Errand, what: str = "econnrefused") -> None:
        """Its try has failed."""
        replica = errand.replica
        assert replica is not None
        self.give_back(web, errand)
        errand.tries += 1
        errand.tried = (*errand.tried, replica)
        errand.failure = ("downstream", what)


class Choosing(AdmissionCase):
    """Who is asked, and among whom."""

    def test_plain(self) -> None:
        """The ordinary request: the strategy chooses among all, and the very list of those that are available."""
        web = self.service("a", "b")
        errand = self.errand(web)
        self.assertIs(self.admit(errand), web.replicas[0])
        self.assertIs(web.strategy.given[0], web.available)
        self.assertEqual((web.in_flight, web.replicas[0].in_flight), (1, 1))

    def test_not_tried_yet(self) -> None:
        """After a failed try the others are asked; when all have been tried, all of them again."""
        web = self.service("a", "b", "c")
        web.budget = RetryBudget(0.0, 100)
        errand = self.errand(web, retries=3)
        got = []
        for _ in range(4):
            got.append(self.admit(errand).key)
            self.failed(web, errand)
        self.assertEqual(got, ["a", "b", "c", "a"])
        self.assertEqual((web.total, web.retried, web.in_flight), (4, 3, 0))

    def test_strategy_that_chooses_nobody(self) -> None:
        """A strategy may find nobody fit (weights of 0): that is as if nobody were free."""
        web = self.service("a")
        web.strategy = SimpleNamespace(choose=lambda *_: None)
        self.assertEqual(self.reason(self.errand(web)), "backlog_too_deep")


class Refusing(AdmissionCase):
    """No replica, and no queue."""

    def test_nobody_up(self) -> None:
        """Nobody is available: ``no_replica``."""
        web = self.service("a")
        web.replicas[0].healthy = False
        web.refresh()
        self.assertEqual(self.reason(self.errand(web)), "no_replica")
        self.assertEqual((web.rejected, web.in_flight), ({"no_replica": 1}, 0))

    def test_all_full(self) -> None:
        """Everybody is full, or the service is: ``backlog_too_deep``."""
        for limited in ("replica", "service"):
            web = self.service("a")
            if limited == "replica":
                web.replicas[0].max_connections = 1
            else:
                web.max_connections = 1
            first = self.errand(web)
            self.admit(first)
            self.assertEqual(self.reason(self.errand(web)), "backlog_too_deep")
            self.give_back(web, first)
            self.admit(self.errand(web))

    def test_open_circuit(self) -> None:
        """An open circuit refuses at once, also where there is a queue."""
        web = self.service("a", length=10)
        web.breaker = CircuitBreaker(1, 10.0, 5.0, 1)
        web.breaker.ended(web.breaker.began(), False, 0.0)
        self.assertEqual(self.reason(self.errand(web)), "circuit_open")
        self.clock.advance(5)
        self.admit(self.errand(web))
        self.assertEqual(self.reason(self.errand(web)), "circuit_open")

    def test_trial_is_not_used_up_by_nobody(self) -> None:
        """A half-open circuit's trial is not lost on a request that finds no replica."""
        web = self.service("a")
        web.breaker = CircuitBreaker(1, 10.0, 5.0, 1)
        web.breaker.ended(web.breaker.began(), False, 0.0)
        self.clock.advance(5)
        web.replicas[0].healthy = False
        web.refresh()
        self.assertEqual(self.reason(self.errand(web)), "no_replica")
        web.replicas[0].healthy = True
        web.refresh()
        self.admit(self.errand(web))


class Repeating(AdmissionCase):
    """Retries and their budget."""

    def test_attempts(self) -> None:
        """As many further tries as configured; then the client gets the last real error."""
        web = self.service("a", "b", "c")
        web.budget = RetryBudget(0.0, 100)
        errand = self.errand(web, retries=1)
        for what in ("econnrefused", "etimedout"):
            self.admit(errand)
            self.failed(web, errand, what)
        self.assertEqual(self.reason(errand), ("downstream", "etimedout"))

    def test_budget(self) -> None:
        """A request whose repetition the budget does not pay for ends with its own error."""
        web = self.service("a", "b")
        web.budget = RetryBudget(0.5, 0)
        outcomes = []
        for _ in range(10):
            errand = self.errand(web)
            self.admit(errand)
            self.failed(web, errand)
            try:
                self.admit(errand)
                self.give_back(web, errand)
                outcomes.append("again")
            except RouteError:
                outcomes.append("failed")
        self.assertEqual(outcomes, ["failed", "again"] * 5)

    def test_none(self) -> None:
        """``retries: false``: no second try."""
        web = self.service("a", "b")
        errand = self.errand(web, retries=0)
        self.admit(errand)
        self.failed(web, errand)
        self.assertEqual(self.reason(errand), ("downstream", "econnrefused"))

    def test_paid_once(self) -> None:
        """What was granted when the proxy asked is not paid for again at the checkout, and only for one try."""
        web = self.service("a", "b")
        web.budget = RetryBudget(0.0, 1)
        errand = self.errand(web)
        self.admit(errand)
        self.failed(web, errand)
        self.assertTrue(may_repeat(errand, 1, 0.0))
        self.admit(errand)
        self.failed(web, errand, "closed")
        self.assertEqual(self.reason(errand), ("downstream", "closed"))

    def test_last_real_error(self) -> None:
        """When the others have gone down meanwhile, the client still hears what has happened to it."""
        web = self.service("a")
        web.budget = RetryBudget(0.0, 10)
        errand = self.errand(web)
        self.admit(errand)
        self.failed(web, errand)
        web.replicas[0].healthy = False
        web.refresh()
        self.assertEqual(self.reason(errand), ("downstream", "econnrefused"))
        self.assertEqual(web.rejected, {"no_replica": 1})


class Waiting(AdmissionCase):
    """The queue."""

    def setUp(self) -> None:
        """A service with one replica for one request at a time, which has one."""
        super().setUp()
        self.web = self.service("a", length=3)
        self.web.replicas[0].max_connections = 1
        self.holder = self.errand(self.web)
        self.admit(self.holder)

    def waiting(self) -> tuple[Errand, Deferred[Any]]:
        """One more request, which waits."""
        errand = self.errand(self.web)
        waits = self.admit(errand)
        self.assertNoResult(waits)
        return errand, waits

    def test_slot(self) -> None:
        """A slot that is given back goes to the first in the queue, who then holds it."""
        (first, one), (_, two) = self.waiting(), self.waiting()
        self.give_back(self.web, self.holder)
        self.assertIs(self.successResultOf(one), self.web.replicas[0])
        self.assertNoResult(two)
        self.assertIs(first.replica, self.web.replicas[0])
        self.assertEqual((self.web.in_flight, self.web.total), (1, 2))
        self.give_back(self.web, first)
        self.successResultOf(two)

    def test_too_deep(self) -> None:
        """The queue's own bound."""
        for _ in range(3):
            self.waiting()
        self.assertEqual(self.reason(self.errand(self.web)), "backlog_too_deep")
        self.assertEqual(self.web.rejected, {"backlog_too_deep": 1})

    def test_timeout(self) -> None:
        """Waiting in vain holds nothing."""
        errand, waits = self.waiting()
        self.clock.advance(5)
        self.assertEqual(self.failureResultOf(waits, RouteError).value.reason, "backlog_timeout")
        self.assertIsNone(errand.replica)
        self.assertEqual((self.web.in_flight, self.web.rejected), (1, {"backlog_timeout": 1}))

    def test_client_leaves(self) -> None:
        """A client that leaves the queue leaves no trace, and the next one gets the slot."""
        (gone, one), (_, two) = self.waiting(), self.waiting()
        one.addErrback(lambda _: None)
        one.cancel()
        self.give_back(self.web, self.holder)
        self.successResultOf(two)
        self.assertIsNone(gone.replica)
        self.assertEqual(self.web.in_flight, 1)

    def test_replica_comes_back(self) -> None:
        """Those who wait because nobody is up are served when somebody is."""
        web = self.service("a", "b", length=10)
        for one in web.replicas:
            one.healthy = False
        web.refresh()
        waits = [self.admit(self.errand(web)) for _ in range(3)]
        web.replicas[1].healthy = True
        web.refresh()
        wake(web, 0.0)
        self.assertEqual([self.successResultOf(one).key for one in waits], ["b"] * 3)

    def test_nobody_overtakes(self) -> None:
        """A request that comes while others wait gets in line, even if there is a replica that very moment."""
        errand, waits = self.waiting()
        order: list[str] = []
        late: list[Deferred[Any]] = []

        def served(replica: Replica) -> Replica:
            order.append("first")
            self.give_back(self.web, errand)
            late.append(self.admit(self.errand(self.web)))
            return replica

        waits.addCallback(served)
        _, second = self.waiting()
        second.addCallback(lambda _: order.append("second"))
        self.give_back(self.web, self.holder)
        self.assertEqual(order, ["first", "second"])
        self.assertNoResult(late[0])

    def test_many_that_fail_at_once(self) -> None:
        """Thousands who wait, and give up what they get at once, are served one by one, not one inside the other."""
        web = self.service("a", length=5000)
        web.max_connections = 1
        holder = self.errand(web)
        self.admit(holder)
        served = []
        for number in range(5000):
            errand = self.errand(web)

            def done(_: Any, errand: Errand = errand, number: int = number) -> None:
                served.append(number)
                self.give_back(web, errand)

            self.admit(errand).addCallback(done)
        self.give_back(web, holder)
        self.assertEqual(served, list(range(5000)))
        self.assertEqual((web.in_flight, len(web.queue)), (0, 0))

    def test_circuit_opens_meanwhile(self) -> None:
        """Who waits when the circuit opens is refused at the next chance."""
        self.web.breaker = CircuitBreaker(1, 10.0, 5.0, 1)
        _, waits = self.waiting()
        self.web.breaker.ended(self.web.breaker.began(), False, 0.0)
        self.give_back(self.web, self.holder)
        self.assertEqual(self.failureResultOf(waits, RouteError).value.reason, "circuit_open")

    def test_strategy_that_raises(self) -> None:
        """A strategy of one's own that raises fails the request that it was asked for, and no other."""
        (_, one), (_, two) = self.waiting(), self.waiting()
        self.web.strategy = SimpleNamespace(choose=lambda *_: 1 / 0)
        self.give_back(self.web, self.holder)
        self.failureResultOf(one, ZeroDivisionError)
        self.failureResultOf(two, ZeroDivisionError)
        self.web.strategy = First()
        self.admit(self.errand(self.web))

    def test_waiting_again(self) -> None:
        """A request that has waited, and whose try has failed, may wait once more, and is charged for two tries."""
        self.web.budget = RetryBudget(0.0, 10)
        errand, waits = self.waiting()
        self.give_back(self.web, self.holder)
        self.successResultOf(waits)
        self.failed(self.web, errand)
        other = self.errand(self.web)
        self.admit(other)
        again = self.admit(errand)
        self.give_back(self.web, other)
        self.successResultOf(again)
        self.assertEqual((self.web.total, self.web.retried), (4, 1))


class Sessions(AdmissionCase):
    """Who a sticky session may still go to."""

    def given(self, web: Service, wanted: Replica) -> str:
        """Who gets the request whose cookie names `wanted`."""
        sticky = SimpleNamespace(replica_of=lambda request: wanted)
        got: Replica = self.admit(self.errand(web, sticky=sticky))
        return got.key

    def test_holds(self) -> None:
        """The cookie decides, and the strategy is not asked."""
        web = self.service("a", "b")
        self.assertEqual(self.given(web, web.replicas[1]), "b")
        self.assertEqual(web.strategy.given, [])

    def test_falls_back(self) -> None:
        """Where its replica cannot be used, the strategy decides."""
        for name, value in [("healthy", False), ("ejected_until", 9.0), ("admin", "maint")]:
            web = self.service("a", "b")
            setattr(web.replicas[1], name, value)
            web.refresh()
            self.assertEqual(self.given(web, web.replicas[1]), "a", name)

    def test_drain(self) -> None:
        """A replica that drains keeps its sessions and gets no others, even if nobody else is there."""
        web = self.service("a", "b")
        web.replicas[1].admin = "drain"
        web.refresh()
        self.assertEqual(self.given(web, web.replicas[1]), "b")
        web.replicas[0].healthy = False
        web.refresh()
        self.assertEqual(self.given(web, web.replicas[1]), "b")
        self.assertEqual(self.reason(self.errand(web)), "no_replica")

    def test_full(self) -> None:
        """A replica that is full is full for its sessions, too."""
        web = self.service("a", "b")
        web.replicas[1].max_connections = 1
        take(self.errand(web), web.replicas[1])
        self.assertEqual(self.given(web, web.replicas[1]), "a")

    def test_tried(self) -> None:
        """After a failed try with its replica a session goes elsewhere."""
        web = self.service("a", "b")
        web.budget = RetryBudget(0.0, 10)
        errand = self.errand(web, sticky=SimpleNamespace(replica_of=lambda request: web.replicas[1]))
        self.assertEqual(self.admit(errand).key, "b")
        self.failed(web, errand)
        self.assertEqual(self.admit(errand).key, "a")
