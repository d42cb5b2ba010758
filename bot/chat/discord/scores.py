"""/leaderboard and /stats."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.chat.discord.askers import PLATFORM, account_of, place_of, settings_at_hand, words_for
from bot.chat.discord.quiz import rounds_of
from bot.chat.discord.quiz_cards import block_embed
from bot.chat.manners import is_private
from bot.chat.quiz_scores import Scope, board, own_stats
from bot.words import later

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

_LEADERBOARD = later("The best of the quiz")
_SCOPE = later("of this server, of everyone, or in the set of today")
_STATS = later("How well you tell real from generated, and how well you know it")
_SHOW = later("let everybody here see it")
_SCOPES: list[app_commands.Choice[str]] = [
    app_commands.Choice(name=app_commands.locale_str(later("server")), value="server"),
    app_commands.Choice(name=app_commands.locale_str(later("everyone")), value="everyone"),
    app_commands.Choice(name=app_commands.locale_str(later("today")), value="today"),
]
_PICTURE = "stats.png"
_MAX_ALT = 1024


def register(bot: DiscordBot) -> None:
    """Add the commands."""
    bot.tree.add_command(leaderboard)
    bot.tree.add_command(stats)


@app_commands.command(name="leaderboard", description=app_commands.locale_str(_LEADERBOARD))
@app_commands.describe(scope=app_commands.locale_str(_SCOPE))
@app_commands.choices(scope=_SCOPES)
async def leaderboard(interaction: discord.Interaction[DiscordBot], scope: str = "server") -> None:
    """Answer /leaderboard."""
    bot = interaction.client
    ephemeral = is_private(settings_at_hand(bot.app, interaction))
    if not await bot.acknowledge(interaction, ephemeral=ephemeral):
        return
    bot.app.metrics.requests.labels(PLATFORM, "leaderboard").inc()
    t = await words_for(bot.app, interaction)
    chosen: Scope = "today" if scope == "today" else "everyone" if scope == "everyone" else "server"
    faces = rounds_of(bot).quizzing.daily_faces
    block = await board(bot.app, account_of(interaction.user), place_of(interaction), chosen, faces, t)
    await interaction.edit_original_response(embed=block_embed(block))


@app_commands.command(name="stats", description=app_commands.locale_str(_STATS))
@app_commands.describe(show=app_commands.locale_str(_SHOW))
async def stats(interaction: discord.Interaction[DiscordBot], show: bool = False) -> None:
    """Answer /stats; only the player sees it, who may have it shown to all."""
    bot = interaction.client
    if not await bot.acknowledge(interaction, ephemeral=not show):
        return
    bot.app.metrics.requests.labels(PLATFORM, "stats").inc()
    t = await words_for(bot.app, interaction)
    found = await own_stats(bot.app, account_of(interaction.user), t)
    if found.picture is None:
        await interaction.edit_original_response(embed=block_embed(found.block))
        return
    file = discord.File(io.BytesIO(found.picture), _PICTURE, description=found.alt[:_MAX_ALT])
    await interaction.edit_original_response(embed=block_embed(found.block, _PICTURE), attachments=[file])
