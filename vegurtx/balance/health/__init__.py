"""Which replicas can be used: probes that ask them, and what requests find out on their way.

    http_probe.py, tcp_probe.py → checker.py → state.py (rise and fall) → `Replica.healthy`
    the router's own tries      → passive.py → `Replica.ejected_until`

Whoever listens (`on_change`) refreshes the replica's service; strategies only ever see who is left.
"""

from vegurtx.balance.health.checker import HealthChecker
from vegurtx.balance.health.passive import PassiveHealth
from vegurtx.balance.health.state import HealthState, ProbeRecord, Standing

__all__ = ["HealthChecker", "HealthState", "PassiveHealth", "ProbeRecord", "Standing"]
