"""Request targets and hosts (rule 2; RFC 9112 section 3.2, RFC 3986 section 3.2.2)."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from vegurtx.wire.target import Target, parse_host, parse_target

GOOD_TARGETS: list[tuple[bytes, bytes, bytes | None, bytes]] = [
    (b"GET", b"/", None, b"/"),
    (b"GET", b"/a?b", None, b"/a?b"),
    (b"GET", b"//h/a", None, b"//h/a"),
    (b"GET", b"/http://h/", None, b"/http://h/"),
    (b"GET", b"http://h", b"h", b"/"),
    (b"GET", b"http://h/", b"h", b"/"),
    (b"GET", b"HTTP://H:81/a/../b?c=//d", b"H:81", b"/a/../b?c=//d"),
    (b"POST", b"https://h:/a", b"h:", b"/a"),
    (b"GET", b"http://h?q", b"h", b"/?q"),
    (b"OPTIONS", b"http://h?q", b"h", b"/?q"),
    (b"GET", b"http://[::1]:80/", b"[::1]:80", b"/"),
    (b"OPTIONS", b"*", None, b"*"),
    (b"OPTIONS", b"http://h", b"h", b"*"),
    (b"OPTIONS", b"http://h/", b"h", b"/"),
    (b"OPTIONS", b"/", None, b"/"),
    (b"CONNECT", b"h:443", b"h:443", b"h:443"),
    (b"CONNECT", b"[::1]:443", b"[::1]:443", b"[::1]:443"),
]

BAD_TARGETS: list[tuple[bytes, bytes]] = [
    (b"GET", b""),
    (b"GET", b"*"),
    (b"options", b"*"),
    (b"OPTIONS", b"**"),
    (b"GET", b"a"),
    (b"GET", b"h:443"),
    (b"GET", b"?q"),
    (b"GET", b"http://"),
    (b"GET", b"http:///a"),
    (b"GET", b"http://?q"),
    (b"GET", b"http:/h/"),
    (b"GET", b"http:h"),
    (b"GET", b"ftp://h/"),
    (b"GET", b"httpx://h/"),
    (b"GET", b"://h/"),
    (b"GET", b"http://user@h/"),
    (b"GET", b"http://user:pass@h/"),
    (b"GET", b"http://h:0/"),
    (b"GET", b"http://h:99999/"),
    (b"GET", b"http://h\\x/"),
    (b"GET", b"http://[::1/"),
    (b"CONNECT", b"/"),
    (b"CONNECT", b"*"),
    (b"CONNECT", b"h"),
    (b"CONNECT", b"h:"),
    (b"CONNECT", b"http://h/"),
]

GOOD_HOSTS: list[tuple[bytes, tuple[str, int | None]]] = [
    (b"h", ("h", None)),
    (b"WWW.Example.COM:8080", ("www.example.com", 8080)),
    (b"example.com.", ("example.com.", None)),
    (b"example.com:", ("example.com", None)),
    (b"127.0.0.1:1", ("127.0.0.1", 1)),
    (b"a_b-c~d!$&'()*+,;=%2f", ("a_b-c~d!$&'()*+,;=%2f", None)),
    (b"[::1]", ("[::1]", None)),
    (b"[FE80::A:1]:65535", ("[fe80::a:1]", 65535)),
    (b"[::ffff:1.2.3.4]:00080", ("[::ffff:1.2.3.4]", 80)),
    (b"h" * 200 + b":81", ("h" * 200, 81)),
]

BAD_HOSTS: list[bytes] = [
    b"",
    b":80",
    b"h:0",
    b"h:65536",
    b"h:000080",
    b"h:-1",
    b"h:8a",
    b"h:80:80",
    b"h h",
    b" h",
    b"h/",
    b"h?",
    b"h#",
    b"h@i",
    b"u:p@h",
    b"a\\b",
    b"a,b c",
    b"h\0",
    b"h\xe9",
    b"h\n",
    b"%zz",
    b"%2",
    b"::1",
    b"[::1",
    b"::1]",
    b"[]",
    b"[1]",
    b"[1.2.3.4]",
    b"[:::1]",
    b"[::1%25eth0]",
    b"[::1]x",
    b"[v1.x]",
    b"[::12345]",
    b"h" * 200 + b" ",
]


class TargetTests(TestCase):
    """The four forms of a target."""

    def test_good(self) -> None:
        """What is taken apart, and how."""
        for method, target, authority, origin in GOOD_TARGETS:
            self.assertEqual(parse_target(method, target), Target(authority, origin), target)

    def test_bad(self) -> None:
        """None of the forms, or not one for this method."""
        for method, target in BAD_TARGETS:
            with self.assertRaises(ValueError, msg=(method, target)):
                parse_target(method, target)


class HostTests(TestCase):
    """The ``Host`` field."""

    def test_good(self) -> None:
        """Lower case, the port apart; twice, because answers are remembered."""
        for value, wanted in GOOD_HOSTS * 2:
            self.assertEqual(parse_host(value), wanted)

    def test_bad(self) -> None:
        """No host, or no port; twice, because answers are remembered."""
        for value in BAD_HOSTS * 2:
            with self.assertRaises(ValueError, msg=value):
                parse_host(value)
