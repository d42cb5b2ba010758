"""/link: the account here and the one in another app become one person's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.chat.discord.askers import PLATFORM, account_of, words_for
from bot.chat.linking import new_code, use_code
from bot.words import later

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

_LINK = later("One score here, on Telegram and in the browser")
_CODE = later("the code from your other app; without one you get a code for it")


def register(bot: DiscordBot) -> None:
    """Add the command."""
    bot.tree.add_command(link)


@app_commands.command(name="link", description=app_commands.locale_str(_LINK))
@app_commands.describe(code=app_commands.locale_str(_CODE))
async def link(interaction: discord.Interaction[DiscordBot], code: str | None = None) -> None:
    """Answer /link, so that nobody else sees it."""
    bot = interaction.client
    if not await bot.acknowledge(interaction, ephemeral=True):
        return
    bot.app.metrics.requests.labels(PLATFORM, "link").inc()
    t, account = await words_for(bot.app, interaction), account_of(interaction.user)
    told = await (new_code(bot.app, account, t) if code is None else use_code(bot.app, account, code, t))
    await interaction.edit_original_response(content=told.text)
