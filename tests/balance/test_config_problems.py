"""What is wrong with a file: each line names the place, what was found and what is allowed; all lines at once."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.config import ConfigError, load

URL = "it must be http://HOST:PORT, https://HOST:PORT or unix:/PATH"


class Choosy:
    """A strategy that knows one option."""

    def __init__(self, options: Any) -> None:
        unknown = sorted(set(options) - {"on"})
        if unknown:
            raise ValueError(f"there is no option {unknown[0]!r}; there is on")

    def choose(self, replicas: Any, request: Any, now: float) -> Any:
        """The first one."""
        return replicas[0]


class Failing(Choosy):
    """A class of a user's own that does not work."""

    def __init__(self, options: Any) -> None:
        raise KeyError("nowhere\n")


class Loud(Choosy):
    """A class of a user's own that says too much."""

    def __init__(self, options: Any) -> None:
        raise ValueError("\x1b[31m\n" + "x" * 900)


class Odd(Choosy):
    """A class of a user's own that cannot even be looked at."""

    @property
    def finished(self) -> Any:
        """Not today."""
        raise RuntimeError("odd")


def problems(text: str, **options: Any) -> list[str]:
    """The lines for a file; none if it loads."""
    try:
        load(text, "f.yaml", **options)
    except ConfigError as error:
        return error.problems
    return []


def service(*lines: str, replica: str = "{url: 'http://a'}") -> str:
    """A file with one service; `lines` come from its line 5 on."""
    head = f"services:\n  - name: a\n    matcher: /\n    replicas: [{replica}]\n"
    return head + "".join(f"    {line}\n" for line in lines)


class Lines(SynchronousTestCase):
    """One problem, one line."""

    def said(self, text: str, *expected: str, **options: Any) -> None:
        self.assertEqual(problems(text, **options), [f"f.yaml:{line}" for line in expected])

    def test_none(self) -> None:
        """The files that the others change are in order."""
        self.said(service())

    def test_unknown_keys(self) -> None:
        """At every depth, with the nearest key that there is, or with all of them."""
        self.said(
            service("stratgy: RoundRobin"),
            "5: services[0].stratgy: there is no such key; did you mean 'strategy'?",
        )
        self.said(
            service("queue: {lenght: 5}"),
            "5: services[0].queue.lenght: there is no such key; did you mean 'length'?",
        )
        self.said(
            service(replica="{url: 'http://a', wieght: 5}"),
            "4: services[0].replicas[0].wieght: there is no such key; did you mean 'weight'?",
        )
        self.said(
            service("headers:", "  request: {", "    zzzz: 1}"),
            "7: services[0].headers.request.zzzz: there is no such key; there are set, add, remove",
        )
        self.said("servics: []\n" + service(), "1: servics: there is no such key; did you mean 'services'?")

    def test_missing(self) -> None:
        """The line is that of the mapping where it is missing."""
        self.said("strategy: RoundRobin\n", "1: services: is missing; a file must have one service at least")
        self.said("services: []\n", "1: services: is missing; a file must have one service at least")
        self.said(
            "services:\n\n  - matcher: /\n    replicas: [{}]\n",
            "3: services[0].name: is missing",
            "4: services[0].replicas[0].url: is missing",
        )
        self.said(
            "services: [{name: a, replicas: [{url: 'http://a'}]}]",
            "1: services[0].matcher: is missing; it must be a path prefix such as /, or conditions "
            "(or a split must name the service)",
        )
        self.said(service("strategy: {on: path}"), "5: services[0].strategy.name: is missing")

    def test_settings_alone(self) -> None:
        """A file of settings is allowed where somebody says so."""
        self.said("settings: {idle_timeout: 5}\n", services_required=False)
        self.said("", services_required=False)
        self.said("", "1: services: is missing; a file must have one service at least")

    def test_settings(self) -> None:
        """`Settings` judges each; the lines are the file's."""
        self.said(
            "settings:\n  idle_timout: 1\n  idle_timeout: -1\n  acceptors: many\n" + service(),
            "2: settings.idle_timout: there is no such setting; did you mean 'idle_timeout'?",
            "3: settings.idle_timeout: -1 is not allowed; it must be a number from 0 to 86400",
            "4: settings.acceptors: 'many' is not allowed; it must be a whole number from 1 to 2147483647",
        )

    def test_kinds(self) -> None:
        """A section, a list and text in each other's places."""
        self.said("5", "1: 5 is not allowed; the file must be a mapping with services: in it")
        self.said("services: 5", "1: services: 5 is not allowed; it must be a list")
        self.said("services: [5]", "1: services[0]: 5 is not allowed; it must be a mapping")
        self.said(
            service("queue: soon"),
            "5: services[0].queue: 'soon' is not allowed; it must be a mapping, true or false",
        )
        self.said(
            service(replica="5"),
            "4: services[0].replicas[0]: 5 is not allowed; it must be a mapping with url: in it",
        )
        self.said(
            service().replace("matcher: /", "matcher: 5"),
            "3: services[0].matcher: 5 is not allowed; it must be a path prefix such as /api, a mapping of conditions, "
            "or a list of these",
        )
        self.said(
            service("strategy: [RoundRobin]"),
            "5: services[0].strategy: a list is not allowed; it must be the name of a strategy, or a mapping "
            "with name: and its options",
        )

    def test_urls(self) -> None:
        """What is no replica's URL."""
        place = "4: services[0].replicas[0].url"
        for url in ("ftp://x", "http://", "//a", "unix:relative", "http://a b", "http://ä", "http://a:b"):
            self.said(
                service(replica=f"{{url: '{url}'}}"),
                f"{place}: {url!r} is not allowed; {URL}".replace("ä", "ä"),
            )
        self.said(
            service(replica="{url: 'localhost:8081'}"),
            f"{place}: 'localhost:8081' is not allowed; {URL}; did you mean 'http://localhost:8081'?",
        )
        self.said(
            service(replica="{url: 'http://a/b'}"),
            f"{place}: 'http://a/b' is not allowed: a path goes into rewrite.add_prefix; {URL}",
        )
        self.said(
            service(replica="{url: 'http://a:70000'}"),
            f"{place}: 'http://a:70000' has the port 70000; it must be one from 1 to 65535",
        )
        self.said(
            service(replica="{url: 'http://[1::2::3]'}"),
            f"{place}: 'http://[1::2::3]' has no IPv6 address between its brackets",
        )
        self.said(service(replica="{url: 5}"), f"{place}: 5 is not allowed; {URL}")

    def test_secrets(self) -> None:
        """Passwords and keys stay out of the lines."""
        (line,) = problems(service(replica="{url: 'http://me:hunter2@a'}"))
        self.assertIn("user information does not belong there", line)
        self.assertNotIn("hunter2", line)
        self.said(
            service("sticky: {secret: hunter2}"),
            "5: services[0].sticky.secret: text of 7 characters is not allowed; "
            "it must be text of at least 16 characters that nobody can guess",
        )

    def test_weights(self) -> None:
        """Numbers that are none, and weights that are all 0."""
        must = "is not allowed; it must be a number from 0 to 1000000"
        for weight, shown in (
            ("-1", "-1"),
            ("1000001", "1000001"),
            ("two", "'two'"),
            ("true", "true"),
            (".nan", "'.nan'"),
        ):
            self.said(
                service(replica=f"{{url: 'http://a', weight: {weight}}}"),
                f"4: services[0].replicas[0].weight: {shown} {must}",
            )
            self.said(
                service(replica=f"{{url: 'http://a', metadata: {{weight: {weight}}}}}"),
                f"4: services[0].replicas[0].metadata.weight: {shown} {must}",
            )
        self.said(
            service(replica="{url: 'http://a', weight: 0}, {url: 'http://b', metadata: {weight: 0}}"),
            "4: services[0].replicas: all weights are 0; one replica at least must have more",
        )
        self.said(
            service(replica="{url: 'http://a', weight: 2, metadata: {weight: 3}}"),
            "4: services[0].replicas[0].weight: says something else than metadata.weight; one of them is enough",
        )

    def test_matchers(self) -> None:
        """Conditions that could never hold, or that say nothing."""

        def said(matcher: str, *lines: str) -> None:
            text = service().replace("matcher: /", f"matcher: {matcher}")
            self.said(text, *(f"3: services[0].matcher{line}" for line in lines))

        path = "is not allowed; it must be a path such as /api, percent-encoded, without a query"
        said("api", f": 'api' {path}")
        said("[/, {prefix: '/a?b'}]", f"[1].prefix: '/a?b' {path}")
        said("{method: get}", ".method: methods are case-sensitive; did you mean 'GET'?")
        said("{method: [GET, a b]}", ".method[1]: 'a b' is not allowed; it must be a method such as GET")
        host = "is not allowed; it must be a host name without a port, or *.example.com"
        said("{host: 'a:80'}", f".host: 'a:80' {host}")
        said("{host: ['a', 'b.*']}", f".host[1]: 'b.*' {host}")
        said(
            "{regex: '('}",
            ".regex: '(' is not a regular expression: missing ), unterminated subpattern at position 0",
        )
        said(
            "{header: {A: {regex: '*'}}}",
            ".header.A.regex: '*' is not a regular expression: nothing to repeat at position 0",
        )
        said("{header: {A: {}}}", ".header.A.regex: is missing")
        said("{header: {a b: c}}", ".header.'a b': 'a b' is not allowed; it must be the name of a header")
        said(
            "{query: {a: false}}",
            ".query.a: false is not allowed; it must be a value, true (any value) or {regex: ...}",
        )
        said("{}", ": has no condition; to match every request say prefix: /")
        said("{priority: 5}", ": has no condition; to match every request say prefix: /")
        said("[]", ": is empty; it must have one at least")

    def test_regexes_that_break_compilers(self) -> None:
        """Whatever `re` raises is a line."""
        for regex in ("(" * 900, "a{99999999999}", "(?P<a>b)(?P<a>c)", "(?z)", "[[a-b"):
            (line,) = problems(service().replace("matcher: /", f"matcher: {{regex: '{regex}'}}"))
            self.assertIn("is not a regular expression", line)
        self.assertEqual(problems(service().replace("matcher: /", "matcher: {regex: '[[a]'}")), [])

    def test_rewrite(self) -> None:
        """What goes together."""
        self.said(
            service("rewrite: {regex: a}"), "5: services[0].rewrite.regex: needs a replacement beside it"
        )
        self.said(
            service("rewrite: {replacement: a}"),
            "5: services[0].rewrite.replacement: needs a regex beside it",
        )
        self.said(
            service(r"rewrite: {regex: a, replacement: '\1'}"),
            "5: services[0].rewrite.replacement: does not fit the regex: invalid group reference 1 at position 1",
        )
        self.said(
            service("rewrite: {regex: a, replacement: 'b c'}"),
            "5: services[0].rewrite.replacement: must have what a path may have: no spaces, no ? or #",
        )
        self.said(
            service("rewrite: {strip_prefix: true}").replace("matcher: /", "matcher: {path: /a}"),
            "5: services[0].rewrite.strip_prefix: true needs a matcher with a prefix; or name the path to strip",
        )
        self.said(
            service("rewrite: {strip_prefix: api}"),
            "5: services[0].rewrite.strip_prefix: 'api' is not allowed; it must be true (the matcher's prefix) "
            "or a path such as /api",
        )

    def test_headers(self) -> None:
        """Fields that cannot be sent, or that are not the user's to change."""
        place = "5: services[0].headers.request"
        self.said(
            service("headers: {request: {set: {Content-Length: 5}}}"),
            f"{place}.set.Content-Length: 'Content-Length' is the proxy's own header; no rule can change it",
        )
        self.said(
            service("headers: {request: {remove: [connection]}}"),
            f"{place}.remove[0]: 'connection' is the proxy's own header; no rule can change it",
        )
        for value in (r'"a\r\nB: c"', r'"a\0"', '" a"', "true", "€"):
            (line,) = problems(service(f"headers: {{request: {{set: {{A: {value}}}}}}}"))
            self.assertTrue(line.startswith(f"f.yaml:{place}.set.A: "), line)
            self.assertTrue(line.isprintable(), line)
        self.said(
            service("headers: {request: {set: {A: 1}, remove: [a]}}"),
            f"{place}.remove: 'a' is in set too; one rule for a header is enough",
        )

    def test_health(self) -> None:
        """Probes that contradict themselves."""
        self.said(
            service("health_check: {type: tcp, path: /}"),
            "5: services[0].health_check.path: is for type: http",
        )
        self.said(
            service("health_check: {method: HEAD, expect: {body: ok}}"),
            "5: services[0].health_check.expect: a HEAD request has no body to look at; method: GET has one",
        )
        for status in ("99", "600", "'300-200'", "ok", "[]", "true", "'200,'"):
            (line,) = problems(service(f"health_check: {{expect: {{status: {status}}}}}"))
            self.assertIn("health_check.expect.status: ", line)
        self.said(
            service("health_check: {interval: 0}"),
            "5: services[0].health_check.interval: 0 is not allowed; it must be seconds from 0.01 to 86400",
        )
        self.said(
            service("passive_health: {ejection_time: 400}"),
            "5: services[0].passive_health.ejection_time: 300 is shorter than ejection_time: 400",
        )

    def test_tls(self) -> None:
        """Only for https, with files that are there."""
        place = "4: services[0].replicas[0]"
        self.said(service(replica="{url: 'http://a', tls: {}}"), f"{place}.tls: is for https:// only")
        self.said(
            service(replica="{url: 'https://a', tls: {ca: /no/such/file}}"),
            f"{place}.tls.ca: '/no/such/file' is no file that can be read",
        )
        self.said(
            service(replica=f"{{url: 'https://a', tls: {{certificate: {__file__}}}}}"),
            f"{place}.tls.certificate: needs a private_key beside it",
        )
        self.said(
            service(replica=f"{{url: 'https://a', tls: {{ca: {__file__}, verify: false}}}}"),
            f"{place}.tls.ca: is of no use with verify: false",
        )
        self.said(
            service(replica="{url: 'unix:/a', resolve: all}"),
            f"{place}.resolve: all is not allowed; a UNIX socket has no addresses",
        )

    def test_sticky(self) -> None:
        """Cookies that a browser would refuse."""
        self.said(
            service("sticky: {same_site: None}"),
            "5: services[0].sticky.same_site: None needs secure: true, or browsers refuse the cookie",
        )
        self.said(
            service("sticky: {cookie: __Host-a, secure: true, path: /a}"),
            "5: services[0].sticky.cookie: '__Host-a' needs path: /, or browsers refuse it",
        )
        (line,) = problems(service("sticky: {path: '/; Domain=x'}"))
        self.assertIn("sticky.path: '/; Domain=x' is not allowed", line)

    def test_strategies(self) -> None:
        """Unknown names, options that a strategy refuses, and classes of one's own that do not work."""
        for strategy, said in {
            "RoundRobbin": "'RoundRobbin' is no strategy",
            "{name: consistent_hash, in: x}": "'in'",
            "{name: ConsistentHash, on: nothing}": "'nothing'",
            f"{__name__}.Failing": "KeyError: 'nowhere\\n'",
            f"{__name__}.Odd": "odd",
            f"{__name__}.URL": f"{__name__}.URL",
            "no_such_module.Class": "No module named 'no_such_module'",
        }.items():
            (line,) = problems(service(f"strategy: {strategy}"))
            self.assertTrue(line.startswith("f.yaml:5: services[0].strategy: "), line)
            self.assertIn(said, line)
        for strategy in ("round-robin", "{name: ConsistentHash, on: path}", f"{__name__}.Choosy"):
            self.assertEqual(problems(service(f"strategy: {strategy}")), [])
        (line,) = problems("strategy: Rond\n" + service())
        self.assertTrue(line.startswith("f.yaml:1: strategy: 'Rond' is no strategy"), line)

    def test_names(self) -> None:
        """A name goes to logs and metrics: printable, and nothing around it."""
        for name in ("' a'", "'a '", r'"a\tb"', "''", r'"a\u200b"', "true", "x" * 101):
            (line,) = problems(service().replace("name: a", f"name: {name}"))
            self.assertIn("services[0].name: ", line)
            self.assertIn("text of 1 to 100 printable characters", line)

    def test_truth_is_no_number(self) -> None:
        """Python counts ``true`` as 1; a file means something else."""
        for key in ("max_connections", "panic_threshold", "connect_timeout"):
            (line,) = problems(service(f"{key}: true"))
            self.assertIn(f"services[0].{key}: true is not allowed; it must be ", line)

    def test_paths_with_two_readings(self) -> None:
        """A prefix that proxies and back-ends read in different ways."""
        (line,) = problems(service().replace("matcher: /", "matcher: /a/..%2fb"))
        self.assertIn("3: services[0].matcher: '/a/..%2fb' can be read in different ways", line)

    def test_split_by_key(self) -> None:
        """What a split hashes is something that a request has."""
        text = service() + "splits:\n  - {name: s, matcher: /c, services: {a: 1}, on: %s}\n"
        self.assertEqual(problems(text % "cookie:id"), [])
        (line,) = problems(text % "cokie:id")
        self.assertIn("f.yaml:6: splits[0].on: ", line)


class Together(SynchronousTestCase):
    """What lies between the parts of a file."""

    def test_names(self) -> None:
        """Services and splits share one set of names."""
        text = service() + (
            "  - {name: a, matcher: /b, replicas: [{url: 'http://b'}]}\n"
            "splits:\n  - {name: a, matcher: /c, services: {a: 1}}\n"
        )
        self.assertEqual(
            problems(text),
            [
                "f.yaml:5: services[1].name: 'a' is the name of services[0] already; names are unique",
                "f.yaml:7: splits[0].name: 'a' is the name of services[0] already; names are unique",
            ],
        )

    def test_splits(self) -> None:
        """They name services that there are, with weights that are not all 0."""
        self.assertEqual(
            problems(service() + "splits:\n  - {name: s, matcher: /c, services: {A: 1, b: 0}}\n"),
            [
                "f.yaml:6: splits[0].services.A: there is no such service; did you mean 'a'?",
                "f.yaml:6: splits[0].services.b: there is no such service",
            ],
        )
        self.assertEqual(
            problems(service() + "splits:\n  - {name: s, matcher: /c, services: {a: 0}}\n"),
            ["f.yaml:6: splits[0].services: all weights are 0; one service at least must have more"],
        )

    def test_service_of_a_split(self) -> None:
        """It needs no matcher; a number may be its name."""
        text = (
            "services: [{name: 1, replicas: [{url: 'http://a'}]}]\n"
            "splits: [{name: s, matcher: /, services: {1: 1}}]\n"
        )
        self.assertEqual(problems(text), [])

    def test_queue(self) -> None:
        """A request may not wait longer than the proxy waits for the router."""
        text = service("queue: {timeout: 30}")
        line = (
            "f.yaml:{}: services[0].queue{}: {} seconds is not allowed; it must be shorter than the setting "
            "router_timeout, which is {} seconds ({} ms)"
        )
        self.assertEqual(problems(text), [line.format(5, ".timeout", 30, 30, 30000)])
        self.assertEqual(problems("settings: {router_timeout: 30001}\n" + text), [])
        self.assertEqual(problems("settings: {router_timeout: 0}\n" + text), [])
        short = "settings: {router_timeout: 2000}\n" + service("queue: true")
        self.assertEqual(problems(short), [line.format(6, "", 5, 2, 2000)])

    def test_queue_and_options(self) -> None:
        """A setting that wins over the file's is the one that counts."""
        text = "settings: {router_timeout: 60000}\n" + service("queue: {timeout: 30}")
        self.assertEqual(problems(text), [])
        self.assertEqual(len(problems(text, overrides={"router_timeout": "20000"})), 1)
        self.assertEqual(problems(service("queue: {timeout: 30}"), overrides={"router_timeout": 0}), [])
        self.assertEqual(problems(text, overrides={"router_timeout": "soon"}), [])


class AllAtOnce(SynchronousTestCase):
    """Nobody mends a file one error after the other."""

    def test_all(self) -> None:
        """Sections, services, settings and what lies between, in the file's order."""
        text = (
            "settings: {idle_timeout: soon}\n"
            "services:\n"
            "  - name: a\n"
            "    matcher: api\n"
            "    replicas: [{url: 'ftp://x', weight: -1}]\n"
            "    queue: {timeout: 99}\n"
            "  - name: a\n"
            "    matcher: /\n"
            "    strategy: None\n"
            "    queue: {timeout: 99}\n"
            "    replicas: [{url: 'http://a'}]\n"
            "splits:\n"
            "  - {name: s, matcher: /, services: {b: 1}}\n"
            "extra: 1\n"
        )
        self.assertEqual(
            [line.split(": ")[0] + ":" + line.split(": ")[1] for line in problems(text)],
            [
                "f.yaml:1:settings.idle_timeout",
                "f.yaml:4:services[0].matcher",
                "f.yaml:5:services[0].replicas[0].url",
                "f.yaml:5:services[0].replicas[0].weight",
                "f.yaml:7:services[1].name",
                "f.yaml:9:services[1].strategy",
                "f.yaml:10:services[1].queue.timeout",
                "f.yaml:13:splits[0].services.b",
                "f.yaml:14:extra",
            ],
        )

    def test_bound(self) -> None:
        """Fifty lines, and how many more there are."""
        lines = problems("services:\n" + "  - 1\n" * 200)
        self.assertEqual(len(lines), 51)
        self.assertEqual(lines[-1], "... and 150 more")

    def test_too_many(self) -> None:
        """More services than anybody has."""
        (line,) = problems("services: [" + "1," * 10_001 + "]")
        self.assertEqual(line, "f.yaml:1: services: has 10001; it must have 10000 at most")

    def test_one_line_each(self) -> None:
        """Nothing of the file breaks a line, or goes to a terminal as it is."""
        evil = '"\\x1b[31m\\n\\u202e' + "x" * 900 + '"'
        for text in (
            f"{evil}: 1\n",
            service(f"strategy: {evil}"),
            service(f"strategy: {{name: RoundRobin, {evil}: 1}}"),
            service(f"strategy: {__name__}.Loud"),
            service(f"queue: {{{evil}: 1}}"),
            service(f"headers: {{request: {{set: {{{evil}: 1}}}}}}"),
            service().replace("matcher: /", f"matcher: {{regex: {evil}}}"),
            service().replace("name: a", f"name: {evil}"),
            service() + f"splits: [{{name: s, matcher: /, services: {{{evil}: 1}}}}]",
            service(replica=f"{{url: {evil}}}"),
            f"settings: {{{evil}: 1, idle_timeout: {evil}}}\n" + service(),
            f"a: !{evil[1:-1]} b",
        ):
            lines = problems(text)
            self.assertTrue(lines, text[:60])
            for line in lines:
                self.assertTrue(line.isprintable(), ascii(line))
                self.assertLess(len(line), 400)
