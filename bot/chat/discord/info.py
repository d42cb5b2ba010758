"""/help, /about, /privacy, and what belongs to whoever asks: /my-data and /forget-me."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import discord
from discord import app_commands

from bot.chat.about import about_blocks
from bot.chat.discord.askers import PLATFORM, account_of, words_for
from bot.chat.discord.info_cards import info_embed
from bot.chat.discord.quiz import rounds_of
from bot.chat.discord.replies import say_failed
from bot.chat.info import Block, forget_question, forgotten, gone_lines, help_blocks, own_data_blocks, privacy_blocks
from bot.words import Words, later

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

_HELP = later("What I do, and how to ask me")
_ABOUT = later("The model that answers, its limits, and where its data comes from")
_PRIVACY = later("What is kept about you, and how to be rid of it")
_MY_DATA = later("Everything that I have about you, as a file")
_FORGET_ME = later("Delete everything that I have about you")
_FORGET_ID = "forget-me"
_FILE = "my-data.json"


def register(bot: DiscordBot) -> None:
    """Add the commands, and the button that confirms a deletion."""
    bot.tree.add_command(help_)
    bot.tree.add_command(about)
    bot.tree.add_command(privacy)
    bot.tree.add_command(my_data)
    bot.tree.add_command(forget_me)
    bot.add_dynamic_items(ForgetItem)


@app_commands.command(name="help", description=app_commands.locale_str(_HELP))
async def help_(interaction: discord.Interaction[DiscordBot]) -> None:
    """Answer /help."""
    if t := await _heard(interaction, "help"):
        ways = [t("Right-click a message ▸ Apps ▸ “Is this real?”: only you see the answer.")]
        await _show(interaction, t("How to use me"), help_blocks(t, ways=ways))


@app_commands.command(name="about", description=app_commands.locale_str(_ABOUT))
async def about(interaction: discord.Interaction[DiscordBot]) -> None:
    """Answer /about."""
    if t := await _heard(interaction, "about"):
        bot = interaction.client
        deck = rounds_of(bot).quizzing.decks.at_hand
        blocks = about_blocks(bot.app.desk.card, t, deck.attributions if deck else ())
        await _show(interaction, t("About me"), blocks)


@app_commands.command(name="privacy", description=app_commands.locale_str(_PRIVACY))
async def privacy(interaction: discord.Interaction[DiscordBot]) -> None:
    """Answer /privacy."""
    if t := await _heard(interaction, "privacy"):
        await _show(interaction, t("Privacy"), privacy_blocks(t, interaction.client.app.params.keep_days))


@app_commands.command(name="my-data", description=app_commands.locale_str(_MY_DATA))
async def my_data(interaction: discord.Interaction[DiscordBot]) -> None:
    """Answer /my-data."""
    if t := await _heard(interaction, "my-data"):
        bot = interaction.client
        await bot.app.saved()  # what was asked a moment ago belongs to it
        data = await rounds_of(bot).quizzing.own_data(account_of(interaction.user))
        text = json.dumps(data, ensure_ascii=False, indent=1).encode()
        file = discord.File(io.BytesIO(text), _FILE)
        embed = info_embed(None, own_data_blocks(data, t))
        await interaction.edit_original_response(embed=embed, attachments=[file])


@app_commands.command(name="forget-me", description=app_commands.locale_str(_FORGET_ME))
async def forget_me(interaction: discord.Interaction[DiscordBot]) -> None:
    """Answer /forget-me with a question."""
    if t := await _heard(interaction, "forget-me"):
        view = discord.ui.View(timeout=None)
        view.add_item(ForgetItem(t("Delete everything")))
        await interaction.edit_original_response(content=forget_question(t), view=view)


class ForgetItem(discord.ui.DynamicItem[discord.ui.Button[Any]], template=_FORGET_ID):
    """Deletes everything about whoever presses it: the question was seen by nobody else."""

    def __init__(self, label: str = "…") -> None:
        super().__init__(discord.ui.Button(label=label, custom_id=_FORGET_ID, style=discord.ButtonStyle.danger))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py."""
        return cls()

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Called by discord.py."""
        bot: DiscordBot = interaction.client
        if not await bot.acknowledge(interaction, ephemeral=True, thinking=False):
            return
        try:
            t, account = await words_for(bot.app, interaction), account_of(interaction.user)
            gone = await bot.app.forget(account)
            lines = [forgotten(t), *gone_lines(gone, t)]
            await interaction.edit_original_response(content="\n".join(lines), view=None)
        except Exception as error:
            await say_failed(interaction, error)


async def _heard(interaction: discord.Interaction[DiscordBot], kind: str) -> Words | None:
    """Acknowledged, counted, and in which language to answer; None when nobody waits any more."""
    bot = interaction.client
    if not await bot.acknowledge(interaction, ephemeral=True):
        return None
    bot.app.metrics.requests.labels(PLATFORM, kind).inc()
    return await words_for(bot.app, interaction)


async def _show(interaction: discord.Interaction[DiscordBot], title: str, blocks: Sequence[Block]) -> None:
    await interaction.edit_original_response(embed=info_embed(title, blocks))
