"""Entities that Telegram finds in what people write: commands, mentions, links; offsets in UTF-16 code units."""

from __future__ import annotations

import re
from typing import Any

from tests.telegram_server.world import Entities

_PATTERNS = (
    ("bot_command", re.compile(r"(?<![\w/@<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/@<>])")),
    ("mention", re.compile(r"(?<!\w)@[A-Za-z0-9_]{4,32}(?!\w)")),
    ("hashtag", re.compile(r"(?<![\w&/])#(?=\w*[^\W\d_])\w{1,256}")),
    ("url", re.compile(r"(?i)\bhttps?://[^\s<>\"]+[^\s<>\".,;:!?)\]]|\b(?:[a-z0-9-]+\.)+(?:com|org|net)\b(?:/[^\s<>\"]*)?")),
)  # fmt: skip


def utf16(text: str) -> int:
    """How long Telegram finds a text."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, entity: dict[str, Any]) -> str:
    """The part that an entity marks."""
    raw = text.encode("utf-16-le", "surrogatepass")
    start = 2 * entity["offset"]
    return raw[start : start + 2 * entity["length"]].decode("utf-16-le", "surrogatepass")


def found_in(text: str) -> Entities:
    """The entities of a plain text, in their order, none over another."""
    found: Entities = []
    taken: list[tuple[int, int]] = []
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            if any(start < match.end() and match.start() < end for start, end in taken):
                continue
            taken.append(match.span())
            found.append(entity(kind, text, *match.span()))
    return sorted(found, key=lambda e: e["offset"])


def entity(kind: str, text: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    """start, end: in code points of the text."""
    return {"type": kind, "offset": utf16(text[:start]), "length": utf16(text[start:end]), **more}
