"""A fast server of files on loopback for all crawlers alike: nginx, or asyncio workers where it is not installed.

Its log says when each picture was asked for, so that a crawler's start-up can be told apart from its crawl.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  log_format times '$msec $uri';
  access_log {log} times;
  sendfile on; tcp_nodelay on; keepalive_requests 1000000; default_type image/jpeg;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; }}
}}
"""


@dataclass(frozen=True)
class Server:
    """A running server. `url`: of its root. `kind`: its name, for the report."""

    url: str
    kind: str
    log: Path

    def forget(self) -> None:
        """Begin the log anew."""
        with self.log.open("r+b") as file:
            file.truncate(0)

    def first_and_last(self) -> tuple[float, float, int]:
        """Seconds since 1970 at which the first and the last picture were sent, and how many were."""
        lines = (line.split() for line in self.log.read_text().splitlines())
        times = [float(at) for at, path in lines if path.endswith(".jpg")]
        return (min(times), max(times), len(times)) if times else (0.0, 0.0, 0)


@contextmanager
def serving(root: Path, folder: Path) -> Iterator[Server]:
    """Serve `root`; the server's own files go into `folder`."""
    port, log = free_port(), folder / "access.log"
    log.touch()
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if nginx:
        configuration = folder / "nginx.conf"
        configuration.write_text(_user() + _NGINX.format(folder=folder, log=log, port=port, root=root))
        command = [nginx, "-c", str(configuration), "-e", str(folder / "error.log")]
    else:
        command = [sys.executable, __file__, str(root), str(port), str(log)]
    process = subprocess.Popen(command)
    try:
        _wait_for(port, process)
        yield Server(f"http://127.0.0.1:{port}", "nginx" if nginx else "asyncio workers", log)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _user() -> str:
    # Started as root, nginx would hand its work to a user who may not read temporary folders.
    return "user root;" if os.geteuid() == 0 else ""


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    from infra.errors import UserError  # here: as a script this file runs without the project

    for _ in range(200):
        if process.poll() is not None:
            raise UserError(f"the benchmark's server ended with {process.returncode}")
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise UserError("the benchmark's server did not come up in 10 seconds")


class _Files(asyncio.Protocol):
    """GET and nothing else, over kept connections."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self.log, self.received = root, log.open("ab", buffering=0), b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.log.close()

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            self.answer(urlsplit(head.split(b" ", 2)[1].decode()).path, b"connection: close" in head.lower())

    def answer(self, path: str, close: bool) -> None:
        file = self.root / Path(path).name
        status, body = ("200 OK", file.read_bytes()) if file.is_file() else ("404 Not Found", b"")
        kept = "close" if close else "keep-alive"
        head = f"HTTP/1.1 {status}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n"
        head += f"Connection: {kept}\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.log.write(f"{time.time():.3f} {path}\n".encode())
        if close:
            self.transport.close()


def _work(root: Path, port: int, log: Path) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Files(root, log), "127.0.0.1", port, backlog=4096, reuse_port=True)
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    second = multiprocessing.Process(
        target=_work, args=(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])), daemon=True
    )
    second.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the second ends with the first
    _work(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
