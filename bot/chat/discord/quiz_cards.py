"""A message of the quiz as Discord shows it: embeds, the pictures in them, and buttons that outlive restarts."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import discord

from bot.chat.discord.cards import Message
from bot.chat.quiz_views import HEAT_NAME, PRESS_ID, Button, Look, Press, Shown
from bot.palette import ACCENT, VERDICTS
from bot.quiz.texts import Block
from bot.words import words

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

_MAX_DESCRIPTION = 4096
_STYLES: dict[Look, discord.ButtonStyle] = {
    "real": discord.ButtonStyle.primary,
    "fake": discord.ButtonStyle.danger,
    "go": discord.ButtonStyle.success,
    "quiet": discord.ButtonStyle.secondary,
}


class PressItem(discord.ui.DynamicItem[discord.ui.Button[Any]], template=PRESS_ID):
    """Any button of a round."""

    def __init__(self, press: Press, label: str = "…", look: Look = "quiet", row: int | None = None) -> None:
        style = _STYLES[look]
        super().__init__(discord.ui.Button(label=label, custom_id=press.id, style=style, row=row))
        self._press = press

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py."""
        press = Press.of(match.string)
        if press is None:
            raise ValueError(f"no such button: {match.string!r}")
        return cls(press)

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Called by discord.py."""
        from bot.chat.discord.quiz import rounds_of

        bot: DiscordBot = interaction.client
        if await bot.acknowledge(interaction, ephemeral=True, thinking=False):
            await rounds_of(bot).press(interaction, self._press)


@dataclass(frozen=True)
class QuizMessage(Message):
    """`shown`, for `replies.deliver`; files are made anew at each call."""

    shown: Shown | None = None

    def smaller(self) -> Message:
        """Without the heatmap."""
        assert self.shown is not None
        return QuizMessage(shown=replace(self.shown, pictures=self.shown.pictures[:1]))

    def without_pictures(self) -> Message:
        """In words only."""
        assert self.shown is not None
        return QuizMessage(shown=replace(self.shown, pictures=()))

    plain = without_pictures

    def parts(self) -> dict[str, Any]:
        """content, embeds, files and view for discord.py."""
        assert self.shown is not None
        files = [discord.File(io.BytesIO(each.data), each.name, description=each.alt) for each in self.shown.pictures]
        return {"content": None, "embeds": embeds_of(self.shown), "files": files, "view": _view_of(self.shown.rows)}


def embeds_of(shown: Shown) -> list[discord.Embed]:
    """The text with the face, and the heatmap below it."""
    t = words(shown.language)
    lines = [plain(line) for line in shown.lines]
    if shown.closes_at is not None:
        lines.append(t("Time is up {when}.", when=f"<t:{math.ceil(shown.closes_at)}:R>"))
    red, green, blue = VERDICTS[shown.truth] if shown.truth else ACCENT
    colour = red << 16 | green << 8 | blue
    embeds = [discord.Embed(title=plain(shown.title), description=_lines(lines), colour=colour)]
    for picture in shown.pictures:
        if picture.name == HEAT_NAME:
            embeds.append(discord.Embed(title=t("Where the machine looked"), colour=colour))
        embeds[-1].set_image(url=f"attachment://{picture.name}")
    if shown.note:
        embeds[-1].set_footer(text=shown.note[:2048])
    return embeds


def block_embed(block: Block, picture: str | None = None) -> discord.Embed:
    """A titled block of lines. picture: the name of a file that is sent along."""
    red, green, blue = ACCENT
    embed = discord.Embed(title=plain(block.title), description=_lines([plain(line) for line in block.lines]))
    embed.colour = discord.Colour.from_rgb(red, green, blue)
    if picture is not None:
        embed.set_image(url=f"attachment://{picture}")
    return embed


def plain(text: str) -> str:
    """As it is, without Discord reading marks or mentions in it: people choose their names themselves."""
    return discord.utils.escape_mentions(discord.utils.escape_markdown(text))


def _lines(lines: list[str]) -> str:
    text = "\n".join(lines)
    return text if len(text) <= _MAX_DESCRIPTION else text[: _MAX_DESCRIPTION - 1] + "…"


def _view_of(rows: tuple[tuple[Button, ...], ...]) -> discord.ui.View | None:
    if not rows:
        return None
    view = discord.ui.View(timeout=None)
    for row, buttons in enumerate(rows):
        for button in buttons:
            view.add_item(PressItem(button.press, button.label, button.look, row))
    return view
