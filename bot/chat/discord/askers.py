"""Who asks on Discord, where, and in which language, as the rest of the bot knows people and places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord

from bot.chat.app import App, Request
from bot.records import Account, PlaceSettings, Platform
from bot.words import Words

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

PLATFORM: Platform = "discord"


def account_of(user: discord.abc.User) -> Account:
    """A person's account; the name is the one that everybody sees."""
    return Account(PLATFORM, str(user.id), user.display_name)


def place_of(source: discord.Interaction[DiscordBot] | discord.Message) -> str | None:
    """The id of the server; None in direct messages, also in those between people where the bot is a guest."""
    if isinstance(source, discord.Interaction):
        return None if source.guild_id is None else str(source.guild_id)
    guild_id = source.guild.id if source.guild else getattr(source.channel, "guild_id", None)
    return None if guild_id is None else str(guild_id)


def settings_at_hand(app: App, source: discord.Interaction[DiscordBot] | discord.Message) -> PlaceSettings:
    """What the server's admins decided, without waiting: an interaction must be acknowledged before anything else."""
    return app.settings_at_hand(PLATFORM, place_of(source))


async def words_for(app: App, source: discord.Interaction[DiscordBot] | discord.Message) -> Words:
    """The language for whoever sent `source`."""
    if isinstance(source, discord.Interaction):
        return await app.words(account_of(source.user), place_of(source), source.locale.value)
    locale = source.guild.preferred_locale.value if source.guild else None
    return await app.words(account_of(source.author), place_of(source), locale)


def request_of(source: discord.Interaction[DiscordBot] | discord.Message, t: Words) -> Request:
    """The same, as the app takes it."""
    user = source.user if isinstance(source, discord.Interaction) else source.author
    return Request(account_of(user), place_of(source), t.language)
