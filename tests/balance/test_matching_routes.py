"""Which matcher wins."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import Request, repeatable
from vegurtx.balance.config import MatcherConfig
from vegurtx.balance.matching import Routes, normal_form


def routes(**matchers: Any) -> Routes:
    """A table of ``target=matcher`` (or several), in the order of the call."""
    return Routes(
        [
            (
                [MatcherConfig(**one) for one in (matcher if isinstance(matcher, list) else [matcher])],
                target,
            )
            for target, matcher in matchers.items()
        ]
    )


def found(table: Routes, target: str = "/", **request: Any) -> Any:
    """Where a request goes."""
    return table.match(Request(target, **request))


class Paths(TestCase):
    """By path alone."""

    def test_prefix(self) -> None:
        """In whole segments; a slash at its end says nothing; the query is no part of the path."""
        for prefix in ("/api", "/api/"):
            table = routes(api={"prefix": prefix})
            for target in (
                "/api",
                "/api/",
                "/api/x",
                "/api?x",
                "/api/?x=/y",
                "//api//x",
                "/%61pi/x",
                "/b/../api",
            ):
                self.assertEqual(found(table, target), "api", target)
            for target in ("/", "/apix", "/ap", "/api%2Fx", "/API", "/x/api", "/api;x", "/x?/api", "*"):
                self.assertIsNone(found(table, target), target)

    def test_exact(self) -> None:
        """The whole path, to the last slash."""
        table = routes(a={"path": "/a"}, slash={"path": "/a/"}, root={"path": "/"})
        for target, expected in [("/a", "a"), ("/a?x", "a"), ("/a/", "slash"), ("/", "root"), ("/a/b", None)]:
            self.assertEqual(found(table, target), expected)

    def test_regex(self) -> None:
        """It matches from the begin of the path to its end, in the normal form."""
        table = routes(v={"regex": "/v[0-9]+/.*"}, a={"regex": "/(a|aa)"})
        for target, expected in [
            ("/v1/", "v"),
            ("/%761/x", "v"),
            ("/v1", None),
            ("/x/v1/", None),
            ("/aa", "a"),
            ("/aaa", None),
            ("/a\n", None),
        ]:
            self.assertEqual(found(table, target), expected)
        self.assertIsNone(found(table, "/v1/" + "x" * 5000))

    def test_order(self) -> None:
        """Exact, then regex, then the longest prefix, then no path; whatever the order of the file."""
        matchers = {
            "none": {"prefix": "/"},
            "short": {"prefix": "/a"},
            "long": {"prefix": "/a/b"},
            "regex": {"regex": "/a/b/r.*"},
            "exact": {"path": "/a/b/r"},
        }
        for order in (list(matchers), list(matchers)[::-1]):
            table = routes(**{name: matchers[name] for name in order})
            for target, expected in [
                ("/a/b/r", "exact"),
                ("/a/b/rx", "regex"),
                ("/a/b/x/y", "long"),
                ("/a/bx", "short"),
                ("/ax", "none"),
                ("/", "none"),
                ("*", "none"),
            ]:
                self.assertEqual(found(table, target), expected, target)

    def test_same_path(self) -> None:
        """Of two that say the same, the first in the file."""
        self.assertEqual(found(routes(one={"prefix": "/a"}, two={"prefix": "/a/"}), "/a"), "one")
        self.assertEqual(found(routes(one={"regex": "/a.*"}, two={"regex": "/.*"}), "/a"), "one")

    def test_ambiguous(self) -> None:
        """A path that can be read in different ways matches nothing, unless no matcher is about paths."""
        api = routes(all={"prefix": "/"}, api={"prefix": "/api"})
        everything = routes(all={"prefix": "/"}, get={"method": ["GET"], "prefix": "/"})
        for target in ("/api/..%2fadmin", "/api/..;/x", "/../api", "/%"):
            self.assertIsNone(found(api, target), target)
            self.assertEqual(found(everything, target), "get")

    def test_many_prefixes(self) -> None:
        """Any number of them, nested ones too."""
        matchers: dict[str, Any] = {f"s{at}": {"prefix": f"/s{at}"} for at in range(300)}
        matchers |= {f"s{at}x": {"prefix": f"/s{at}/x/y"} for at in range(300)}
        table = routes(**matchers)
        for target, expected in [
            ("/s7", "s7"),
            ("/s7/x", "s7"),
            ("/s7/x/y", "s7x"),
            ("/s77/x/y/z/q/r/s", "s77x"),
            ("/s7x", None),
            ("/", None),
            ("/s7/x/yy", "s7"),
        ]:
            self.assertEqual(found(table, target), expected)

    def test_several_conditions_on_the_path(self) -> None:
        """All of them must hold."""
        table = routes(
            both={"prefix": "/a", "regex": "/.*x"},
            all={"path": "/b/x", "prefix": "/b", "regex": ".*"},
            no={"path": "/c", "prefix": "/d"},
        )
        for target, expected in [
            ("/a/x", "both"),
            ("/a/y", None),
            ("/bx", None),
            ("/b/x", "all"),
            ("/c", None),
        ]:
            self.assertEqual(found(table, target), expected)

    def test_nonsense(self) -> None:
        """What can match nothing is refused."""
        for matcher in ({"prefix": "/a/..%2fb"}, {"path": "/%"}, {"prefix": "/../a"}):
            with self.assertRaisesRegex(ValueError, "different ways"):
                routes(a=matcher)
        self.assertIsNone(found(Routes([])))


class Hosts(TestCase):
    """By host."""

    def test_order(self) -> None:
        """An exact one, then the longer wildcard, then none; before any path."""
        table = routes(
            none={"path": "/x"},
            all={"host": "*.example.com", "prefix": "/"},
            shop={"host": "*.shop.example.com"},
            exact={"host": "a.shop.example.com"},
            api={"host": "*.shop.example.com", "prefix": "/api"},
        )
        for host, target, expected in [
            ("a.shop.example.com", "/x", "exact"),
            ("b.shop.example.com", "/x", "shop"),
            ("b.shop.example.com", "/api/x", "api"),
            ("c.b.shop.example.com", "/x", "shop"),
            ("shop.example.com", "/x", "all"),
            ("example.com", "/x", "none"),
            ("example.com", "/y", None),
            ("notexample.com", "/y", None),
            ("a.example.com.", "/y", "all"),
            (".example.com", "/y", None),
            (f"{'a.' * 2000}example.com", "/y", None),
        ]:
            self.assertEqual(found(table, target, host=host), expected, host)

    def test_list(self) -> None:
        """Any of them."""
        table = routes(both={"host": ["a.example", "*.b.example"]})
        for host, expected in [("a.example", "both"), ("x.b.example", "both"), ("b.example", None)]:
            self.assertEqual(found(table, host=host), expected)

    def test_addresses(self) -> None:
        """IPv6 addresses in any spelling."""
        table = routes(six={"host": "[2001:db8::1]"}, four={"host": "192.0.2.1"})
        for host, expected in [("[2001:db8:0:0::1]", "six"), ("192.0.2.1", "four"), ("[::1]", None)]:
            self.assertEqual(found(table, host=host), expected)

    def test_a_host_that_lacks_the_path(self) -> None:
        """Where the host's own matchers do not hold, those of the next host are asked."""
        table = routes(a={"host": "a.example", "prefix": "/a"}, any={"prefix": "/"})
        self.assertEqual(found(table, "/b", host="a.example"), "any")


class Order(TestCase):
    """The order as a whole."""

    def test_priority(self) -> None:
        """Before everything else; below zero, behind."""
        table = routes(
            exact={"host": "a.example", "path": "/x"},
            first={"prefix": "/x", "priority": 5, "method": "GET"},
            last={"path": "/y", "priority": -1},
            some={"prefix": "/y"},
        )
        self.assertEqual(found(table, "/x", host="a.example"), "first")
        self.assertEqual(found(table, "/x", host="a.example", method="POST"), "exact")
        self.assertEqual(found(table, "/y"), "some")

    def test_more_conditions(self) -> None:
        """Of the same host and path, the one with more conditions; where these fail, the next one."""
        table = routes(
            plain={"prefix": "/a"},
            post={"prefix": "/a", "method": "POST"},
            beta={"prefix": "/a", "method": "POST", "header": {"X-Beta": True}},
            short={"prefix": "/", "method": "POST", "header": {"X-Beta": True, "X": True}},
        )
        headers = [(b"X-Beta", b""), (b"x", b"")]
        self.assertEqual(found(table, "/a/b", method="POST", headers=headers), "beta")
        self.assertEqual(found(table, "/a/b", method="POST"), "post")
        self.assertEqual(found(table, "/a/b", headers=headers), "plain")
        self.assertEqual(found(table, "/b", method="POST", headers=headers), "short")

    def test_fails_to_the_next_path(self) -> None:
        """Where an exact path's other conditions fail a regex is asked, then a prefix, then a shorter one."""
        table = routes(
            exact={"path": "/a/b", "method": "PUT"},
            regex={"regex": "/a/.*", "method": "POST"},
            long={"prefix": "/a/b", "method": "PATCH"},
            short={"prefix": "/a", "method": ["GET", "DELETE"]},
            none={"prefix": "/", "method": "HEAD"},
        )
        for method, expected in [
            ("PUT", "exact"),
            ("POST", "regex"),
            ("PATCH", "long"),
            ("DELETE", "short"),
            ("HEAD", "none"),
            ("get", None),
        ]:
            self.assertEqual(found(table, "/a/b", method=method), expected)

    def test_any_of_a_list(self) -> None:
        """A service has several matchers; the most specific counts."""
        table = routes(a=[{"prefix": "/a"}, {"path": "/b/x"}], b={"prefix": "/b"})
        for target, expected in [("/a", "a"), ("/b/x", "a"), ("/b", "b")]:
            self.assertEqual(found(table, target), expected)

    @repeatable
    @given(st.data())
    def test_as_the_rules_say(self, data: st.DataObject) -> None:
        """The compiled table says the same as the rules, asked one matcher after the other."""
        paths = st.sampled_from(["/", "/a", "/a/b", "/a/b/c", "/ab", "/a/", "/b"])
        one = st.fixed_dictionaries(
            {},
            optional={
                "host": st.sampled_from(["a.x", "b.a.x", "*.x", "*.a.x"]),
                "path": paths,
                "prefix": paths,
                "regex": st.sampled_from(["/a.*", "/.*b", ".*"]),
                "method": st.sampled_from(["GET", "POST"]),
                "header": st.just({"X": True}),
                "priority": st.sampled_from([0, 0, 1]),
            },
        ).filter(lambda matcher: set(matcher) - {"priority"})
        several = data.draw(st.lists(one, min_size=1, max_size=8))
        if data.draw(st.booleans()):  # so many prefixes that they are found another way
            several += [{"prefix": f"/many{at}"} for at in range(30)]
        matchers = [MatcherConfig(**matcher) for matcher in several]
        table = Routes([([matcher], at) for at, matcher in enumerate(matchers)])
        request = Request(
            data.draw(st.sampled_from(["/", "/a", "/a/b", "/a/b/c/d", "/ab", "/b/x", "/a/"])),
            host=data.draw(st.sampled_from(["a.x", "b.a.x", "c.b.a.x", "x", "y"])),
            method=data.draw(st.sampled_from(["GET", "POST"])),
            headers=data.draw(st.sampled_from([(), [(b"x", b"1")]])),
        )
        able = [at for at, matcher in enumerate(matchers) if holds(matcher, request)]
        expected = min(able, key=lambda at: rank(matchers[at], at, request), default=None)
        self.assertEqual(table.match(request), expected)


def holds(matcher: MatcherConfig, request: Request) -> bool:
    """Whether all conditions hold."""
    path = normal_form(request.path) or ""
    prefix = (matcher.prefix or "").rstrip("/")
    hosts = [
        host
        for host in matcher.host
        if request.host == host or (host.startswith("*.") and request.host.endswith(host[1:]))
    ]
    return (
        (not matcher.host or bool(hosts))
        and (matcher.path is None or matcher.path == path)
        and (not prefix or path == prefix or path.startswith(prefix + "/"))
        and (matcher.regex is None or re_whole(matcher.regex, path))
        and (not matcher.method or request.method in matcher.method)
        and (not matcher.header or "X" in request.headers)
    )


def re_whole(regex: str, path: str) -> bool:
    """Whether it matches the whole."""
    return re.fullmatch(regex, path) is not None


def rank(matcher: MatcherConfig, at: int, request: Request) -> tuple[Any, ...]:
    """The documented order; the least wins."""
    prefix = (matcher.prefix or "").rstrip("/")
    host = matcher.host[0] if matcher.host else None
    hosted = (2, 0) if host is None else (1, -len(host)) if host.startswith("*") else (0, 0)
    on_path = [matcher.path is not None, matcher.regex is not None, bool(prefix)]
    if matcher.path is not None:
        where: tuple[int, int] = (0, 0)
    elif matcher.regex is not None:
        where = (1, 0)
    else:
        where = (2, -len(prefix))
    others = len(matcher.method) + len(matcher.header) + max(0, sum(on_path) - 1)
    return (-matcher.priority, hosted, where, -others, at)
