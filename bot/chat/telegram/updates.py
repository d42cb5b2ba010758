"""How updates come in: by asking for them (long polling), or by having Telegram bring them (webhook)."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web
from telegram import Update
from telegram.error import Conflict, InvalidToken, NetworkError, RetryAfter, TelegramError

from bot.chat.telegram.replies import note
from bot.chat.telegram.transport import seconds
from bot.chat.token import TokenError
from bot.params import TelegramParams
from infra.errors import UserError

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

_log = logging.getLogger("bot.telegram")

# Edited messages are not asked for: they were answered when they came.
ALLOWED = [Update.MESSAGE, Update.CHANNEL_POST, Update.CALLBACK_QUERY, Update.MY_CHAT_MEMBER]
REJECTED = "Telegram does not accept the token; ask @BotFather for another (/revoke), and set it anew"
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
_POLL_S = 30  # that Telegram may hold a question
_SLACK_S = 10.0  # after which the question was lost
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_CONFLICT_PAUSE_S = 5.0
_MAX_UPDATE_BYTES = 2**20


class WebhookError(UserError):
    """Updates cannot be taken in where telegram.webhook_host and webhook_port say."""


class Poller:
    """Asks for updates until it is cancelled. What came in while the bot was away is asked for too.

    An update counts as delivered once the next question is asked, which is at once: a bot that is ended in between is
    brought it again, and none is answered twice because an answer takes long.
    """

    def __init__(self, bot: TelegramBot) -> None:
        self._bot = bot
        self._next: int | None = None
        self._is_acknowledged = True

    async def run(self) -> None:
        """Raises TokenError; anything else is waited for."""
        pause_s = _FIRST_PAUSE_S
        is_ready = False
        while True:
            try:
                if not is_ready:
                    await self._bot.api.delete_webhook()  # getUpdates is refused while there is one
                    is_ready = True
                await self._ask(_POLL_S if self._bot.is_connected else 0)  # whether it is heard at all shows at once
                if not self._bot.is_connected:
                    self._bot.is_connected = True
                    _log.info("connected")
                pause_s = _FIRST_PAUSE_S
                continue
            except InvalidToken:
                raise TokenError(REJECTED) from None
            except RetryAfter as error:
                pause_s = seconds(error)
                wait_s, told = pause_s, "Telegram asks for patience"
            except Conflict:
                is_ready = False  # the other may be a webhook
                wait_s, told = (
                    _CONFLICT_PAUSE_S,
                    "another process asks for this bot's updates (409); end one of the two",
                )
            except TelegramError as error:
                wait_s, told = pause_s, f"no connection to Telegram: {self._bot.redacted(str(error))}"
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._bot.is_connected = False
            self._bot.app.metrics.errors.labels("telegram", "connection").inc()
            _log.warning("%s; next try in %.0f s", told, wait_s)
            await asyncio.sleep(wait_s)

    async def acknowledge(self) -> None:
        """Tell Telegram which updates have come, so that the next start is not brought them once more."""
        if self._is_acknowledged:
            return
        try:
            await self._get(0)
        except TelegramError as error:
            note(self._bot, error, "acknowledge")

    async def _ask(self, timeout_s: int) -> None:
        updates = await self._get(timeout_s)
        self._is_acknowledged = True
        for data in updates:
            if isinstance(data, dict) and isinstance(number := data.get("update_id"), int):
                self._next = max(self._next or 0, number + 1)
                self._is_acknowledged = False
                self._bot.feed(data)

    async def _get(self, timeout_s: int) -> list[Any]:
        asked: dict[str, Any] = {"timeout": timeout_s, "allowed_updates": json.dumps(ALLOWED)}
        if self._next is not None:
            asked["offset"] = self._next
        # The library's own method gives up a whole batch for one update that it cannot read.
        found = await self._bot.ask("getUpdates", asked, read_timeout_s=timeout_s + _SLACK_S)
        if not isinstance(found, list):
            raise NetworkError("an answer that is no list of updates")
        return found


class Webhook:
    """Takes updates in at webhook_host:webhook_port, which the operator's TLS proxy passes on to.

    Only who knows the secret, new at every start, is listened to: Telegram, which is told it over its own connection.
    """

    def __init__(self, bot: TelegramBot, params: TelegramParams) -> None:
        self._bot = bot
        self._params = params
        self._url = params.webhook_url or ""
        self._secret = secrets.token_urlsafe(32)

    async def run(self) -> None:
        """Until it is cancelled. Raises WebhookError and TokenError."""
        server = web.Application(client_max_size=_MAX_UPDATE_BYTES)
        server.router.add_post(urlsplit(self._url).path or "/", self._take)
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=5)
        await runner.setup()
        try:
            host, port = self._params.webhook_host, self._params.webhook_port
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                raise WebhookError(
                    f"telegram.webhook_host and webhook_port: cannot listen on {host}:{port}: "
                    f"{(error.strerror or str(error)).lower()}"
                ) from None
            _log.info("updates are taken in on port %d", runner.addresses[0][1])
            await self._announce()
            self._bot.is_connected = True
            _log.info("connected")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def acknowledge(self) -> None:
        """Nothing: each was acknowledged as it came. Telegram keeps what comes until the next start."""

    async def _announce(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._bot.api.set_webhook(self._url, allowed_updates=ALLOWED, secret_token=self._secret)
                return
            except InvalidToken:
                raise TokenError(REJECTED) from None
            except TelegramError as error:
                self._bot.app.metrics.errors.labels("telegram", "connection").inc()
                _log.warning(
                    "the webhook could not be told, next try in %.0f s: %s", pause_s, self._bot.redacted(str(error))
                )
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _take(self, request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.headers.get(SECRET_HEADER, "").encode(), self._secret.encode()):
            self._bot.app.metrics.errors.labels("telegram", "webhook").inc()
            return web.Response(status=403)
        if self._bot.is_stopping:
            return web.Response(status=503)  # Telegram brings it again, to the next start
        try:
            data = await request.json()
        except ValueError:
            return web.Response(status=400)
        if isinstance(data, dict):
            self._bot.feed(data)
        return web.Response()
