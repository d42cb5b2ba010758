"""Discord's token: where it comes from, and what else in a log would let somebody speak in the bot's name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.chat.token import TokenSource
from bot.params import DiscordParams

SOURCE = TokenSource(
    "DISCORD_TOKEN",
    "discord.token_file",
    "copy it from https://discord.com/developers/applications ▸ your application ▸ Bot ▸ Reset Token",
)
# Whoever holds the token in such a URL can answer in the bot's name for fifteen minutes.
URL_TOKEN = re.compile(r"(/(?:webhooks|interactions)/\d+/)[^/\s?'\"]+")


def read_token(params: DiscordParams, environ: Mapping[str, str]) -> str:
    """The token in `discord.token_file`, or else in DISCORD_TOKEN. Raises TokenError, which never quotes it."""
    return SOURCE.read(params.token_file, environ)
