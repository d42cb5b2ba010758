"""The command: log in, stay connected whatever happens, and go when told to, with everything finished."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any, NoReturn

import aiohttp
import discord

from bot.chat.app import App, open_app
from bot.chat.discord.client import DiscordBot
from bot.chat.discord.endpoints import hosts_of, use_api
from bot.chat.discord.gateway import WRONG_TOKEN
from bot.chat.discord.token import URL_TOKEN
from bot.chat.token import RedactingFormatter, TokenError
from bot.params import BotParams
from bot.stopping import as_exception, first_signal

_log = logging.getLogger("bot.discord")

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


def serve(params: BotParams, token: str) -> NoReturn:
    """Answer people on Discord until SIGTERM or SIGINT, then raise Terminated or KeyboardInterrupt.

    Raises UserErrors: TokenError when Discord does not accept the token, EndpointError, and those of `open_app`.
    """
    use_api(params.discord.api_url)
    _log_to_stderr(token)
    number = asyncio.run(_serve(params, token))
    raise as_exception(number)


async def _serve(params: BotParams, token: str) -> int:
    """The signal that ended it."""
    stop = first_signal()
    async with open_app(params, hosts_of(params.discord)) as app:
        pause_s = _FIRST_PAUSE_S
        while True:
            began = asyncio.get_running_loop().time()
            error = await _one_client(app, token, stop)
            if stop.done():
                return stop.result()
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            app.metrics.errors.labels("discord", "connection").inc()
            _log.warning("no connection to Discord, next try in %.0f s: %s", pause_s, _line(error))
            await asyncio.wait({stop}, timeout=pause_s)
            if stop.done():
                return stop.result()
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _one_client(app: App, token: str, stop: asyncio.Future[Any]) -> BaseException | None:
    """Run a client until it ends or `stop` is done; why it ended. Raises TokenError."""
    async with DiscordBot(app) as bot:
        app.checks["discord"] = bot.is_connected
        running: asyncio.Future[Any] = asyncio.create_task(bot.start(token))
        await asyncio.wait((running, stop), return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            _log.info("stopping: finishing what is under way, %g s at most; once more ends it at once",
                      app.params.discord.stop_s)  # fmt: skip
            if not await bot.finish(app.params.discord.stop_s):
                _log.warning("not everything could be finished in time")
        await bot.close()
        await asyncio.wait({running}, timeout=5)
        running.cancel()
        error = running.exception() if running.done() and not running.cancelled() else None
    if isinstance(error, discord.LoginFailure) or getattr(error, "code", None) == WRONG_TOKEN:
        raise TokenError("Discord does not accept the token; reset it at https://discord.com/developers/applications "
                         "▸ your application ▸ Bot, and set it anew")  # fmt: skip
    return error


def _log_to_stderr(token: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(token, URL_TOKEN))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("discord").setLevel(logging.WARNING)
    logging.getLogger("discord.client").setLevel(logging.ERROR)  # it warns that voice needs a package
    for name in ("discord.client", "discord.shard"):
        logging.getLogger(name).addFilter(_in_a_line)


def _in_a_line(record: logging.LogRecord) -> bool:
    """A lost connection is told in a line; discord.py adds sixty of how it noticed."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, OSError | aiohttp.ClientError | discord.DiscordException):
        record.msg, record.args = f"{record.getMessage()}: {_line(error)}", None
        record.exc_info = record.exc_text = None
    return True


def _line(error: BaseException | None) -> str:
    """One line, also for errors of many."""
    if error is None:
        return "it was closed"
    kind = "" if isinstance(error, discord.DiscordException | aiohttp.ClientError | OSError) else type(error).__name__
    return " ".join(f"{kind}: {error}".lstrip(": ").split())[:300]
