"""What Discord refuses of a message: content, embeds, flags, allowed mentions; numbers as in its documentation."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tests.discord_server.errors import FormErrors
from tests.discord_server.world import IS_COMPONENTS_V2

MAX_CONTENT = 2000
MAX_EMBEDS = 10
MAX_EMBED_TEXT = 6000  # of all embeds of a message together


def check_message(payload: dict[str, Any], flags: int) -> None:
    """Raises 50035 with everything that is wrong."""
    errors = FormErrors()
    if payload.get("content") is not None:
        errors.length("content", payload["content"], 0, MAX_CONTENT)
    embeds = payload.get("embeds")
    if embeds is not None and errors.count("embeds", embeds, 0, MAX_EMBEDS):
        for index, embed in enumerate(embeds):
            _check_embed(errors, f"embeds.{index}", embed)
        if sum(_embed_text(embed) for embed in embeds) > MAX_EMBED_TEXT:
            errors.add("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")
    if flags & IS_COMPONENTS_V2:
        for key in ("content", "embeds", "sticker_ids", "poll"):
            if payload.get(key):
                code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
                errors.add(key, code, f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2")
    if payload.get("nonce") is not None:
        errors.length("nonce", str(payload["nonce"]), 1, 25)
    _check_mentions(errors, payload.get("allowed_mentions"))
    errors.check()


def _check_embed(errors: FormErrors, path: str, embed: Any) -> None:
    if not isinstance(embed, dict):
        errors.add(path, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
        return
    for key, limit in (("title", 256), ("description", 4096)):
        if embed.get(key) is not None:
            errors.length(f"{path}.{key}", embed[key], 0, limit)
    _check_embed_links(errors, path, embed)
    if embed.get("color") is not None and not 0 <= int(embed["color"]) <= 0xFFFFFF:
        errors.add(f"{path}.color", "NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215.")
    footer, author = embed.get("footer") or {}, embed.get("author") or {}
    if footer:
        errors.length(f"{path}.footer.text", footer.get("text"), 1, 2048)
    if author:
        errors.length(f"{path}.author.name", author.get("name"), 1, 256)
    fields = embed.get("fields") or []
    if errors.count(f"{path}.fields", fields, 0, 25):
        for index, field in enumerate(fields):
            errors.length(f"{path}.fields.{index}.name", field.get("name", ""), 1, 256)
            errors.length(f"{path}.fields.{index}.value", field.get("value", ""), 1, 1024)


def _check_embed_links(errors: FormErrors, path: str, embed: dict[str, Any]) -> None:
    if embed.get("url"):
        _check_url(errors, f"{path}.url", embed["url"], ("http", "https"))
    for place, key in (("image", "url"), ("thumbnail", "url"), ("footer", "icon_url"), ("author", "icon_url")):
        url = (embed.get(place) or {}).get(key)
        if url:
            _check_url(errors, f"{path}.{place}.{key}", url, ("http", "https", "attachment"))


def _check_url(errors: FormErrors, path: str, url: Any, schemes: tuple[str, ...]) -> None:
    parts = urlsplit(str(url))
    if parts.scheme not in schemes:
        message = f"Scheme {parts.scheme!r} is not supported. Scheme must be one of {schemes}."
        errors.add(path, "URL_TYPE_INVALID_SCHEME", message)
    elif not parts.netloc:
        errors.add(path, "URL_TYPE_INVALID_URL", "Not a well formed URL.")
    elif len(str(url)) > 2048:
        errors.add(path, "BASE_TYPE_MAX_LENGTH", "Must be 2048 or fewer in length.")


def _embed_text(embed: Any) -> int:
    if not isinstance(embed, dict):
        return 0
    parts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text")]
    parts.append((embed.get("author") or {}).get("name"))
    for field in embed.get("fields") or []:
        parts += [field.get("name"), field.get("value")]
    return sum(len(part) for part in parts if isinstance(part, str))


def _check_mentions(errors: FormErrors, allowed: dict[str, Any] | None) -> None:
    if not allowed:
        return
    parse = allowed.get("parse") or []
    for index, kind in enumerate(parse):
        errors.one_of(f"allowed_mentions.parse.{index}", kind, ("users", "roles", "everyone"))
    for key in ("users", "roles"):
        listed = allowed.get(key) or []
        errors.count(f"allowed_mentions.{key}", listed, 0, 100)
        if listed and key in parse:
            code = "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
            errors.add("allowed_mentions", code, f'parse:["{key}"] and {key}: [ids...] are mutually exclusive.')
