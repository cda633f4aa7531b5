"""`RecordingRouter`, called as the chain would call it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from vegurtx.errors import RouteError
from vegurtx.interfaces import IRouter
from vegurtx.message import Backend
from vegurtx.testing import PeerSilent, RecordingRouter, in_turn, router_to

REQUEST: Any = object()


class Recording(TestCase):
    """What it records, and how its answers are set."""

    def test_contract(self) -> None:
        """It is an `IRouter`."""
        self.assertTrue(verifyObject(IRouter, RecordingRouter()))

    def test_calls(self) -> None:
        """Every callback is recorded with its own arguments, in order."""
        a, b = Backend("127.0.0.1", 1), Backend("127.0.0.1", 2)
        router = router_to(a, b)
        state = router.init(1.5, REQUEST)
        group = router.lookup_domain_name("x", REQUEST, state)
        self.assertIs(router.checkout_service(group, REQUEST, state), a)
        self.assertIs(router.checkout_service(group, REQUEST, state), b)
        with self.assertRaises(RouteError):
            router.checkout_service(group, REQUEST, state)
        self.assertIs(router.service_backend(b, REQUEST, state), b)
        self.assertFalse(router.feature("peer_port", REQUEST, state))
        self.assertEqual(list(router.additional_headers("upstream", None, REQUEST, state)), [])
        router.checkin_service(group, b, "connected", "normal", REQUEST, state)
        router.terminate("normal", REQUEST, state)
        self.assertEqual(
            [(call.name, call.arguments) for call in router.calls],
            [
                ("init", (1.5,)),
                ("lookup_domain_name", ("x",)),
                *[("checkout_service", ("x",))] * 3,
                ("service_backend", (b,)),
                ("feature", ("peer_port",)),
                ("additional_headers", ("upstream",)),
                ("checkin_service", ("x", b, "connected", "normal")),
                ("terminate", ("normal",)),
            ],
        )
        self.assertEqual((router.count("checkout_service"), router.requests), (3, [REQUEST]))
        self.assertIs(router.checkout_service(group, REQUEST, state), a, "the next request begins anew")

    def test_answers(self) -> None:
        """An answer is a value, an exception, a Deferred, or a function that is called."""
        deferred = succeed("group")

        async def state(accepted_at: float, request: Any) -> str:
            return "state"

        router = RecordingRouter(
            init=state,
            lookup_domain_name=deferred,
            checkout_service=lambda group, request, state: (group, state),
            service_backend=RouteError("no"),
            checkin_service=ValueError,
            feature={"peer_port"},
            additional_headers={"downstream": [("A", "b")]},
        )
        self.assertEqual(self.successResultOf(router.init(0.0, REQUEST)), "state")
        self.assertIs(router.lookup_domain_name("x", REQUEST, None), deferred)
        self.assertEqual(router.checkout_service("g", REQUEST, "s"), ("g", "s"))
        with self.assertRaises(RouteError):
            router.service_backend("s", REQUEST, None)
        with self.assertRaises(ValueError):
            router.checkin_service("g", "s", "connected", "normal", REQUEST, None)
        self.assertTrue(router.feature("peer_port", REQUEST, None))
        self.assertFalse(router.feature("deep_continue", REQUEST, None))
        self.assertEqual(router.additional_headers("downstream", None, REQUEST, None), [("A", "b")])
        self.assertEqual(router.additional_headers("upstream", None, REQUEST, None), ())
        self.assertEqual(router.names[0], "init")
        self.assertEqual(len(router.names), 9)

    def test_in_turn(self) -> None:
        """Answers one after the other; the last one stays."""
        router = router_to(checkout_service=in_turn(RouteError("busy"), "a", "b"))
        with self.assertRaises(RouteError):
            router.checkout_service("g", REQUEST, None)
        self.assertEqual([router.checkout_service("g", REQUEST, None) for _ in range(3)], ["a", "b", "b"])

    def test_unknown_callback(self) -> None:
        """A name that is no callback is a mistake in the test."""
        with self.assertRaisesRegex(TypeError, "checkout_servce"):
            RecordingRouter(checkout_servce=None)

    async def test_finished(self) -> None:
        """Each wait takes one `terminate`, earlier ones included, also where it raises."""
        router = RecordingRouter(terminate=RuntimeError("boom"))
        for status in ("normal", "error"):
            with self.assertRaises(RuntimeError):
                router.terminate(status, REQUEST, None)
        self.assertEqual([await router.finished, await router.finished], ["normal", "error"])

    async def test_finished_later(self) -> None:
        """A wait goes on when `terminate` comes, and is bounded."""
        from twisted.internet import reactor

        router = RecordingRouter(timeout=0.05)
        reactor.callLater(0, router.terminate, "normal", REQUEST, None)  # type: ignore[attr-defined]
        self.assertEqual(await router.finished, "normal")
        with self.assertRaisesRegex(PeerSilent, "terminate"):
            await router.finished
