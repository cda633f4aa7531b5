"""ConsistentHash: the same client, the same replica, as long as both are there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from math import ceil
from random import Random
from typing import Any

from vegurtx.balance.replica import Replica
from vegurtx.balance.strategies.base import Strategy, reject_unknown
from vegurtx.balance.strategies.draw import weighted_draw
from vegurtx.balance.strategies.keys import key_of, point_of
from vegurtx.balance.strategies.ring import Ring
from vegurtx.balance.strategies.round_robin import RoundRobin

#: points of the ring that are looked at for a replica that may have the request
_STEPS = 64
#: of these, those for which a set is not worth its making
_FEW_STEPS = 4
#: turns of replicas without a weight that are let pass
_TURNS = 8


class ConsistentHash(Strategy):
    """A hash of something of the request says where it goes.

    The ring has all replicas of the service, whether they are up or not. The keys of one that is down, full or was
    tried already go to those that follow on the ring, and come back when it does; nobody else's move. A request
    that has no key gets the next replica in turn. A weight of 0: never; a slow start changes nothing.

    Options: ``on`` says what is hashed (see `vegurtx.balance.strategies.keys.ON`; the client's address by default);
    ``bounded_load`` is the most that a replica may have in flight, as a multiple of its fair share (1.25, say):
    beyond it the key goes to the next one that has less (Mirrokni, Thorup and Zadimoghaddam, 2018). 0, the default:
    no bound.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        name = type(self).__name__
        reject_unknown(options, self.known, name)
        try:
            self._key = key_of(options.get("on", "client_address"))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        bound = options.get("bounded_load", 0)
        if (
            isinstance(bound, bool)
            or not isinstance(bound, int | float)
            or not (bound == 0 or 1 < bound <= 100)
        ):
            raise ValueError(
                f"{name}: bounded_load is 0 or a number above 1, up to 100, not {str(bound)[:60]!a}"
            )
        self._bound = float(bound)
        self._ring = Ring(())
        self._members: Sequence[Replica] = ()
        #: of each member what the ring was made of
        self._marks: list[tuple[bytes, float]] = []
        self._mean_weight = 1.0
        #: the last list that was looked through, and the set of it once it has come again
        self._some: Sequence[Replica] = ()
        self._set: frozenset[Replica] | None = None
        self._without_key = RoundRobin({})
        self._random = Random()

    known: tuple[str, ...] = ("on", "bounded_load")

    def choose(self, replicas: Sequence[Replica], request: Any, now: float) -> Replica | None:
        """See `Strategy`."""
        key = self._key(request)
        if key is None:
            return self._in_turn(replicas, request, now)
        service = replicas[0].service
        members = replicas if service is None else service.replicas
        if members is not self._members:
            self._enter(members)
        point = point_of(key)
        fair = self._fair_share(replicas) if self._bound else 0.0
        if self._ring:
            replica = self._members[self._ring.owner(point)]
            here = len(replicas) == len(members) or replica in replicas
            if here and (not fair or replica.in_flight < ceil(fair * replica.weight)):
                return replica
        return self._following(replicas, point, fair)

    def _in_turn(self, replicas: Sequence[Replica], request: Any, now: float) -> Replica | None:
        for _ in range(_TURNS):
            replica = self._without_key.choose(replicas, request, now)
            if replica is None or replica.weight:
                return replica
        return weighted_draw(replicas, now, self._random)

    def _enter(self, members: Sequence[Replica]) -> None:
        marks = [(replica.key.encode("utf-8", "surrogateescape"), replica.weight) for replica in members]
        if marks != self._marks:
            self._ring = Ring(marks)
            self._marks = marks
            weights = [weight for _, weight in marks if weight]
            self._mean_weight = sum(weights) / len(weights) if weights else 1.0
        self._members = members

    def _following(self, replicas: Sequence[Replica], point: int, fair: float) -> Replica | None:
        """The next one on the ring that is among `replicas` and has not too much to do."""
        members = self._members
        among: Collection[Replica] = replicas
        if replicas is self._some:
            if self._set is None:
                self._set = frozenset(replicas)
            among = self._set
        else:  # it may be a list for this request only
            self._some = replicas
            self._set = None
        spare = None
        for step, owner in enumerate(self._ring.owners(point, _STEPS)):
            if step == _FEW_STEPS and among is replicas:
                among = frozenset(replicas)
            replica = members[owner]
            if replica in among:
                if not fair or replica.in_flight < ceil(fair * replica.weight):
                    return replica
                spare = spare or replica
        return spare or _highest(replicas, point)

    def _fair_share(self, replicas: Sequence[Replica]) -> float:
        """What a replica of weight 1 may have in flight."""
        service = replicas[0].service
        total = service.in_flight if service is not None else sum([replica.in_flight for replica in replicas])
        return self._bound * (total + 1) / len(replicas) / self._mean_weight


class IPHash(ConsistentHash):
    """`ConsistentHash` on the client's address. Option: ``bounded_load``."""

    known = ("bounded_load",)


def _highest(replicas: Sequence[Replica], point: int) -> Replica | None:
    """Of a few among many: the one that hashes highest together with the point (Thaler and Ravishankar, 1998)."""
    salt = point.to_bytes(8, "big")
    able = [replica for replica in replicas if replica.weight]
    if not able:
        return None
    return max(
        able,
        key=lambda replica: blake2b(
            replica.key.encode("utf-8", "surrogateescape"), digest_size=8, salt=salt
        ).digest(),
    )
