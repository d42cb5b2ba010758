"""As much of AWS as the deployment's own programs ask for: buckets, and the parameter store."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class Aws(http.server.BaseHTTPRequestHandler):
    """buckets: the paths of those that were made."""

    buckets: ClassVar[set[str]] = set()

    def do_HEAD(self) -> None:
        self._answer(200 if self.path in self.buckets else 404)

    def do_PUT(self) -> None:
        self.buckets.add(self.path)
        self._answer(200)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked == {"Name": "/faces/pgpass", "WithDecryption": True}:
            self._answer(200, {"Parameter": {"Name": "/faces/pgpass", "Value": "host:5432:faces:faces:x\n"}})
        else:
            self._answer(400, {"__type": "ParameterNotFound", "message": "no such parameter"})

    def _answer(self, status: int, content: object = None) -> None:
        body = json.dumps(content).encode() if content else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest has enough to show."""


@contextmanager
def aws_environment() -> Iterator[dict[str, str]]:
    """The variables of a node that speaks to `Aws`, which is served while the block runs."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
