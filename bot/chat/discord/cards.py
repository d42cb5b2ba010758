"""An answer as Discord shows it: embeds with their pictures, within Discord's limits, and smaller when asked to be."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import discord
from PIL import Image

from bot.chat.answers import Answer

MAX_FILES = 10
PICTURES_A_MESSAGE = 5  # each brings a panel and what the network saw
_MAX_CONTENT = 2000
_MAX_TITLE = 256
_MAX_DESCRIPTION = 4096
_MAX_ALT = 1024
_MAX_FOOTER = 2048
_MARGIN = 256 * 1024  # bytes of a message besides its panels
_SMALL_QUALITY = 80


@dataclass(frozen=True)
class Card:
    """One embed. panel: its picture, alt: for those who do not see it. seen: what the network saw, its thumbnail."""

    title: str
    text: str
    colour: int | None = None
    footer: str = ""
    panel: bytes | None = None
    alt: str = ""
    seen: bytes | None = None


@dataclass(frozen=True)
class Message:
    """What is sent. view: its buttons."""

    text: str = ""
    cards: tuple[Card, ...] = ()
    view: discord.ui.View | None = None

    def smaller(self) -> Message:
        """The same with panels of half the size, compressed."""
        return replace(self, cards=tuple(replace(c, panel=c.panel and _halved(c.panel)) for c in self.cards))

    @property
    def has_pictures(self) -> bool:
        """Whether files go along."""
        return any(card.panel is not None or card.seen is not None for card in self.cards)

    def without_pictures(self) -> Message:
        """The same in words only. The buttons that need a picture go too."""
        return replace(self, cards=tuple(replace(c, panel=None, seen=None) for c in self.cards), view=None)

    def plain(self) -> Message:
        """Nothing but text, for when Discord objects to the form."""
        parts = [self.text, *(f"**{c.title}**\n{c.text}" for c in self.cards)]
        return Message("\n\n".join(part for part in parts if part))

    def parts(self) -> dict[str, Any]:
        """content, embeds, files and view for discord.py; the files are new at each call, as each is sent once."""
        files: list[discord.File] = []
        embeds = []
        for number, card in enumerate(self.cards, 1):
            embed = discord.Embed(
                title=_cut(card.title, _MAX_TITLE), description=_cut(card.text, _MAX_DESCRIPTION), colour=card.colour
            )
            if card.footer:
                embed.set_footer(text=_cut(card.footer, _MAX_FOOTER))
            if card.panel is not None:
                name = f"panel-{number}.{_suffix(card.panel)}"
                files.append(discord.File(io.BytesIO(card.panel), name, description=_cut(card.alt, _MAX_ALT) or None))
                embed.set_image(url=f"attachment://{name}")
            if card.seen is not None:
                name = seen_name(number - 1)
                files.append(discord.File(io.BytesIO(card.seen), name))
                embed.set_thumbnail(url=f"attachment://{name}")
            embeds.append(embed)
        return {
            "content": _cut(self.text, _MAX_CONTENT) or None,
            "embeds": embeds,
            "files": files[:MAX_FILES],
            "view": self.view,
        }


def card_of(answer: Answer, panel: bytes | None, seen: bytes | None) -> Card:
    """What is said about one picture as an embed."""
    text = discord.utils.escape_markdown("\n".join(answer.lines))
    return Card(answer.title, text, answer.colour, answer.caution, panel, answer.alt, seen)


def seen_name(picture: int) -> str:
    """The file name of what the network saw of a picture, the number `picture`, from 0, in its message."""
    return f"seen-{picture + 1}.png"


def panel_bytes(limit: int, pictures: int) -> int:
    """How large each panel may be where a message may have `limit` bytes and has so many pictures."""
    return max(64 * 1024, (limit - _MARGIN * pictures) // max(1, pictures))


def chunks(count: int) -> list[range]:
    """The pictures of each message, when there are `count`."""
    return [range(i, min(i + PICTURES_A_MESSAGE, count)) for i in range(0, count, PICTURES_A_MESSAGE)]


def _halved(picture: bytes) -> bytes:
    with Image.open(io.BytesIO(picture)) as opened:
        small = opened.convert("RGB").resize((max(1, opened.width // 2), max(1, opened.height // 2)))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=_SMALL_QUALITY)
    return out.getvalue()


def _suffix(picture: bytes) -> str:
    return "png" if picture.startswith(b"\x89PNG") else "jpg"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
