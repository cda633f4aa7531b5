"""Names of replicas, looked up again and again; on a clock that is turned by hand and with a scripted resolver."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.balance.health_fakes import logged
from vegurtx.balance.names import AT_ONCE, MOST_ADDRESSES, Name, Names, backend_at, is_numeric, members_at
from vegurtx.message import Backend, BackendTLS
from vegurtx.testing import ProxyTestCase


class Question:
    """One look-up, as the resolver sees it."""

    def __init__(self, receiver: Any, host: str) -> None:
        self.receiver = receiver
        self.host = host
        receiver.resolutionBegan(self)

    def answer(self, *hosts: str) -> None:
        """These are the addresses."""
        for host in hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            self.receiver.addressResolved(kind("TCP", host, 0))
        self.receiver.resolutionComplete()


class ScriptedReactor(Clock):
    """A clock whose name resolver answers when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = self
        self.questions: list[Question] = []

    def resolveHostName(self, receiver: Any, hostName: str, **more: Any) -> Question:
        """See `IHostnameResolver`."""
        question = Question(receiver, hostName)
        self.questions.append(question)
        return question

    def answer(self, *hosts: str) -> None:
        """The oldest open question is answered."""
        self.questions.pop(0).answer(*hosts)


class NamesCase(TestCase):
    """Names without chance."""

    chance = 0.5

    def setUp(self) -> None:
        """A reactor, and what changes; nothing is left after the test."""
        self.reactor = ScriptedReactor()
        self.changes: list[tuple[str, tuple[str, ...]]] = []
        self.names = Names(self.reactor, self.changed, chance=lambda: self.chance)
        self.lines = logged(self)
        self.addCleanup(self.nothing_is_left)

    def changed(self, name: Name) -> None:
        """Note it."""
        self.changes.append((name.host, name.addresses))

    def nothing_is_left(self) -> None:
        """`stop` leaves no delayed call."""
        self.names.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def known(self, *addresses: str) -> Name:
        """A name whose first answer has come."""
        name = self.names.watch("app.example")
        self.reactor.advance(0)
        self.reactor.answer(*addresses)
        return name


class Asking(NamesCase):
    """When the resolver is asked."""

    def test_first(self) -> None:
        """Soon, but not within `watch`; the answer is told."""
        self.names.watch("app.example")
        self.assertEqual(self.reactor.questions, [])
        self.reactor.advance(0)
        self.assertEqual([question.host for question in self.reactor.questions], ["app.example"])
        self.assertEqual(self.names.addresses("app.example"), ())
        self.reactor.answer("10.0.0.1", "fd00::1")
        self.assertEqual(self.changes, [("app.example", ("10.0.0.1", "fd00::1"))])
        self.assertEqual(self.names.addresses("app.example"), ("10.0.0.1", "fd00::1"))

    def test_again(self) -> None:
        """Every 30 seconds; the same addresses in another order are no change."""
        self.known("10.0.0.1", "10.0.0.2")
        self.reactor.advance(29.9)
        self.assertEqual(self.reactor.questions, [])
        self.reactor.advance(0.2)
        self.reactor.answer("10.0.0.2", "10.0.0.1")
        self.assertEqual(len(self.changes), 1)
        self.reactor.advance(30)
        self.reactor.answer("10.0.0.2")
        self.assertEqual(self.changes[1:], [("app.example", ("10.0.0.2",))])
        self.assertEqual(self.lines, ["app.example has moved from 10.0.0.2, 10.0.0.1 to 10.0.0.2"])

    def test_jitter(self) -> None:
        """A tenth, either way."""
        for self.chance, delay in ((0.0, 27.0), (1.0, 33.0)):
            self.known("10.0.0.1")
            (call,) = self.reactor.getDelayedCalls()
            self.assertAlmostEqual(call.getTime() - self.reactor.seconds(), delay)
            self.names.unwatch("app.example")

    def test_failed_connect(self) -> None:
        """It is asked for at once, then not more often than every second, however many connects fail."""
        self.known("10.0.0.1")
        self.reactor.advance(10)
        for _ in range(100):
            self.names.connect_failed("app.example")
        self.reactor.advance(0)
        self.assertEqual(len(self.reactor.questions), 1)
        self.names.connect_failed("app.example")
        self.reactor.answer("10.0.0.1")
        asked = 0
        for _ in range(100):
            self.names.connect_failed("app.example")
            self.reactor.advance(0.05)
            asked += len(self.reactor.questions)
            while self.reactor.questions:
                self.reactor.answer("10.0.0.1")
        self.assertTrue(4 <= asked <= 5, asked)

    def test_failed_connect_of_others(self) -> None:
        """What is not watched is not asked for."""
        self.names.connect_failed("10.0.0.1")
        self.reactor.advance(100)
        self.assertEqual(self.reactor.questions, [])

    def test_failed_connect_never_puts_off(self) -> None:
        """A look-up that comes sooner anyway stays where it is."""
        self.names = Names(self.reactor, self.changed, interval=0.5, chance=lambda: 0.5)
        self.known("10.0.0.1")
        self.names.connect_failed("app.example")
        self.reactor.advance(0.51)
        self.assertEqual(len(self.reactor.questions), 1)

    def test_at_once(self) -> None:
        """So many at the most, as each takes a thread; the others wait for their turn."""
        for number in range(20):
            self.names.watch(f"app{number}.example")
        self.reactor.advance(0)
        seen = []
        for _ in range(20):
            self.assertLessEqual(len(self.reactor.questions), AT_ONCE)
            seen.append(self.reactor.questions[0].host)
            self.reactor.answer("10.0.0.1")
        self.assertEqual(seen, [f"app{number}.example" for number in range(20)])

    def test_one_delayed_call(self) -> None:
        """A name has one at the most, whatever it does."""
        self.names.watch("app.example")
        for _ in range(3):
            self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
            self.reactor.advance(31)
            self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
            self.reactor.answer("10.0.0.1")


class Failing(NamesCase):
    """A name that cannot be resolved keeps what it had."""

    def test_last_known(self) -> None:
        """The addresses stay; one line when it begins, one when it is over."""
        name = self.known("10.0.0.1")
        for _ in range(3):
            self.reactor.advance(31)
            self.reactor.answer()
        self.assertEqual(name.addresses, ("10.0.0.1",))
        self.assertEqual(name.problem, "it has no address")
        self.reactor.advance(31)
        self.reactor.answer("10.0.0.1")
        self.assertEqual(name.problem, "")
        self.assertEqual(len(self.changes), 1)
        self.assertEqual(
            self.lines,
            [
                "app.example cannot be resolved: it has no address; the last known addresses stay",
                "app.example has addresses again: 10.0.0.1",
            ],
        )

    def test_never_known(self) -> None:
        """It is asked for again sooner; nobody is told of nothing."""
        self.known()
        self.assertEqual(self.changes, [])
        self.reactor.advance(2.1)
        self.reactor.answer("10.0.0.1")
        self.assertEqual(len(self.changes), 1)

    def test_silence(self) -> None:
        """A resolver that never answers is waited for a minute; its late answer is not listened to."""
        name = self.known("10.0.0.1")
        self.reactor.advance(31)
        late = self.reactor.questions.pop()
        late.receiver.addressResolved(IPv4Address("TCP", "10.0.0.9", 0))
        self.reactor.advance(61)
        self.assertEqual(name.problem, "the resolver does not answer")
        late.answer("10.0.0.2")
        self.assertEqual(name.addresses, ("10.0.0.1",))
        self.reactor.advance(31)
        self.reactor.answer("10.0.0.3")
        self.assertEqual(name.addresses, ("10.0.0.3",))

    def test_no_name(self) -> None:
        """What cannot be a name does not even reach the resolver, which would never answer."""
        self.names.watch("x" * 70 + ".example")
        self.reactor.advance(0)
        self.assertEqual(self.reactor.questions, [])
        self.assertEqual(self.names.names()[0].problem, "it cannot be a name")

    def test_crash(self) -> None:
        """A resolver that raises is logged, and asked again."""
        self.reactor.resolveHostName = None  # type: ignore[assignment]
        self.names.watch("app.example")
        self.reactor.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)

    def test_odd_answers(self) -> None:
        """Twice the same, what is no address, and far too many."""
        name = self.known(*(f"10.0.{number // 200}.{number % 200}" for number in range(1000)))
        self.assertEqual(len(name.addresses), MOST_ADDRESSES)
        self.reactor.advance(31)
        question = self.reactor.questions.pop()
        question.receiver.addressResolved(IPv4Address("TCP", "not-numeric", 0))
        question.receiver.addressResolved(object())
        question.answer("10.0.0.1", "10.0.0.1")
        self.assertEqual(name.addresses, ("10.0.0.1",))


class Users(NamesCase):
    """A name is looked up once, however many want it."""

    def test_counted(self) -> None:
        """As long as there is one."""
        one = self.names.watch("app.example")
        self.assertIs(self.names.watch("app.example"), one)
        self.reactor.advance(0)
        self.assertEqual(len(self.reactor.questions), 1)
        self.reactor.answer("10.0.0.1")
        self.names.unwatch("app.example")
        self.assertEqual(self.names.addresses("app.example"), ("10.0.0.1",))
        self.names.unwatch("app.example")
        self.assertEqual((self.names.names(), self.reactor.getDelayedCalls()), ([], []))
        self.names.unwatch("app.example")

    def test_unwatch_at_every_point(self) -> None:
        """Resting, waiting for its turn, being asked for: nothing is left, and others have their turn."""
        for number in range(AT_ONCE + 2):
            self.names.watch(f"app{number}.example")
        self.reactor.advance(0)
        self.names.unwatch(f"app{AT_ONCE}.example")  # waits
        self.names.unwatch("app0.example")  # is asked for
        late = self.reactor.questions.pop(0)
        self.assertEqual(self.reactor.questions[-1].host, f"app{AT_ONCE + 1}.example")
        late.answer("10.0.0.1")
        while self.reactor.questions:
            self.reactor.answer("10.0.0.2")
        self.assertNotIn(("app0.example", ("10.0.0.1",)), self.changes)
        self.assertEqual(len(self.reactor.getDelayedCalls()), AT_ONCE)

    def test_unwatch_when_told(self) -> None:
        """Whoever is told of a change may unwatch at once."""
        self.names = Names(self.reactor, lambda name: self.names.unwatch(name.host))
        self.known("10.0.0.1")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """While the resolver is at work; what it says then is not listened to."""
        self.names.watch("app.example")
        self.reactor.advance(0)
        self.names.stop()
        self.reactor.answer("10.0.0.1")
        self.assertEqual((self.changes, self.reactor.getDelayedCalls()), ([], []))


class Backends(TestCase):
    """What addresses make of a back-end."""

    def test_one_address(self) -> None:
        """Connections go to it; another address is another key, so pooled ones to the old one are not taken."""
        named = Backend("app.example", 80, keepalive="default", connect_timeout=3, response_timeout=4)
        moved = backend_at(named, ["10.0.0.1"])
        self.assertEqual((moved.host, moved.port, moved.keepalive), ("10.0.0.1", 80, "default"))
        self.assertEqual((moved.connect_timeout, moved.response_timeout), (3, 4))
        self.assertEqual(moved.key, backend_at(named, ["10.0.0.1"]).key)
        self.assertNotEqual(moved.key, backend_at(named, ["10.0.0.2"]).key)

    def test_several_addresses(self) -> None:
        """The connect chooses by the name; a change is another key, an order is not."""
        named = Backend("localhost", 80)
        several = backend_at(named, ["::1", "127.0.0.1"])
        self.assertEqual(several.host, "localhost")
        self.assertEqual(several.key, backend_at(named, ["127.0.0.1", "::1"]).key)
        self.assertNotEqual(several.key, named.key)
        self.assertNotEqual(several.key, backend_at(named, ["::1", "127.0.0.2"]).key)
        self.assertEqual(named.key, Backend("localhost", 80).key)

    def test_none(self) -> None:
        """Until the first answer, the name stands for itself."""
        named = Backend("app.example", 80)
        self.assertIs(backend_at(named, []), named)
        self.assertEqual(members_at("http://app.example", named, []), {"http://app.example": named})

    def test_members(self) -> None:
        """Each address is a member of its own."""
        named = Backend("app.example", 80)
        members = members_at("http://app.example", named, ["10.0.0.2", "10.0.0.1"])
        self.assertEqual(
            [(key, backend.host) for key, backend in members.items()],
            [("http://app.example#10.0.0.1", "10.0.0.1"), ("http://app.example#10.0.0.2", "10.0.0.2")],
        )

    def test_tls(self) -> None:
        """The name is asked for and checked, wherever it leads; a name of the file's own stays."""
        for tls, name in ((True, "app.example"), (BackendTLS(server_name="x.example"), "x.example")):
            named = Backend("app.example", 443, tls=tls)
            (member,) = members_at("https://app.example", named, ["10.0.0.1"]).values()
            for moved in (member, backend_at(named, ["10.0.0.1"])):
                assert isinstance(moved.tls, BackendTLS)
                self.assertEqual(
                    (moved.host, moved.tls.server_name, moved.tls.verify), ("10.0.0.1", name, True)
                )
            self.assertEqual(member.key, backend_at(named, ["10.0.0.1"]).key)

    def test_numeric(self) -> None:
        """Addresses are not looked up."""
        self.assertEqual(
            [is_numeric(host) for host in ("127.0.0.1", "::1", "localhost", "1.2.3", "")],
            [True, True, False, False, False],
        )


class RealResolver(ProxyTestCase):
    """The reactor's own resolver."""

    async def test_localhost(self) -> None:
        """It has an address; a name of the reserved top level .invalid has none (RFC 6761)."""
        names = Names(self.reactor, lambda name: None)
        good, bad = names.watch("localhost"), names.watch("name.invalid")
        await self.until(lambda: good.addresses and bad.problem)
        self.assertTrue(set(good.addresses) & {"127.0.0.1", "::1"})
        self.assertEqual((bad.addresses, bad.problem), ((), "it has no address"))
        names.stop()
