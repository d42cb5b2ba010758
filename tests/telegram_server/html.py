"""parse_mode HTML: tags made into entities, or refused in TDLib's words."""

from __future__ import annotations

import re
from typing import Any

from tests.telegram_server.entities import utf16
from tests.telegram_server.errors import ApiError, bad
from tests.telegram_server.world import Entities

_TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler",
    "span": "spoiler", "a": "text_link", "tg-emoji": "custom_emoji", "code": "code", "pre": "pre",
    "blockquote": "blockquote",
}  # fmt: skip
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[^<>\"']*(?:\"[^\"]*\"|'[^']*')?)*)\s*>")
_ATTRIBUTE = re.compile(r"([a-zA-Z-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+)))?")
_CHARACTER = re.compile(r"&(?:(lt|gt|amp|quot)|#(\d{1,7})|#x([0-9a-fA-F]{1,6}));?")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}


def parse(text: str) -> tuple[str, Entities]:
    """The text without tags, and its entities; raises ApiError."""
    out, entities, open_tags, at = "", Entities(), list[tuple[str, int, dict[str, str]]](), 0
    while at < len(text):
        if text[at] == "&" and (match := _CHARACTER.match(text, at)):
            out += _character(match)
            at = match.end()
        elif text[at] != "<":
            out += text[at]
            at += 1
        else:
            found = _TAG.match(text, at)
            if found is None:
                raise wrong(_bad_tag(text, at))
            at = found.end()
            name = found[2].lower()
            offset = byte_offset(text[: found.start()])
            if found[1]:
                _close(name, offset, out, open_tags, entities)
            else:
                open_tags.append((name, utf16(out), _attributes(name, found[3], offset)))
    if open_tags:
        raise wrong(f'Can\'t find end tag corresponding to start tag "{open_tags[-1][0]}"')
    return out, sorted(entities, key=lambda e: (e["offset"], -e["length"]))


def _character(match: re.Match[str]) -> str:
    if match[1]:
        return _NAMED[match[1]]
    return chr(int(match[2]) if match[2] else int(match[3], 16))


def _bad_tag(text: str, at: int) -> str:
    name = re.match(r"<(/?)([^\s<>/]*)", text[at:])
    offset = byte_offset(text[:at])
    if name is None or ">" not in text[at:]:
        return f"Unclosed {'end' if text[at + 1 : at + 2] == '/' else 'start'} tag at byte offset {offset}"
    return f'Unsupported start tag "{name[2]}" at byte offset {offset}'


def _attributes(name: str, given: str, offset: int) -> dict[str, str]:
    if name not in _TAGS:
        raise wrong(f'Unsupported start tag "{name}" at byte offset {offset}')
    attributes = {m[1].lower(): m[2] or m[3] or m[4] or "" for m in _ATTRIBUTE.finditer(given)}
    if name == "span" and attributes.get("class") != "tg-spoiler":
        raise wrong(f'Tag "span" must have class "tg-spoiler" at byte offset {offset}')
    return {key: _CHARACTER.sub(_character, value) for key, value in attributes.items()}


def _close(
    name: str, offset: int, out: str, open_tags: list[tuple[str, int, dict[str, str]]], entities: Entities
) -> None:
    if not open_tags:
        raise wrong(f"Unexpected end tag at byte offset {offset}")
    opened, start, attributes = open_tags.pop()
    if opened != name:
        raise wrong(f'Unmatched end tag at byte offset {offset}, expected "</{opened}>", found "</{name}>"')
    length = utf16(out) - start
    if not length:
        return
    entity: dict[str, Any] = {"type": _TAGS[name], "offset": start, "length": length}
    if name == "a":
        if not attributes.get("href", "").startswith(("http://", "https://", "tg://")):
            return
        entity["url"] = attributes["href"]
    elif name == "tg-emoji":
        entity["custom_emoji_id"] = attributes.get("emoji-id", "")
    elif name == "blockquote" and "expandable" in attributes:
        entity["type"] = "expandable_blockquote"
    elif name == "code" and open_tags and open_tags[-1][0] == "pre":
        return
    entities.append(entity)


def wrong(what: str) -> ApiError:
    """Markup that cannot be read."""
    return bad(f"can't parse entities: {what}")


def byte_offset(text: str) -> int:
    """How far it is to the end of a text, as TDLib counts."""
    return len(text.encode("utf-8", "surrogatepass"))
