"""Stored files and their addresses: signed, expiring, refreshed in every message that is delivered later."""

from __future__ import annotations

import hashlib
import hmac
import io
import mimetypes
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web
from PIL import Image

from tests.discord_server.world import Attachment, Channel

if TYPE_CHECKING:
    from tests.discord_server.server import DiscordServer

LIFETIME_S = 24 * 3600


@dataclass(frozen=True)
class Upload:
    """A file that a person attaches. content_type: None guesses it from the name, as Discord does."""

    name: str
    data: bytes
    description: str | None = None
    content_type: str | None = None


class Cdn:
    """base, media: where the files and their resized copies are served, such as https://cdn.discordapp.com.

    fetched, proxied: the paths asked of each, in order.
    """

    def __init__(self, server: DiscordServer) -> None:
        self._server = server
        self._key = b"stand-in"
        self.base = ""
        self.media = ""
        self.files: dict[str, Attachment] = {}
        self.fetched: list[str] = []
        self.proxied: list[str] = []

    def store(self, upload: Upload, channel: Channel, *, is_ephemeral: bool = False) -> Attachment:
        number = self._server.new_id()
        name = re.sub(r"[^A-Za-z0-9._-]", "", upload.name.replace(" ", "_")) or "unknown"
        folder = "ephemeral-attachments" if is_ephemeral else "attachments"
        place = self._server.bot.id if is_ephemeral else channel.id
        kind = upload.content_type or mimetypes.guess_type(name)[0]
        size = _size(upload.data) if (kind or "").startswith("image/") else None
        stored = Attachment(
            number,
            name,
            upload.data,
            f"{folder}/{place}/{number}/{name}",
            kind,
            title=upload.name.rpartition(".")[0] if name != upload.name else None,
            description=upload.description,
            width=size and size[0],
            height=size and size[1],
            is_ephemeral=is_ephemeral,
        )
        self.files[stored.path] = stored
        return stored

    def url(self, attachment: Attachment) -> str:
        return f"{self.base}/{quote(attachment.path)}?{self._signature(attachment.path)}&"

    def proxy_url(self, attachment: Attachment) -> str:
        return f"{self.media}/{quote(attachment.path)}?{self._signature(attachment.path)}&"

    async def handle(self, request: web.Request, path: str, *, is_proxy: bool) -> web.Response:
        (self.proxied if is_proxy else self.fetched).append(path)
        self._server.record("proxy" if is_proxy else "cdn", path=path)
        stored = self.files.get(path)
        if path.startswith(("avatars/", "embed/avatars/", "icons/")):
            return web.Response(body=_square(), content_type="image/png")
        if stored is None or not self._is_signed(request, path):
            return web.Response(status=404, text="This content is no longer available.")
        data = _smaller(stored.data) if is_proxy else stored.data
        return web.Response(body=data, headers={"Content-Type": stored.content_type or "application/octet-stream"})

    def _signature(self, path: str) -> str:
        now = int(self._server.clock.now())
        issued, expires = f"{now:x}", f"{now + LIFETIME_S:x}"
        return f"ex={expires}&is={issued}&hm={self._hm(path, expires, issued)}"

    def _hm(self, path: str, expires: str, issued: str) -> str:
        return hmac.new(self._key, f"{path}|{expires}|{issued}".encode(), hashlib.sha256).hexdigest()

    def _is_signed(self, request: web.Request, path: str) -> bool:
        expires, issued = request.query.get("ex", ""), request.query.get("is", "")
        if not hmac.compare_digest(request.query.get("hm", ""), self._hm(path, expires, issued)):
            return False
        return int(expires, 16) > self._server.clock.now()


def _size(data: bytes) -> tuple[int, int] | None:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except Exception:  # what is no picture has no size
        return None


def _smaller(data: bytes) -> bytes:
    """What the media proxy gives: another encoding at another size, which is why its pixels must not be judged."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            copy = picture.convert("RGB").resize((max(1, picture.width // 2), max(1, picture.height // 2)))
    except Exception:
        return data
    out = io.BytesIO()
    copy.save(out, "WEBP", quality=60)
    return out.getvalue()


def _square() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (88, 101, 242)).save(out, "PNG")
    return out.getvalue()
