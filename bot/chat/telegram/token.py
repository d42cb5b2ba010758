"""Telegram's token: what one looks like and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.chat.token import TokenError, TokenSource
from bot.params import TelegramParams

SOURCE = TokenSource(
    "TELEGRAM_TOKEN",
    "telegram.token_file",
    "@BotFather on Telegram gives one: /newbot, or /mybots ▸ your bot ▸ API Token",
)
_SHAPE = re.compile(r"\d+:[\w-]+", re.ASCII)  # anything else, such as a slash, would make another URL of it


def read_token(params: TelegramParams, environ: Mapping[str, str]) -> str:
    """The token in `telegram.token_file`, or else in TELEGRAM_TOKEN. Raises TokenError, which never quotes it."""
    token = SOURCE.read(params.token_file, environ)
    if not _SHAPE.fullmatch(token):
        source = SOURCE.setting if params.token_file is not None else SOURCE.variable
        raise TokenError(f"{source} holds no token of Telegram's (123456:ABC…); {SOURCE.where}")
    return token
