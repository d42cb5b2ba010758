"""/settings for those who manage a server, /language for everybody, and what a server leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import discord
from discord import app_commands

from bot.chat.discord.askers import PLATFORM, account_of, place_of, words_for
from bot.chat.discord.info_cards import info_embed
from bot.chat.info import settings_blocks
from bot.chat.refusals import NotAllowed
from bot.records.settings import AUTO
from bot.words import LANGUAGES, Words, later

_Channel: TypeAlias = app_commands.AppCommandChannel | app_commands.AppCommandThread

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

_log = logging.getLogger("bot.discord")

_GROUP = later("How I behave on this server")
_SHOW = later("What is set now")
_CHANNELS = later("Where I answer every picture that is posted")
_ADD = later("Answer every picture in a channel, and in its threads")
_REMOVE = later("No longer answer every picture in a channel")
_CHANNEL = later("the channel, forum or thread")
_QUIET = later("When I answer only who asks; without times: never")
_START = later("from, such as 22:00")
_END = later("to, such as 07:30")
_TIMEZONE = later("such as Europe/Berlin; UTC by default")
_PLACE_LANGUAGE = later("The language of my answers on this server")
_PRIVATE = later("Whether only the asker sees the answer to a command")
_ON = later("only the asker, or everybody")
_LANGUAGE = later("The language in which I answer you")
_WHICH = later("the language")
_SPOKEN = [
    app_commands.Choice(name=app_commands.locale_str(later("automatic")), value=AUTO),
    *(app_commands.Choice(name=name, value=code) for code, name in LANGUAGES.items()),
]

_NEEDED = (
    ("view_channel", later("View Channel")),
    ("send_messages", later("Send Messages")),
    ("embed_links", later("Embed Links")),
    ("attach_files", later("Attach Files")),
    ("read_message_history", later("Read Message History")),
)  # named as in Discord's own settings


def register(bot: DiscordBot) -> None:
    """Add the commands, and forget a server that the bot has left."""
    bot.tree.add_command(settings)
    bot.tree.add_command(language)

    @bot.event
    async def on_guild_remove(guild: discord.Guild) -> None:
        await bot.app.forget_place(PLATFORM, str(guild.id))
        _log.info("left a server; its settings are forgotten")


class Openable(app_commands.Transformer):
    """A channel in which people post pictures, whether or not the bot can see it."""

    @property
    def type(self) -> discord.AppCommandOptionType:
        """Called by discord.py."""
        return discord.AppCommandOptionType.channel

    @property
    def channel_types(self) -> list[discord.ChannelType]:
        """Called by discord.py."""
        kinds = discord.ChannelType
        return [
            kinds.text, kinds.news, kinds.forum, kinds.media,
            kinds.public_thread, kinds.private_thread, kinds.news_thread,
        ]  # fmt: skip

    async def transform(self, interaction: discord.Interaction[Any], value: Any, /) -> Any:
        """Called by discord.py."""
        return value


settings = app_commands.Group(
    name="settings",
    description=app_commands.locale_str(_GROUP),
    guild_only=True,
    allowed_contexts=app_commands.AppCommandContext(guild=True),
    default_permissions=discord.Permissions(manage_guild=True),
)
channels = app_commands.Group(name="channels", description=app_commands.locale_str(_CHANNELS), parent=settings)


@settings.command(name="show", description=app_commands.locale_str(_SHOW))
async def show(interaction: discord.Interaction[DiscordBot]) -> None:
    """Answer /settings show."""
    await _change(interaction, lambda place, t: _nothing())


@channels.command(name="add", description=app_commands.locale_str(_ADD))
@app_commands.describe(channel=app_commands.locale_str(_CHANNEL))
async def add(
    interaction: discord.Interaction[DiscordBot], channel: app_commands.Transform[_Channel, Openable]
) -> None:
    """Answer /settings channels add."""
    bot, number = interaction.client, str(channel.id)

    async def change(place: str, t: Words) -> str:
        await bot.app.open_channel(PLATFORM, place, number, True)
        return _warning(interaction.guild, channel, t)

    await _change(interaction, change)


@channels.command(name="remove", description=app_commands.locale_str(_REMOVE))
@app_commands.describe(channel=app_commands.locale_str(_CHANNEL))
async def remove(
    interaction: discord.Interaction[DiscordBot], channel: app_commands.Transform[_Channel, Openable]
) -> None:
    """Answer /settings channels remove."""
    bot, number = interaction.client, str(channel.id)

    async def change(place: str, t: Words) -> str:
        open_ = (await bot.app.settings(PLATFORM, place)).channels
        if number not in open_:
            return t("That channel was not open.")
        await bot.app.open_channel(PLATFORM, place, number, False)
        return ""

    await _change(interaction, change)


@settings.command(name="quiet-hours", description=app_commands.locale_str(_QUIET))
@app_commands.describe(
    start=app_commands.locale_str(_START),
    end=app_commands.locale_str(_END),
    timezone=app_commands.locale_str(_TIMEZONE),
)
async def quiet_hours(
    interaction: discord.Interaction[DiscordBot],
    start: str | None = None,
    end: str | None = None,
    timezone: str | None = None,
) -> None:
    """Answer /settings quiet-hours."""
    wished: dict[str, Any] = {"quiet_from": start and start.strip(), "quiet_to": end and end.strip()}
    if timezone:
        wished["timezone"] = timezone.strip()
    await _change(interaction, _kept(interaction, **wished))


@settings.command(name="language", description=app_commands.locale_str(_PLACE_LANGUAGE))
@app_commands.describe(language=app_commands.locale_str(_WHICH))
@app_commands.choices(language=_SPOKEN)
async def place_language(interaction: discord.Interaction[DiscordBot], language: str) -> None:
    """Answer /settings language."""
    await _change(interaction, _kept(interaction, language=language))


@settings.command(name="private-answers", description=app_commands.locale_str(_PRIVATE))
@app_commands.describe(private=app_commands.locale_str(_ON))
async def private_answers(interaction: discord.Interaction[DiscordBot], private: bool) -> None:
    """Answer /settings private-answers."""
    await _change(interaction, _kept(interaction, ephemeral=private))


@app_commands.command(name="language", description=app_commands.locale_str(_LANGUAGE))
@app_commands.describe(language=app_commands.locale_str(_WHICH))
@app_commands.choices(language=_SPOKEN)
async def language(interaction: discord.Interaction[DiscordBot], language: str) -> None:
    """Answer /language, in the language that was chosen."""
    bot = interaction.client
    if not await bot.acknowledge(interaction, ephemeral=True):
        return
    chosen = None if language == AUTO else language
    await bot.app.set_language(account_of(interaction.user), chosen)
    t = await words_for(bot.app, interaction)
    name = LANGUAGES[t.language]
    text = t("From now on I answer you in {language}.", language=name) if chosen else t(
        "From now on I answer you in the language of your app, or of the server."
    )  # fmt: skip
    await interaction.edit_original_response(content=text)


async def _change(
    interaction: discord.Interaction[DiscordBot], change: Callable[[str, Words], Coroutine[Any, Any, str]]
) -> None:
    """Do `change` for whoever may, and show what is set then, below what `change` has to say.

    Discord offers the commands to those who manage the server, which its admins can override; so it is looked at again.
    """
    bot, place = interaction.client, place_of(interaction)
    if not await bot.acknowledge(interaction, ephemeral=True):
        return
    bot.app.metrics.requests.labels(PLATFORM, "settings").inc()
    if place is None or not interaction.permissions.manage_guild:
        raise NotAllowed
    line = await change(place, await words_for(bot.app, interaction))
    t = await words_for(bot.app, interaction)  # the language may just have changed
    blocks = settings_blocks(await bot.app.settings(PLATFORM, place), t, lambda channel: f"<#{channel}>")
    await interaction.edit_original_response(
        content=line or None, embed=info_embed(t("Settings of this server"), blocks)
    )


def _kept(
    interaction: discord.Interaction[DiscordBot], **wished: Any
) -> Callable[[str, Words], Coroutine[Any, Any, str]]:
    async def change(place: str, t: Words) -> str:
        await interaction.client.app.change_settings(PLATFORM, place, **wished)
        return ""

    return change


async def _nothing() -> str:
    return ""


def _warning(guild: discord.Guild | None, channel: Any, t: Words) -> str:
    """What the bot lacks in a channel that was opened."""
    found = guild.get_channel_or_thread(channel.id) if guild is not None else None
    if guild is None or found is None:
        return t("I can't see that channel. Give me the permission {permission} there.", permission=t(_NEEDED[0][1]))
    may = found.permissions_for(guild.me)
    lacking = [t(name) for flag, name in _NEEDED if not getattr(may, flag)]
    if not lacking:
        return ""
    return t("To answer there I still need these permissions: {list}.", list=", ".join(lacking))
