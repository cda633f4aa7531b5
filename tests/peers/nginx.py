"""nginx as a back-end: its own configuration in a temporary folder, on a port that nobody else can take."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from tests.peers.peer_case import PATIENCE, tool

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr notice;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    gzip off;
    keepalive_timeout 65;
    client_max_body_size 0;
    client_body_temp_path {folder}/temp;
    proxy_temp_path {folder}/temp;
    fastcgi_temp_path {folder}/temp;
    uwsgi_temp_path {folder}/temp;
    scgi_temp_path {folder}/temp;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port};
        add_header X-Connection $connection always;
        add_header X-Seen "$request_method $request_uri $server_protocol $http_connection" always;
        root {folder}/files;
        location = /discard {{ return 204; }}
        location /behind/ {{
            proxy_pass http://127.0.0.1:{behind}/;
            proxy_http_version 1.1;
            proxy_request_buffering off;
        }}
    }}
}}
"""


class Nginx:
    """A running nginx that serves the folder `files` and, under ``/behind/``, what the port `behind` serves.

    Each answer names nginx's number for the connection (``X-Connection``) and what it has understood of the
    request (``X-Seen``). ``/discard`` answers 204 without waiting for the request's body.
    """

    def __init__(self, behind: int) -> None:
        self._folder = tempfile.mkdtemp(prefix="nginx-")
        self.files = Path(self._folder, "files")
        self.files.mkdir()
        # Bound but not listening: kept from everybody but who sets SO_REUSEADDR too, as nginx does.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self.port: int = self._reservation.getsockname()[1]
        configuration = Path(self._folder, "nginx.conf")
        # Started by root its worker would become a user who cannot read the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        text = CONFIGURATION.format(folder=self._folder, port=self.port, behind=behind, user=user)
        configuration.write_text(text, "utf-8")
        self._said: list[str] = []
        self._ready = threading.Event()
        command = [tool("nginx"), "-e", "stderr", "-p", self._folder, "-c", str(configuration)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        if not self._ready.wait(PATIENCE) or self._process.poll() is not None:
            self.stop()
            raise AssertionError(f"nginx did not start:\n{self.said}")

    @property
    def said(self) -> str:
        """Its error log."""
        return "".join(self._said)

    def stop(self) -> None:
        """End it, and give everything back."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE)
        self._reading.join(PATIENCE)
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._reservation.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> None:
        assert self._process.stderr is not None  # it was asked for as a pipe
        for line in self._process.stderr:
            self._said.append(line)
            # The master says this when it listens already.
            if "start worker process " in line:
                self._ready.set()
        self._ready.set()
