"""What a method takes: parameters by name and kind, read from a query, a form, multipart or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import BodyPartReader, web

from tests.telegram_server.errors import ApiError, bad

Kind = Literal["int", "float", "bool", "str", "json", "file", "chat"]
MAX_REQUEST = 110 * 2**20  # bytes: what one request could ever hold

SENDING: dict[str, Kind] = {
    "chat_id": "chat", "business_connection_id": "str", "message_thread_id": "int", "direct_messages_topic_id": "int",
    "disable_notification": "bool", "protect_content": "bool", "allow_paid_broadcast": "bool",
    "message_effect_id": "str", "suggested_post_parameters": "json", "reply_parameters": "json",
    "reply_to_message_id": "int", "allow_sending_without_reply": "bool",
}  # fmt: skip
CAPTION: dict[str, Kind] = {
    "caption": "str", "parse_mode": "str", "caption_entities": "json", "show_caption_above_media": "bool",
}  # fmt: skip


@dataclass
class Call:
    """One request. args: those given, converted. files: of multipart, by name: (file name, type, bytes)."""

    method: str
    args: dict[str, Any] = field(default_factory=dict)
    files: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)
    code: int = 0
    result: Any = None
    description: str = ""

    def __repr__(self) -> str:
        return f"<{self.method} {self.code} {self.description}>"


async def read(request: web.Request, call: Call, known: Mapping[str, Kind] | None) -> None:
    """Fill the call; raises ApiError for what cannot be read, and for a parameter that the method does not have."""
    raw: dict[str, Any] = dict(request.query)
    if request.method == "POST" and request.can_read_body:
        kind = request.content_type
        if kind == "application/json":
            raw |= _json_body(await request.read())
        elif kind == "multipart/form-data":
            await _parts(request, raw, call)
        elif kind == "application/x-www-form-urlencoded":
            raw |= dict(await request.post())
        else:
            await request.read()
    if known is None:
        return
    for name, value in raw.items():
        if name not in known and not _is_attachment(name, call):
            # Telegram overlooks these; here they are told, as each is a slip of the pen.
            raise bad(f"unknown parameter {name!r} of {call.method}")
        if name in known and value is not None:
            call.args[name] = _converted(name, value, known[name])


def _is_attachment(name: str, call: Call) -> bool:
    return name in call.files


def _json_body(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except ValueError:
        raise bad("can't parse JSON request body") from None
    if not isinstance(read, dict):
        raise bad("JSON object expected as the request body")
    return read


async def _parts(request: web.Request, raw: dict[str, Any], call: Call) -> None:
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        data = bytes(await part.read(decode=False))
        name = part.name or ""
        if part.filename is not None:
            kind = part.headers.get("Content-Type", "application/octet-stream")
            call.files[name] = (part.filename, kind, data)
        else:
            raw[name] = data.decode()


def _converted(name: str, value: Any, kind: Kind) -> Any:
    try:
        if kind == "json":
            return json.loads(value) if isinstance(value, str) else value
        if kind == "chat" and isinstance(value, str) and value.startswith("@"):
            return value
        if kind in ("int", "chat"):
            return _int(value)
        if kind == "float":
            return float(value)
        if kind == "bool":
            return _bool(value)
    except ApiError:
        raise
    except (TypeError, ValueError):
        if kind == "json":
            raise bad(f"can't parse {name.replace('_', ' ')} JSON object") from None
        raise bad("chat not found" if kind == "chat" else f"invalid parameter {name!r} value specified") from None
    if not isinstance(value, str | int | float):
        raise bad(f"parameter {name!r} must be a string")
    return str(value)


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(value)
    return int(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in ("true", "false", "yes", "no", "1", "0"):
        raise ValueError(value)
    return text in ("true", "yes", "1")
