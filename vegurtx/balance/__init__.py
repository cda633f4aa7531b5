"""The load balancer: an `IRouter` like any other, which a YAML file configures.

    config/  → table.py → router.py (`Balancer`)  ← strategies/, matching/, health/, names.py

It stands on the public contract alone: whatever the balancer can do, a router of one's own can do too.
"""
