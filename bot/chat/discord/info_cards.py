"""Blocks of text as the fields of a card."""

from __future__ import annotations

from collections.abc import Sequence

import discord

from bot.chat.info import Block
from bot.palette import ACCENT

_MAX_FIELD = 1024
_MAX_NAME = 256


def info_embed(title: str | None, blocks: Sequence[Block]) -> discord.Embed:
    """The blocks one below the other."""
    embed = discord.Embed(title=title, colour=discord.Colour.from_rgb(*ACCENT))
    for block in blocks:
        embed.add_field(name=_cut(block.title, _MAX_NAME), value=_cut(block.text, _MAX_FIELD), inline=False)
    return embed


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
