"""The addresses of replicas' host names, asked for again and again.

A name is resolved soon after it is first wanted, then every `interval` seconds, and after failed connects; a name that
cannot be resolved keeps the addresses that it had. The table makes back-ends of what is known here: `backend_at` for
a name that is one replica, `members_at` for one whose addresses are replicas of their own.

Names are asked of the reactor's own resolver, so that what a program installs there holds here too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.logger import Logger
from zope.interface import implementer

from vegurtx.balance.turnstile import Turnstile
from vegurtx.message import Backend, BackendTLS

_log = Logger()

#: seconds between two look-ups of a name
INTERVAL = 30.0
#: seconds until the next try for a name of which no address is known at all
FIRST_RETRY = 2.0
#: seconds that lie between two look-ups at the least, however many connects fail
PAUSE = 1.0
#: seconds after which an answer is not waited for any longer
PATIENCE = 60.0
#: names that are asked for at once: each takes one of the reactor's threads, which are few
AT_ONCE = 4
#: addresses of a name that are used
MOST_ADDRESSES = 256


class Phase(Enum):
    """Where a name is between two answers."""

    RESTING = "resting"  # a delayed call begins the next look-up
    WAITING = "waiting"  # others are being looked up; its turn comes
    ASKING = "asking"  # the resolver is at work; a delayed call ends the patience
    GONE = "gone"


class Name:
    """A host name, and what is known of it."""

    __slots__ = (
        "addresses",
        "answer",
        "asked_at",
        "call",
        "host",
        "job",
        "phase",
        "problem",
        "resolved_at",
        "users",
    )

    def __init__(self, host: str) -> None:
        self.host = host
        #: in the resolver's own order; empty: none are known
        self.addresses: tuple[str, ...] = ()
        #: the reactor's time of the last look-up, and of the last one that found something
        self.asked_at: float | None = None
        self.resolved_at: float | None = None
        #: why the last look-up found nothing; "" if it did
        self.problem = ""
        self.users = 0
        self.phase = Phase.RESTING
        self.call: Any = None
        self.answer: _Answer | None = None
        self.job: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        return f"<Name {self.host} {list(self.addresses)} {self.problem}>"


class Names:
    """Looks host names up, on a timer and on demand.

    :param reactor: gives the time, delayed calls, and its `nameResolver`.
    :param on_change: called as ``on_change(name)`` with a `Name` whose set of addresses has changed.
    :param interval: seconds between two look-ups of a name.
    :param jitter: the share by which that varies, either way.
    :param chance: gives numbers from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        reactor: Any,
        on_change: Callable[[Name], object],
        *,
        interval: float = INTERVAL,
        jitter: float = 0.1,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._reactor = reactor
        self._on_change = on_change
        self._interval = interval
        self._jitter = jitter
        self._chance = chance
        self._names: dict[str, Name] = {}
        self._turnstile = Turnstile(AT_ONCE)

    def watch(self, host: str) -> Name:
        """Look `host` up from now on. Each `watch` has its `unwatch`; a numeric address is not to be watched."""
        name = self._names.get(host)
        if name is None:
            name = self._names[host] = Name(host)
            name.job = lambda: self._ask(name)
            # Not at once: whoever calls is about to do something with what we return.
            self._rest(name, 0.0)
        name.users += 1
        return name

    def unwatch(self, host: str) -> None:
        """One user less; without any, the name is forgotten."""
        name = self._names.get(host)
        if name is not None:
            name.users -= 1
            if name.users <= 0:
                del self._names[host]
                self._forget(name)

    def addresses(self, host: str) -> tuple[str, ...]:
        """What is known of `host`; empty: nothing yet, or it is not watched."""
        name = self._names.get(host)
        return () if name is None else name.addresses

    def connect_failed(self, host: str) -> None:
        """A connect to `host` has failed: look it up soon, but not more often than every `PAUSE` seconds."""
        name = self._names.get(host)
        if name is None or name.phase is not Phase.RESTING:
            return
        ready = self._reactor.seconds() if name.asked_at is None else name.asked_at + PAUSE
        if name.call.getTime() > ready:
            name.call.reset(max(0.0, ready - self._reactor.seconds()))

    def names(self) -> list[Name]:
        """All that are watched."""
        return list(self._names.values())

    def stop(self) -> None:
        """Look nothing up any more, and leave no delayed call; what the resolver still says is not listened to."""
        names, self._names = self._names, {}
        for name in names.values():
            self._forget(name)

    # -- one name's round: RESTING → WAITING → ASKING → RESTING ------------------------------------------------------

    def _rest(self, name: Name, delay: float) -> None:
        name.phase = Phase.RESTING
        name.call = self._reactor.callLater(delay, self._wait, name)

    def _wait(self, name: Name) -> None:
        name.call = None
        name.phase = Phase.WAITING
        self._turnstile.enter(name.job)

    def _ask(self, name: Name) -> None:
        name.phase = Phase.ASKING
        name.asked_at = self._reactor.seconds()
        answer = name.answer = _Answer(lambda found: self._answered(name, found))
        name.call = self._reactor.callLater(PATIENCE, answer.give_up, "the resolver does not answer")
        try:
            name.host.encode("idna")  # what cannot be a name makes the resolver fail without telling anybody
            self._reactor.nameResolver.resolveHostName(answer, name.host)
        except UnicodeError:
            answer.give_up("it cannot be a name")
        except Exception as error:
            _log.failure("resolving {host}", host=name.host)
            answer.give_up(type(error).__name__)

    def _answered(self, name: Name, answer: _Answer) -> None:
        call, name.call, name.answer = name.call, None, None
        if call.active():
            call.cancel()
        self._turnstile.leave()
        now = self._reactor.seconds()
        before = name.addresses
        if answer.addresses:
            name.resolved_at = now
            if name.problem:
                _log.info(
                    "{host} has addresses again: {addresses}",
                    host=name.host,
                    addresses=_listed(answer.addresses),
                )
            name.problem = ""
            name.addresses = tuple(answer.addresses)
        else:
            if not name.problem:
                _log.warn(
                    "{host} cannot be resolved: {problem}; {rest}",
                    host=name.host,
                    problem=answer.problem,
                    rest="the last known addresses stay" if before else "none are known",
                )
            name.problem = answer.problem
        delay = self._interval if name.addresses else min(FIRST_RETRY, self._interval)
        self._rest(name, delay * (1.0 + self._jitter * (2.0 * self._chance() - 1.0)))
        if set(name.addresses) != set(before):
            if before:
                _log.info(
                    "{host} has moved from {before} to {after}",
                    host=name.host,
                    before=_listed(before),
                    after=_listed(name.addresses),
                )
            self._on_change(name)

    def _forget(self, name: Name) -> None:
        phase, name.phase = name.phase, Phase.GONE
        call, name.call = name.call, None
        if call is not None and call.active():
            call.cancel()
        if phase is Phase.WAITING:
            self._turnstile.forget(name.job)
        elif phase is Phase.ASKING:
            assert name.answer is not None
            name.answer.ignore()
            self._turnstile.leave()
        name.job = _nothing  # it knows the name, and the name knows it

    def __repr__(self) -> str:
        return f"<Names {list(self._names.values())}>"


@implementer(IResolutionReceiver)
class _Answer:
    """Takes one answer of the resolver, whenever it comes."""

    def __init__(self, ready: Callable[[_Answer], None]) -> None:
        self._ready: Callable[[_Answer], None] | None = ready
        self.addresses: dict[str, None] = {}
        self.problem = "it has no address"

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """Twisted's resolvers cannot be stopped; a late answer is not listened to."""

    def addressResolved(self, address: IAddress) -> None:
        """One more address; the same one may come more than once."""
        host = getattr(address, "host", None)
        if isinstance(host, str) and is_numeric(host) and len(self.addresses) < MOST_ADDRESSES:
            self.addresses[host] = None

    def resolutionComplete(self) -> None:
        """That was all."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready(self)

    def give_up(self, problem: str) -> None:
        """There will be no answer."""
        self.addresses.clear()
        self.problem = problem
        self.resolutionComplete()

    def ignore(self) -> None:
        """Nobody wants to know any more."""
        self._ready = None


# -- what the table makes of the answers ---------------------------------------------------------------------------


def is_numeric(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address, so that there is nothing to look up."""
    return isIPAddress(host) or isIPv6Address(host)


def backend_at(backend: Backend, addresses: Sequence[str]) -> Backend:
    """The back-end of a name that is one replica (``resolve: one``).

    With one address, connections go to that address, and nobody looks the name up for each of them. With several, the
    connect tries them side by side, as RFC 8305 wants it (``localhost`` is ``::1`` and ``127.0.0.1``, and often only
    one of them answers). Either way a change of addresses makes another `Backend.key`: idle connections to where the
    name led before are not taken any more, and expire in the pool.

    :param backend: by its name, as configured.
    :param addresses: that are known; none: `backend` itself.
    """
    if not addresses:
        return backend
    if len(addresses) == 1:
        return _moved(backend, addresses[0])
    several = _moved(backend, backend.host)
    several.key = (*backend.key, tuple(sorted(addresses)))  # type: ignore[assignment]
    return several


def members_at(url: str, backend: Backend, addresses: Sequence[str]) -> dict[str, Backend]:
    """The back-ends of a name whose addresses are replicas of their own (``resolve: all``): ``URL#ADDRESS → Backend``.

    :param addresses: that are known; none: the one replica `url`, whose connects look the name up.
    """
    if not addresses:
        return {url: backend}
    return {f"{url}#{address}": _moved(backend, address) for address in sorted(addresses)}


def _moved(backend: Backend, host: str) -> Backend:
    """`backend` at `host`; TLS still asks for the name, and checks it."""
    tls = backend.tls
    if isinstance(tls, BackendTLS) and tls.server_name is None and host != backend.host:
        tls = replace(tls, server_name=backend.host)
    return Backend(
        host,
        backend.port,
        keepalive=backend.keepalive,
        tls=tls,
        connect_timeout=backend.connect_timeout,
        response_timeout=backend.response_timeout,
    )


def _listed(addresses: Sequence[str] | dict[str, None]) -> str:
    shown = list(addresses)[:8]
    return ", ".join(shown) + (
        f" and {len(addresses) - len(shown)} more" if len(addresses) > len(shown) else ""
    )


def _nothing() -> None:
    """The job of a name that is gone."""
