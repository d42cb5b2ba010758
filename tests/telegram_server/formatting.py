"""The texts that the bot sends: markup or entities read, trimmed, measured, and joined by what Telegram finds."""

from __future__ import annotations

from typing import Any

from tests.telegram_server import html, markdown
from tests.telegram_server.entities import found_in, utf16
from tests.telegram_server.errors import bad
from tests.telegram_server.world import Entities

MAX_TEXT, MAX_CAPTION, MAX_ENTITIES = 4096, 1024, 100  # the first two in UTF-16 code units
_KINDS = {
    "bold", "italic", "underline", "strikethrough", "spoiler", "text_link", "custom_emoji", "code", "pre", "blockquote",
    "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "text_mention",
    "expandable_blockquote", "date_time",
}  # fmt: skip


def parsed(text: str, parse_mode: str | None, given: Any, limit: int) -> tuple[str, Entities]:
    """What is shown of a text, and its entities, those that Telegram finds itself included.

    given: the parameter entities. limit: MAX_TEXT or MAX_CAPTION. Raises ApiError.
    """
    if parse_mode and given:
        given = None  # parse_mode goes before
    if parse_mode:
        parsers = {"html": html.parse, "markdownv2": markdown.parse}
        if parse_mode.lower() not in parsers:
            raise bad("unsupported parse_mode")
        text, entities = parsers[parse_mode.lower()](text)
    else:
        entities = _checked(given or [], text)
    text, entities = _trimmed(text, entities)
    if utf16(text) > limit:
        raise bad("message is too long" if limit == MAX_TEXT else "message caption is too long")
    return text, _with_found(text, entities)[:MAX_ENTITIES]


def _with_found(text: str, entities: Entities) -> Entities:
    """Found ones stand beside given ones, but not across them."""

    def is_free(found: dict[str, Any]) -> bool:
        start, end = found["offset"], found["offset"] + found["length"]
        for other in entities:
            first, last = other["offset"], other["offset"] + other["length"]
            covers = other["type"] not in ("code", "pre", "text_link") and first <= start and end <= last
            if start < last and first < end and not covers:
                return False
        return True

    return sorted(
        entities + [found for found in found_in(text) if is_free(found)], key=lambda e: (e["offset"], -e["length"])
    )


def _checked(given: Any, text: str) -> Entities:
    if not isinstance(given, list):
        raise bad("can't parse entities: expected an Array of MessageEntity")
    length = utf16(text)
    for entity in given:
        if not isinstance(entity, dict) or entity.get("type") not in _KINDS:
            raise bad("can't parse MessageEntity: Unsupported type specified")
        if not all(isinstance(entity.get(name), int) for name in ("offset", "length")):
            raise bad("can't parse MessageEntity: offset and length must be of type Number")
        if not 0 <= entity["offset"] < entity["offset"] + entity["length"] <= length:
            raise bad(f"entity beginning at UTF-16 offset {entity['offset']} ends outside of the text")
    return [dict(entity) for entity in given]


def _trimmed(text: str, entities: Entities) -> tuple[str, Entities]:
    """Space around a text goes."""
    left = len(text) - len(text.lstrip())
    kept = text.strip()
    length = utf16(kept)
    moved: Entities = []
    for entity in entities:
        start = max(0, entity["offset"] - left)
        end = min(length, entity["offset"] + entity["length"] - left)
        if end > start:
            moved.append({**entity, "offset": start, "length": end - start})
    return kept, moved
