"""The command: say who we are, take updates in whatever happens, and go when told to, with everything finished."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any, NoReturn

from telegram.error import InvalidToken, TelegramError

from bot.chat.app import App, open_app
from bot.chat.telegram.client import TelegramBot
from bot.chat.telegram.endpoints import Endpoints
from bot.chat.telegram.transport import AiohttpRequest
from bot.chat.telegram.updates import REJECTED, Poller, Webhook
from bot.chat.token import RedactingFormatter, TokenError
from bot.params import BotParams
from bot.stopping import as_exception, first_signal

_log = logging.getLogger("bot.telegram")

_CHECK_S = 10.0


def serve(params: BotParams, token: str) -> NoReturn:
    """Answer people on Telegram until SIGTERM or SIGINT, then raise Terminated or KeyboardInterrupt.

    Raises UserErrors: TokenError when Telegram does not accept the token, WebhookError, and those of `open_app`.
    """
    _log_to_stderr(token)
    number = asyncio.run(_serve(params, token))
    raise as_exception(number)


async def _serve(params: BotParams, token: str) -> int:
    """The signal that ended it."""
    stop = first_signal()
    await _check(token, params.telegram.api_url)  # a detector takes long to load
    async with open_app(params, Endpoints(params.telegram.api_url).hosts) as app:
        await run(app, token, stop)
        return stop.result()


async def run(app: App, token: str, stop: asyncio.Future[Any]) -> None:
    """Answer until `stop` is done, then finish what is under way. Raises TokenError and WebhookError."""
    bot = TelegramBot(app, token)
    app.checks["telegram"] = lambda: bot.is_connected
    params = app.params.telegram
    updates = Webhook(bot, params) if params.webhook_url is not None else Poller(bot)
    running = asyncio.create_task(_take_in(bot, updates))
    try:
        await asyncio.wait((running, stop), return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            running.result()  # raises: it has no other end
        _log.info("stopping: finishing what is under way, %g s at most; once more ends it at once", params.stop_s)
        bot.is_stopping = True
        if await _ended(running):
            await updates.acknowledge()
        if not await bot.finish(params.stop_s):
            _log.warning("not everything could be finished in time")
    finally:
        await _ended(running)
        await bot.close()


async def _take_in(bot: TelegramBot, updates: Poller | Webhook) -> None:
    await bot.start()
    await updates.run()


async def _ended(task: asyncio.Task[None]) -> bool:
    """Cancel `task` and wait for that; False where it had ended by itself."""
    if task.done():
        return False
    task.cancel()
    await asyncio.wait({task}, timeout=10)
    return True


async def _check(token: str, api_url: str | None) -> None:
    """Raises TokenError where Telegram does not know the token. One that cannot be asked now is waited for later."""
    request = AiohttpRequest(token)
    await request.initialize()
    try:
        await request.post(f"{Endpoints(api_url).base}/bot{token}/getMe", read_timeout=_CHECK_S)
    except InvalidToken:  # its text quotes the token
        raise TokenError(REJECTED) from None
    except TelegramError:
        pass
    finally:
        await request.shutdown()


def _log_to_stderr(token: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(token))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("telegram").setLevel(logging.CRITICAL)  # it logs tracebacks of what is logged in a line here
