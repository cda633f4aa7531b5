"""`vegurtx.testing.faults`: a bad network, scripted to the byte.

A `FaultProxy` stands between two peers on loopback, between a client and the proxy or between the proxy and a back-end,
and passes their bytes on with the faults of a script: late, slowly, not at all, or up to a certain byte. What happens
follows from offsets and from the reactor's clock alone, so it happens the same way each time.

    faults = FaultProxy(reactor, (backend.host, backend.port))
    faults.next(response=[Cut(120, "reset")])       # the next connection's response, behind 120 bytes
    router = router_to(faults.as_backend())

`docs/faults.md` has each fault and examples.
"""

from __future__ import annotations

from vegurtx.testing.faults.breaking import Cut, Stall
from vegurtx.testing.faults.link import Link
from vegurtx.testing.faults.proxy import FaultProxy
from vegurtx.testing.faults.stage import Fault
from vegurtx.testing.faults.timing import Bandwidth, Drip, Latency

__all__ = ["Bandwidth", "Cut", "Drip", "Fault", "FaultProxy", "Latency", "Link", "Stall"]
