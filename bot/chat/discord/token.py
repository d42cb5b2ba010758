"""The bot's token: where it comes from, and that nobody reads it in a log."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from bot.params import DiscordParams
from infra.errors import UserError

VARIABLE = "DISCORD_TOKEN"
_WHERE = "copy it from https://discord.com/developers/applications ▸ your application ▸ Bot ▸ Reset Token"
# Whoever holds the token in such a URL can answer in the bot's name for fifteen minutes.
_URL_TOKEN = re.compile(r"(/(?:webhooks|interactions)/\d+/)[^/\s?'\"]+")


class TokenError(UserError):
    """There is no token, or it cannot be one."""


def read_token(params: DiscordParams, environ: Mapping[str, str]) -> str:
    """The token in `discord.token_file`, or else in DISCORD_TOKEN. Raises TokenError, which never quotes it."""
    if params.token_file is not None:
        source = f"discord.token_file {params.token_file}"
        try:
            text = Path(params.token_file).expanduser().read_text("utf-8")
        except OSError as error:
            raise TokenError(f"{source} cannot be read: {(error.strerror or str(error)).lower()}") from None
        except UnicodeDecodeError:
            raise TokenError(f"{source} is not text; it must hold the bot's token and nothing else") from None
    else:
        source = VARIABLE
        if VARIABLE not in environ:
            raise TokenError(f"no token: set {VARIABLE} or discord.token_file; {_WHERE}")
        text = environ[VARIABLE]
    token = text.strip()
    if not token:
        raise TokenError(f"{source} is empty; {_WHERE}")
    if len(token.split()) > 1 or not token.isascii() or not token.isprintable():
        raise TokenError(f"{source} holds something else than a token (spaces or odd characters); {_WHERE}")
    return token


class RedactingFormatter(logging.Formatter):
    """One timestamped line a record, in which `token` and the tokens of interactions are blotted out."""

    def __init__(self, token: str) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._token = token

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, its traceback included."""
        text = super().format(record).replace(self._token, "[token]")
        return _URL_TOKEN.sub(r"\1[token]", text)
