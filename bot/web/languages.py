"""Which language a browser's reader is spoken to in: Accept-Language (RFC 9110, section 12.5.4)."""

from __future__ import annotations

from bot.words import LANGUAGES, Words, words


def reader(accept_language: str | None, chosen: str | None = None) -> Words:
    """accept_language: the header, such as "de-AT,de;q=0.9,en;q=0.5". chosen: a tag that goes before it.

    English where nothing is spoken here. Never raises, whatever the header holds.
    """
    wanted = [_preference(part) for part in (accept_language or "").split(",")]
    if chosen:
        wanted.insert(0, (chosen, 2.0))
    for tag, weight in sorted(wanted, key=lambda preference: -preference[1]):
        if weight > 0 and tag.split("-")[0].lower() in LANGUAGES:
            return words(tag)
    return words(None)


def _preference(part: str) -> tuple[str, float]:
    """ "de;q=0.9" ▶ ("de", 0.9); a weight that cannot be read counts as none."""
    tag, _, parameter = part.partition(";")
    name, _, value = parameter.partition("=")
    if not parameter.strip():
        return tag.strip(), 1.0
    try:
        return tag.strip(), min(float(value), 1.0) if name.strip().lower() == "q" else 0.0
    except ValueError:
        return tag.strip(), 0.0
