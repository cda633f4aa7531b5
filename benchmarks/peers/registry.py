"""All proxies, in the order of the tables."""

from __future__ import annotations

from benchmarks.peers.contract import Peer
from benchmarks.peers.golang import GoProxy
from benchmarks.peers.haproxy import HAProxy
from benchmarks.peers.nginx import Nginx
from benchmarks.peers.node import NodeProxy
from benchmarks.peers.own import Vegurtx
from benchmarks.peers.twisted_web import TwistedWebProxy

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Vegurtx("vegurtx", "vegurtx", None),
        Vegurtx("vegurtx-epoll", "vegurtx, `--reactor=epoll`", "epoll"),
        Vegurtx("vegurtx-bare", "vegurtx, without that", None, bare=True),
        HAProxy(),
        Nginx(),
        Nginx(large=True),
        GoProxy(),
        NodeProxy(),
        TwistedWebProxy(),
    )
}
"""Name → proxy. Ratios are to ``haproxy``."""
