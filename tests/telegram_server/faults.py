"""Failures on demand, the mechanism being that of Discord's stand-in: other answers, late ones, cut connections."""

from __future__ import annotations

import json
from dataclasses import dataclass

from aiohttp import web

from tests.discord_server.faults import Fault, Faults

__all__ = ["ApiFault", "Faults"]


@dataclass
class ApiFault(Fault):
    """route: "* sendPhoto", by the method's name; "* file/photos/*" for downloads."""

    def response(self) -> web.Response:
        status = self.status or 500
        body = self.body
        if body is None:
            body = {"ok": False, "error_code": status, "description": self.message or f"status {status}"}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=raw, headers={"Content-Type": "application/json", **self.headers})
