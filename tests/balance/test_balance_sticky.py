"""The sticky cookie: what it says, who believes it, and for how long."""

from __future__ import annotations

import string
from typing import Any

from balance_fakes import FakeRequest, replica, service
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from vegurtx.balance.config import StickyConfig
from vegurtx.balance.replica import Replica, Service
from vegurtx.balance.sticky import StickySessions

SECRET = b"nobody can guess this one"


def sessions(web: Service, secret: bytes = SECRET, **options: Any) -> StickySessions:
    """The sessions of a service."""
    return StickySessions(StickyConfig(**options), web, secret)


def pair(value: str) -> str:
    """What a browser sends back for a ``Set-Cookie``."""
    return value.partition(";")[0]


def found(sticky: StickySessions, cookie: str) -> Replica | None:
    """Whom a request with this ``Cookie`` field is for."""
    return sticky.replica_of(FakeRequest(cookie=cookie))


class Cookies(TestCase):
    """One cookie, there and back."""

    def setUp(self) -> None:
        """A service with three replicas."""
        self.web = service("http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.3:80")
        self.sticky = sessions(self.web)

    def test_round_trip(self) -> None:
        """What is set for a replica leads to it, wherever it stands in the field, quoted or not."""
        for one in self.web.replicas:
            cookie = pair(self.sticky.set_cookie(one))
            name, _, value = cookie.partition("=")
            for field in (
                cookie,
                f"a=b; {cookie}",
                f"{cookie}; c=d",
                f"a=b;{cookie};c=d",
                f'x=1; {name}="{value}"',
            ):
                self.assertIs(found(self.sticky, field), one, field)

    def test_no_cookie(self) -> None:
        """Other cookies, and none, say nothing."""
        self.assertIsNone(self.sticky.replica_of(FakeRequest()))
        cookie = pair(self.sticky.set_cookie(self.web.replicas[0]))
        for field in (
            "",
            "a=b",
            f"not{cookie}",
            f"a={cookie}",
            "vegurtx",
            "vegurtx=",
            f"{cookie}x",
            f"{cookie[:-1]}",
        ):
            self.assertIsNone(found(self.sticky, field), field)

    def test_several(self) -> None:
        """Of several cookies of the name, as different paths may set them, the one that is ours counts."""
        cookie = pair(self.sticky.set_cookie(self.web.replicas[2]))
        self.assertIs(found(self.sticky, f"vegurtx=theirs; {cookie}"), self.web.replicas[2])

    def test_opaque(self) -> None:
        """Nothing of the replica's address can be read in it, and no two are alike."""
        values = [self.sticky.set_cookie(one) for one in self.web.replicas]
        self.assertEqual(len(set(values)), 3)
        for value in values:
            self.assertNotIn("10.0.0", value)
            self.assertRegex(pair(value), r"\Avegurtx=[0-9a-f]{16}\.[0-9a-f]{32}\Z")

    def test_forged(self) -> None:
        """One replica's name with another's signature, and any change of a digit, is worth nothing."""
        one, two = (pair(self.sticky.set_cookie(each)) for each in self.web.replicas[:2])
        self.assertIsNone(found(self.sticky, one.partition(".")[0] + "." + two.partition(".")[2]))
        for place in range(len("vegurtx="), len(one)):
            if one[place] != ".":
                other = "0" if one[place] != "0" else "1"
                self.assertIsNone(found(self.sticky, one[:place] + other + one[place + 1 :]))

    def test_secret(self) -> None:
        """The same secret makes the same cookies in the next process; another one's are worth nothing."""
        cookie = pair(self.sticky.set_cookie(self.web.replicas[0]))
        restarted = service(*(one.key for one in self.web.replicas))
        self.assertIs(found(sessions(restarted), cookie), restarted.replicas[0])
        self.assertIsNone(found(sessions(restarted, b"another"), cookie))

    def test_another_service(self) -> None:
        """A cookie is good for its own service only, also where two share a replica and a secret."""
        cookie = pair(self.sticky.set_cookie(self.web.replicas[0]))
        other = Service("other", None, None, [replica(one.key) for one in self.web.replicas])
        self.assertIsNone(found(sessions(other), cookie))

    def test_membership(self) -> None:
        """Replicas that come are named, those that go are forgotten, those that stay keep their cookie."""
        first, second, third = self.web.replicas
        cookies = [pair(self.sticky.set_cookie(one)) for one in (first, second)]
        new = replica("http://10.0.0.4:80")
        self.web.set_replicas([second, third, new])
        self.assertIsNone(found(self.sticky, cookies[0]))
        self.assertIs(found(self.sticky, cookies[1]), second)
        self.assertIs(found(self.sticky, pair(self.sticky.set_cookie(new))), new)

    def test_replica_that_has_just_gone(self) -> None:
        """A response of a replica that a reload has just taken out can still be sent."""
        gone = self.web.replicas[0]
        self.web.set_replicas(self.web.replicas[1:])
        self.assertIsNone(found(self.sticky, pair(self.sticky.set_cookie(gone))))

    def test_attributes(self) -> None:
        """The configured attributes, as browsers read them (RFC 6265 section 4.1)."""
        rest = self.sticky.set_cookie(self.web.replicas[0]).partition("; ")[2]
        self.assertEqual(rest, "Path=/; HttpOnly; SameSite=Lax")
        full = sessions(
            self.web, cookie="s", max_age=60, path="/app", secure=True, http_only=False, same_site="None"
        ).set_cookie(self.web.replicas[0])
        self.assertTrue(full.startswith("s="))
        self.assertEqual(full.partition("; ")[2], "Path=/app; Max-Age=60; Secure; SameSite=None")

    def test_odd_names(self) -> None:
        """A cookie's name may have characters that mean something in a pattern."""
        sticky = sessions(self.web, cookie="a.b*c|d")
        cookie = pair(sticky.set_cookie(self.web.replicas[0]))
        self.assertIs(found(sticky, cookie), self.web.replicas[0])
        self.assertIsNone(found(sticky, cookie.replace("a.b*c|d", "axb*c|d")))

    @given(st.text(string.printable, max_size=200))
    def test_any_field(self, field: str) -> None:
        """No field makes it fail, and none that we did not make means anything."""
        self.assertIsNone(found(self.sticky, field))
