"""Real proxies, installed from the system's packages, each in a folder and on a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from support.servers import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Generator

_PATIENCE = 30.0
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])

_NGINX = """
daemon off;
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 7;
    keepalive_timeout 1s;
    upstream api {{ server 127.0.0.1:{backend}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream off;
        }}
    }}
}}
"""

_HAPROXY = """
global
    maxconn 512
    stats socket {folder}/haproxy.sock
defaults
    mode http
    timeout connect 200ms
    timeout client 5s
    timeout server 5s
    timeout http-keep-alive 1s
    retries 0
frontend front
    bind 127.0.0.1:{port} backlog 1024
    default_backend api
backend api
    http-reuse always
    server one 127.0.0.1:{backend} check inter 50ms fall 1 rise 1
"""

_SQUID = """
http_port 127.0.0.1:{port}
pid_filename {folder}/squid.pid
access_log none
cache_log {folder}/cache.log
cache_store_log none
coredump_dir {folder}
cache deny all
http_access allow all
shutdown_lifetime 0 seconds
pinger_enable off
"""


@attrs.frozen
class Proxy:
    """A proxy that runs."""

    url: str
    process: subprocess.Popen[bytes]

    def reload(self) -> None:
        """Let it read its configuration again: its workers are replaced."""
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def nginx(backend: int) -> Generator[Proxy]:
    """Run nginx in front of a port: 7 requests a connection, idle ones closed after a second."""
    user = "user root;" if os.geteuid() == 0 else ""
    with _running("nginx", _NGINX, "-e", "stderr", "-c", backend=backend, user=user) as proxy:
        yield proxy


@contextmanager
def haproxy(backend: int) -> Generator[Proxy]:
    """Run HAProxy in front of a port that it looks at all the time."""
    with _running("haproxy", _HAPROXY, "-db", "-f", backend=backend) as proxy:
        yield proxy


@contextmanager
def squid() -> Generator[Proxy]:
    """Run Squid, which opens tunnels."""
    with _running("squid", _SQUID, "-N", "-f") as proxy:
        yield proxy


@contextmanager
def _running(
    name: str, settings: str, *options: str, backend: int = 0, user: str = ""
) -> Generator[Proxy]:
    binary = shutil.which(name, path=_PATH)
    if binary is None:
        tell = pytest.fail if os.environ.get(REQUIRED) else pytest.skip
        tell(f"{name} is not installed; on Debian and Ubuntu: apt-get install {name}")
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as text:
        folder = Path(text)
        folder.chmod(0o777)  # started by root, Squid works as another user
        file = folder / "configuration"
        file.write_text(settings.format(folder=folder, port=port, backend=backend, user=user))
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - ours
                [binary, *options, str(file)], stdout=output, stderr=output, cwd=folder
            )
        try:
            _wait_for(port, process, folder / "output")
            yield Proxy(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, output.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(output.read_text())
