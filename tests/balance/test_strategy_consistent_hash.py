"""ConsistentHash, its ring, and what is hashed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import Request, chosen, repeatable, replicas, shares, strategy
from vegurtx.balance.replica import Replica, Service
from vegurtx.balance.strategies.keys import key_of, parameters, point_of
from vegurtx.balance.strategies.ring import Ring


def by_user(number: int) -> Request:
    """The request of a user."""
    return Request(headers=[(b"X-User", b"user-%d" % number)])


def homes(one: Any, listed: list[Replica], count: int) -> list[Replica]:
    """Where the first `count` users go."""
    return [chosen(one, listed, 1, request=by_user(number))[0] for number in range(count)]


class Hashes(TestCase):
    """The same key, the same replica."""

    def setUp(self) -> None:
        """A service of ten replicas."""
        self.all_of = replicas(*[1] * 10)
        self.one: Any = strategy("ConsistentHash", {"on": "header:X-User"})
        self.service = Service("s", None, self.one, self.all_of)

    def test_stable(self) -> None:
        """The same key goes to the same replica, also by another process's strategy, in whatever order they stand."""
        first = homes(self.one, self.service.available, 200)
        self.assertEqual(homes(self.one, self.service.available, 200), first)
        other = strategy("ConsistentHash", {"on": "header:x-user"})
        same = replicas(*[1] * 10)[::-1]
        keys = [replica.key for replica in homes(other, same, 200)]
        self.assertEqual(keys, [replica.key for replica in first])

    def test_balanced(self) -> None:
        """Nobody has much more than the share."""
        counts = shares(homes(self.one, self.service.available, 10_000), self.all_of)
        self.assertGreater(min(counts), 700)
        self.assertLess(max(counts), 1300)

    def test_weights(self) -> None:
        """Three times the weight, about three times the keys; 0: none."""
        self.service.set_replicas(all_of := replicas(1, 3, 0, 4))
        counts = shares(homes(self.one, self.service.available, 8000), all_of)
        self.assertEqual(counts[2], 0)
        for count, fair in zip(counts, (1000, 3000, 0, 4000), strict=True):
            self.assertApproximates(count, fair, 0.25 * fair)

    def test_one_goes(self) -> None:
        """Removing one of ten moves its keys, about a tenth, to all of the others, and nobody else's."""
        before = homes(self.one, self.service.available, 5000)
        gone = self.all_of[3]
        self.service.set_replicas([replica for replica in self.all_of if replica is not gone])
        after = homes(self.one, self.service.available, 5000)
        moved = [new for old, new in zip(before, after, strict=True) if old is not new]
        self.assertEqual(len(moved), before.count(gone))
        self.assertApproximates(len(moved), 500, 150)
        self.assertEqual(len(set(moved)), 9)

    def test_one_is_down(self) -> None:
        """The same while a replica is down; afterwards its keys come back."""
        before = homes(self.one, self.service.available, 1000)
        self.all_of[3].healthy = False
        self.service.refresh()
        during = homes(self.one, self.service.available, 1000)
        for old, new in zip(before, during, strict=True):
            self.assertEqual(old is not new, old is self.all_of[3])
        self.all_of[3].healthy = True
        self.service.refresh()
        self.assertEqual(homes(self.one, self.service.available, 1000), before)

    def test_one_comes(self) -> None:
        """A new replica takes its share from everybody, and nothing else moves."""
        before = homes(self.one, self.service.available, 3000)
        self.service.set_replicas([*self.all_of, new := replicas(*[1] * 11)[10]])
        after = homes(self.one, self.service.available, 3000)
        self.assertEqual({now for old, now in zip(before, after, strict=True) if old is not now}, {new})
        self.assertApproximates(after.count(new), 3000 / 11, 100)

    def test_retry(self) -> None:
        """A retry goes where the key goes when the replica is down."""
        for number in range(50):
            home = chosen(self.one, self.service.available, 1, request=by_user(number))[0]
            others = [replica for replica in self.all_of if replica is not home]
            again = {chosen(self.one, others[:], 1, request=by_user(number))[0] for _ in range(3)}
            self.assertEqual(len(again), 1)
            self.assertNotIn(home, again)
            self.assertEqual(again, set(chosen(self.one, others, 2, request=by_user(number))))

    def test_few_of_many(self) -> None:
        """Nearly everybody is down: the keys stay with the few by their hash."""
        self.service.set_replicas(all_of := replicas(*[1] * 300))
        few = all_of[7:10]
        first = homes(self.one, few, 300)
        self.assertEqual(homes(self.one, list(few), 300), first)
        self.assertGreater(min(shares(first, few)), 50)

    def test_without_key(self) -> None:
        """A request that has no such header gets the next one in turn, never one without a weight."""
        self.assertEqual(shares(chosen(self.one, self.all_of, 20), self.all_of), [2] * 10)
        some = replicas(0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        self.assertEqual(set(chosen(self.one, some, 20)), {some[1]})
        self.assertIsNone(self.one.choose(replicas(0, 0), Request(), 0.0))

    def test_only_zeros(self) -> None:
        """Where nobody has a weight, the request waits."""
        self.service.set_replicas(replicas(0, 0))
        self.assertIsNone(self.one.choose(self.service.available, by_user(1), 0.0))

    def test_reload_with_other_weights(self) -> None:
        """New weights of the same replicas are seen."""
        homes(self.one, self.service.available, 1)
        for replica in self.all_of[1:]:
            replica.weight = 0
        self.service.set_replicas(self.all_of)
        self.assertEqual(set(homes(self.one, self.service.available, 50)), {self.all_of[0]})


class BoundedLoads(TestCase):
    """`bounded_load`: a key that many ask for does not drown its replica."""

    def test_bound(self) -> None:
        """Nobody has more than the bound says, and keys go back when there is room again."""
        one = strategy("ConsistentHash", {"on": "header:X-User", "bounded_load": 1.5})
        service = Service("s", None, one, all_of := replicas(1, 1, 1, 3))
        home = chosen(one, service.available, 1, request=by_user(1))[0]
        for _ in range(60):
            service.took(chosen(one, service.available, 1, request=by_user(1))[0])
        for replica in all_of:
            self.assertLessEqual(replica.in_flight, 1.5 * 61 / 4 * replica.weight / 1.5 + 1)
        self.assertEqual(sum(replica.in_flight for replica in all_of), 60)
        for _ in range(home.in_flight):
            service.gave_back(home)
        self.assertEqual(chosen(one, service.available, 1, request=by_user(1)), [home])

    def test_all_beyond(self) -> None:
        """Who alone is left serves, whatever it has."""
        one = strategy("ConsistentHash", {"on": "header:X-User", "bounded_load": 1.1})
        service = Service("s", None, one, all_of := replicas(1, 1))
        service.in_flight = all_of[0].in_flight = 50
        self.assertEqual(chosen(one, all_of[:1], 1, request=by_user(1)), [all_of[0]])

    def test_without_service(self) -> None:
        """Replicas that belong to no service are counted themselves."""
        one = strategy("ConsistentHash", {"on": "header:X-User", "bounded_load": 2})
        all_of = replicas(1, 1, 1)
        for _ in range(30):
            chosen(one, all_of, 1, request=by_user(5))[0].in_flight += 1
        self.assertLessEqual(max(replica.in_flight for replica in all_of), 21)


class Rings(TestCase):
    """The circle itself."""

    @repeatable
    @given(st.integers(0, 2**64 - 1), st.integers(1, 6))
    def test_owner_is_the_first(self, point: int, count: int) -> None:
        """The owner is the first of those who follow; the end of the circle is its begin."""
        ring = Ring([(b"r%d" % at, 1.0) for at in range(count)])
        following = list(ring.owners(point, 10_000))
        self.assertEqual(ring.owner(point), following[0])
        self.assertEqual(len(following), len(ring))
        self.assertEqual(set(following), set(range(count)))
        self.assertEqual(ring.owner(2**64 - 1), ring.owner(0))

    def test_sizes(self) -> None:
        """Enough points for few members, not too many for very many; weights far apart do not make it huge."""
        self.assertEqual(len(Ring(())), 0)
        self.assertEqual(len(Ring([(b"r", 0.0)])), 0)
        self.assertEqual(len(Ring([(b"r%d" % at, 1.0) for at in range(10)])), 1280)
        self.assertEqual(len(Ring([(b"r%d" % at, 1000.0) for at in range(10)])), 1250)
        self.assertLess(len(Ring([(b"r%d" % at, 1.0) for at in range(5000)])), 300_000)
        self.assertLess(len(Ring([(b"a", 1e6), (b"b", 1e-6)])), 400)


class Keys(TestCase):
    """What is hashed."""

    def test_client_address(self) -> None:
        """Without the port; IPv4 inside IPv6 as IPv4; a UNIX socket's client has none."""
        for spelling in ("client_address", "client", "Client Address", "ip", " address "):
            key = key_of(spelling)
            for peer, expected in [
                (IPv4Address("TCP", "192.0.2.1", 1), b"192.0.2.1"),
                (IPv6Address("TCP", "::ffff:192.0.2.1", 2), b"192.0.2.1"),
                (IPv6Address("TCP", "2001:db8::1", 2), b"2001:db8::1"),
                (UNIXAddress(b"/x"), None),
            ]:
                self.assertEqual(key(Request(peer=peer)), expected)

    def test_header(self) -> None:
        """The first field's value; an empty one is none."""
        key = key_of("header:X-User")
        self.assertEqual(key(Request(headers=[(b"x-user", b"a"), (b"X-User", b"b")])), b"a")
        self.assertIsNone(key(Request(headers=[(b"X-User", b"")])))
        self.assertIsNone(key(Request()))

    def test_cookie(self) -> None:
        """By its whole name, in quotes or not, in whichever field it stands."""
        key = key_of("cookie:id")
        for value, expected in [
            (b"id=7", b"7"),
            (b"a=1; id=7; b=2", b"7"),
            (b'xid=1;id="7"', b"7"),
            (b"xid=7", None),
            (b"id=", None),
            (b"id", None),
            (b"a=id=7", None),
        ]:
            self.assertEqual(key(Request(headers=[(b"Cookie", b"z=0"), (b"cookie", value)])), expected, value)
        self.assertIsNone(key(Request()))

    def test_path_and_query(self) -> None:
        """The path without the query; a parameter, decoded."""
        request = Request("/a%20b?x=1&user=a+b%21&user=c")
        self.assertEqual(key_of("path")(request), b"/a%20b")
        self.assertEqual(key_of("query:user")(request), b"a b!")
        self.assertIsNone(key_of("query:y")(request))
        self.assertIsNone(key_of("query:x")(Request("/?x")))

    def test_parameters(self) -> None:
        """As forms are encoded."""
        self.assertEqual(
            parameters("a=1&&b&=2&a=%41%zz&a%3D=3&c=d=e"),
            {b"a": [b"1", b"A%zz"], b"b": [b""], b"": [b"2"], b"a=": [b"3"], b"c": [b"d=e"]},
        )
        self.assertEqual(parameters(""), {})

    def test_point_is_fixed(self) -> None:
        """Processes and releases agree."""
        self.assertEqual(point_of(b"a"), 0x40F89E395B66422F)

    def test_nonsense(self) -> None:
        """Whatever cannot be hashed is refused with what can."""
        for on in ("", "header", "header:", "header:a b", "cookie:", "query:", "uri", "path:x", 7, None):
            with self.assertRaisesRegex(ValueError, "client_address, path, header:NAME"):
                key_of(on)  # type: ignore[arg-type]
