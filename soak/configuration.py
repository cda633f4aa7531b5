"""The proxy's configuration file, in many variants: what a reload brings into force changes, what is promised does not.

Every variant has the same services, and the first replica of each; the others come and go.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from soak.load.faults import IDLE_TIMEOUT, TRY_TIMEOUT

#: of the proxy: short, so that a quiet point comes soon, and far above what a busy machine makes of a plain request
SETTINGS = {
    "idle_timeout": IDLE_TIMEOUT / 1000,
    "pool_idle_timeout": 1.5,
    "hard_stop_after": 25,
    "linger_timeout": 2,
    "timeout": 20000,
}
_STRATEGIES = ("RoundRobin", "WeightedRoundRobin", "LeastConnections", "PowerOfTwo")
#: a variant that cannot be used: the word is looked for in the proxy's log
INVALID = "no_such_key_of_the_soak"
#: what may be drained or taken out by hand: never the first replica
SPARE = ("plain", 1), ("plain", 2), ("ws", 1)


class Configuration:
    """Writes the file.

    :param path: of the file.
    :param ports: back-ends' ports by name.
    :param authority: the file with the authority that has signed the back-ends' certificate.
    """

    def __init__(self, path: Path, ports: dict[str, int], authority: Path) -> None:
        self.path = path
        self._ports = ports
        self._authority = str(authority)

    def replicas(self, service: str) -> list[dict[str, Any]]:
        """All replicas that a service may have."""
        ports = self._ports
        names = {
            "plain": ["plain0", "plain1", "tls0"],
            "ws": ["ws0", "ws1"],
            "mortal": ["mortal0", "mortal1"],
        }.get(service, [service])
        made: list[dict[str, Any]] = []
        for name in names:
            if name.startswith("tls"):
                tls = {"ca": self._authority, "server_name": "soak.example"}
                made.append({"url": f"https://127.0.0.1:{ports[name]}", "tls": tls})
            else:
                made.append({"url": f"http://127.0.0.1:{ports[name]}"})
        return made

    def write(self, random: Random | None = None, *, invalid: bool = False) -> None:
        """Write a variant; without `random` the one that has everything."""
        probes = {"type": "http", "path": "/plain/get", "interval": 1, "timeout": 3, "fall": 3}
        tcp = {"type": "tcp", "interval": 1, "timeout": 3, "fall": 3}
        retries = {"attempts": 3, "budget": 1, "min_per_second": 1000}
        bare: dict[str, Any] = {"retries": False, "health_check": False}
        services: list[dict[str, Any]] = [
            {"name": "plain", "health_check": probes},
            {"name": "ws", "health_check": tcp},
            {"name": "mortal", "health_check": {**probes, "interval": 0.5}, "retries": retries},
            {"name": "fault", "try_timeout": TRY_TIMEOUT / 1000, **bare},
            {"name": "refused", **bare},
            {"name": "blackhole", "connect_timeout": 1, **bare},
        ]
        for service in services:
            name = service["name"]
            service["matcher"] = f"/{name}"
            service["replicas"] = self.replicas(name)
            if random is not None:
                self._vary(service, random)
        document: dict[str, Any] = {"settings": SETTINGS, "services": services}
        if invalid:
            document[INVALID] = True
        # JSON is YAML. A file that is written in place could be read by half.
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(document, indent=1), "utf-8")
        new.rename(self.path)

    def _vary(self, service: dict[str, Any], random: Random) -> None:
        replicas = service["replicas"]
        if service["name"] in ("plain", "ws"):
            service["replicas"] = replicas[:1] + [each for each in replicas[1:] if random.random() < 0.8]
        for each in service["replicas"]:
            if random.random() < 0.3:
                each["weight"] = random.randint(1, 5)
        service["strategy"] = random.choice(_STRATEGIES)
        if random.random() < 0.3:
            service["headers"] = {"response": {"set": {"X-Soak-Reload": str(random.randrange(1000))}}}
