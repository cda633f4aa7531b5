"""Replicas and services: who can be chosen, and how much each one has."""

from __future__ import annotations

from balance_fakes import replica, service
from twisted.trial.unittest import TestCase


class Replicas(TestCase):
    """One replica's health and weight."""

    def test_starts_up(self) -> None:
        """A replica that nobody has probed yet is up."""
        one = replica()
        self.assertTrue(one.available)
        self.assertEqual(one.state, "up")

    def test_every_reason_not_to_choose_it(self) -> None:
        """Down, ejected and taken out by hand each make it unavailable, and are told apart."""
        for name, value, state in [
            ("healthy", False, "down"),
            ("ejected_until", 5.0, "ejected"),
            ("admin", "drain", "drain"),
            ("admin", "maint", "maint"),
        ]:
            one = replica()
            setattr(one, name, value)
            self.assertTrue(one.refresh(), name)
            self.assertFalse(one.refresh(), name)
            self.assertFalse(one.available)
            self.assertEqual(one.state, state)

    def test_slow_start(self) -> None:
        """During a slow start the weight grows from a tenth to the whole, and then the start is forgotten."""
        one = replica(weight=4.0)
        one.slow_start, one.slow_start_since = 10.0, 100.0
        weights = [one.effective_weight(now) for now in (100.0, 105.0, 109.0)]
        self.assertEqual(weights, [0.4, 2.0, 3.6])
        self.assertEqual(one.effective_weight(110.0), 4.0)
        self.assertIsNone(one.slow_start_since)

    def test_slow_start_that_was_turned_off(self) -> None:
        """A reload may turn slow start off while one is under way: the weight is whole at once."""
        one = replica()
        one.slow_start_since = 100.0
        self.assertEqual(one.effective_weight(100.0), 1.0)


class Services(TestCase):
    """Who can be chosen."""

    def test_available_is_a_new_list_with_each_change(self) -> None:
        """Strategies keep what they know of a list by its identity: it is replaced, and only when it has changed."""
        web = service("a", "b")
        before = web.available
        web.refresh()
        self.assertIs(web.available, before)
        web.replicas[0].healthy = False
        web.refresh()
        self.assertEqual([one.key for one in web.available], ["b"])
        self.assertEqual([one.key for one in before], ["a", "b"])

    def test_replicas_anew(self) -> None:
        """Replicas that are set again may have other weights: that is a new list, too."""
        web = service("a")
        before = web.available
        web.set_replicas(web.replicas)
        self.assertIsNot(web.available, before)
        self.assertEqual(web.available, before)

    def test_panic(self) -> None:
        """With a smaller share than the threshold up, health is ignored; what was taken out by hand stays out."""
        web = service("a", "b", "c", "d")
        web.panic_threshold = 0.5
        web.replicas[0].admin = "maint"
        for one, available, panicking in [
            (1, "cd", False),
            (2, "bcd", True),
            (3, "bcd", True),
        ]:
            web.replicas[one].healthy = False
            web.refresh()
            self.assertEqual("".join(r.key for r in web.available), available)
            self.assertEqual(web.panicking, panicking)
        for one in web.replicas:
            one.healthy = True
        web.refresh()
        self.assertFalse(web.panicking)

    def test_no_panic_by_default(self) -> None:
        """Without a threshold a service of which nothing is up has nothing to choose."""
        web = service("a", "b")
        for one in web.replicas:
            one.healthy = False
        web.refresh()
        self.assertEqual((web.available, web.panicking), ([], False))

    def test_everything_taken_out(self) -> None:
        """What an operator takes out, all of it, is no panic."""
        web = service("a")
        web.panic_threshold = 1.0
        web.replicas[0].admin = "maint"
        web.refresh()
        self.assertEqual((web.available, web.panicking), ([], False))

    def test_full_replicas_are_no_candidates(self) -> None:
        """A replica with as many requests as it may have is left out until it gives one back."""
        web = service("a", "b")
        first, second = web.replicas
        first.max_connections = 2
        self.assertIs(web.candidates, web.available)
        web.took(first)
        self.assertIs(web.candidates, web.available)
        web.took(first)
        self.assertEqual(web.candidates, [second])
        self.assertIs(web.candidates, web.candidates)
        web.gave_back(first)
        self.assertIs(web.candidates, web.available)
        self.assertEqual((first.in_flight, first.total, web.in_flight, web.total), (1, 2, 1, 2))

    def test_one_of_several_full_ones(self) -> None:
        """With several full, who gives one back is a candidate again, and the others are not."""
        web = service("a", "b", "c")
        for one in web.replicas:
            one.max_connections = 1
        first, second, third = web.replicas
        web.took(first)
        web.took(second)
        self.assertEqual(web.candidates, [third])
        web.gave_back(first)
        self.assertEqual(web.candidates, [first, third])

    def test_full_ones_that_go_and_come(self) -> None:
        """A full replica that goes down and comes up again is full still, and not counted twice."""
        web = service("a", "b")
        first = web.replicas[0]
        first.max_connections = 1
        web.took(first)
        first.healthy = False
        web.refresh()
        self.assertEqual(web.full, 0)
        web.gave_back(first)
        self.assertEqual(web.full, 0)
        web.took(first)
        first.healthy = True
        web.refresh()
        self.assertEqual((web.full, web.candidates), (1, [web.replicas[1]]))

    def test_a_lower_limit(self) -> None:
        """A limit that is lowered below what a replica has lets it give back one by one."""
        web = service("a")
        first = web.replicas[0]
        for _ in range(3):
            web.took(first)
        first.max_connections = 1
        web.set_replicas(web.replicas)
        self.assertEqual(web.candidates, [])
        for left in ([], [], [first]):
            web.gave_back(first)
            self.assertEqual(web.candidates, left)

    def test_the_services_own_limit(self) -> None:
        """The service's own limit is over all replicas."""
        web = service("a", "b")
        self.assertFalse(web.saturated)
        web.max_connections = 2
        web.took(web.replicas[0])
        self.assertFalse(web.saturated)
        web.took(web.replicas[1])
        self.assertTrue(web.saturated)
