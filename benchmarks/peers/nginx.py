"""nginx, with one worker: as a proxy with its own default buffers, and with larger ones for large bodies."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.children import Child, ReservedPort
from benchmarks.peers.contract import TIMEOUT, Peer, Setup, found, said_by

_MAIN = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/{name}.pid;
error_log stderr warn;
{user}
events {{ worker_connections {connections}; }}
http {{
    access_log {log};
    gzip off;
    sendfile on;
    keepalive_timeout {timeout}s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {folder}/{name}.temp;
    proxy_temp_path {folder}/{name}.temp;
    fastcgi_temp_path {folder}/{name}.temp;
    uwsgi_temp_path {folder}/{name}.temp;
    scgi_temp_path {folder}/{name}.temp;
    default_type application/octet-stream;
{http}
}}
"""

_PROXY = """\
    upstream origin {{
        server 127.0.0.1:{backend};
        {keep}
    }}
    {upgrade_map}
    server {{
        listen 127.0.0.1:{port} backlog=1024{ssl};
        {certificate}
        client_header_timeout {timeout}s;
        client_body_timeout {timeout}s;
        send_timeout {timeout}s;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            {buffers}
            proxy_connect_timeout 5s;
            proxy_read_timeout {timeout}s;
            proxy_send_timeout {timeout}s;
            proxy_set_header Host $http_host;
            proxy_set_header Connection {connection};
            {upgrade}
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Request-Start $msec;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header Via "1.1 nginx";
            add_header Via "1.1 nginx";
        }}
    }}
"""

_UPGRADE_MAP = 'map $http_upgrade $kept { default upgrade; "" ""; }'
_LARGE_BUFFERS = "proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k;"


def main_configuration(
    name: str, folder: Path, http: str, *, connections: int = 4096, log: str = "off"
) -> str:
    """Return the frame of a configuration file around what stands in its ``http`` block."""
    return _MAIN.format(
        connections=connections,
        files=connections + 100,
        folder=folder,
        http=http,
        log=log,
        name=name,
        timeout=TIMEOUT,
        # Started by root, its worker would become a user who cannot read the folder.
        user="user root;" if os.geteuid() == 0 else "",
    )


def configuration(name: str, setup: Setup, port: int, *, large: bool = False) -> str:
    """Return the configuration file of the proxy."""
    http = _PROXY.format(
        backend=setup.backend,
        buffers=_LARGE_BUFFERS if large else "",
        certificate=f"ssl_certificate {setup.secure}; ssl_certificate_key {setup.secure}; ssl_protocols TLSv1.3;"
        if setup.secure
        else "",
        connection="$kept" if setup.upgrade else '""' if setup.pooled else "close",
        keep="keepalive 512; keepalive_requests 1000000000;" if setup.pooled else "",
        port=port,
        ssl=" ssl" if setup.secure else "",
        timeout=TIMEOUT,
        upgrade="proxy_set_header Upgrade $http_upgrade;" if setup.upgrade else "",
        upgrade_map=_UPGRADE_MAP if setup.upgrade else "",
    )
    log = f"{setup.folder}/{name}.log" if setup.logged else "off"
    return main_configuration(name, setup.folder, http, connections=2 * setup.connections + 512, log=log)


def command(path: Path) -> list[str]:
    """Return the command line for a configuration file."""
    return [found("nginx") or "nginx", "-e", "stderr", "-p", str(path.parent), "-c", str(path)]


class Nginx(Peer):
    """nginx before the back-end.

    :param large: with 64 kB buffers; it is only asked to carry large bodies then.
    """

    def __init__(self, large: bool = False) -> None:
        self._large = large
        self.name = "nginx-large" if large else "nginx"
        self.title = "nginx, 64 kB buffers" if large else "nginx"

    def missing(self) -> str | None:
        """Where it is not installed."""
        return None if found("nginx") else "nginx is not installed (apt-get install nginx-light)"

    def concerns(self, setup: Setup) -> bool:
        """Large buffers are for large bodies."""
        return setup.transfers or not self._large

    def version(self) -> str:
        """Its own words."""
        return said_by(found("nginx") or "nginx", "-v").removeprefix("nginx version: ").replace("/", " ")

    def start(self, setup: Setup, port: ReservedPort) -> Child:
        """See `Peer.start`."""
        path = setup.folder / f"{self.name}.conf"
        path.write_text(configuration(self.name, setup, port.number, large=self._large), "utf-8")
        return Child(command(path), port, setup.cores.proxy, setup.folder / f"{self.name}.out")
