"""HAProxy, with one thread."""

from __future__ import annotations

from benchmarks.children import Child, ReservedPort
from benchmarks.peers.contract import TIMEOUT, Peer, Setup, found, said_by

_CONFIGURATION = """\
global
    maxconn {connections}
    nbthread 1
    no strict-limits
    {log_to}
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode http
    {log}
    timeout connect 5s
    timeout client {timeout}s
    timeout server {timeout}s
    timeout tunnel {timeout}s
    timeout http-request {timeout}s
    timeout http-keep-alive {timeout}s
    option forwardfor
    {reuse}
frontend clients
    bind 127.0.0.1:{port} backlog 1024{secure}
    unique-id-format %{{+X}}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
    unique-id-header X-Request-Id
    http-request set-header X-Request-Start %[date(0,ms)]
    http-request set-header X-Forwarded-Proto {scheme}
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request add-header Via "1.1 haproxy"
    http-response add-header Via "1.1 haproxy"
    default_backend origin
backend origin
    server one 127.0.0.1:{backend}
"""


def configuration(setup: Setup, port: int) -> str:
    """Return its configuration file."""
    return _CONFIGURATION.format(
        backend=setup.backend,
        connections=setup.connections + 200,
        log="log global\n    option httplog" if setup.logged else "",
        log_to="log stdout format raw local0" if setup.logged else "",
        port=port,
        reuse="http-reuse always" if setup.pooled else "http-reuse never\n    option http-server-close",
        scheme="https" if setup.secure else "http",
        secure=f" ssl crt {setup.secure} alpn http/1.1" if setup.secure else "",
        timeout=TIMEOUT,
    )


class HAProxy(Peer):
    """The yardstick."""

    name = "haproxy"
    title = "HAProxy"

    def missing(self) -> str | None:
        """Where it is not installed."""
        return None if found("haproxy") else "haproxy is not installed (apt-get install haproxy)"

    def version(self) -> str:
        """Its first words."""
        return said_by(found("haproxy") or "haproxy", "-v").partition(" 20")[0].removesuffix(" -").strip()

    def start(self, setup: Setup, port: ReservedPort) -> Child:
        """See `Peer.start`."""
        path = setup.folder / "haproxy.cfg"
        path.write_text(configuration(setup, port.number), "utf-8")
        command = [found("haproxy") or "haproxy", "-db", "-f", str(path)]
        return Child(command, port, setup.cores.proxy, setup.folder / "haproxy.out")
