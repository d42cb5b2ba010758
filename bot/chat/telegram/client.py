"""The client: what it listens to, whom it answers, and that whatever it has begun is finished before it goes."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlencode

from telegram import CallbackQuery, ChatMemberUpdated, Message, Update
from telegram.constants import ChatMemberStatus
from telegram.error import InvalidToken, TelegramError
from telegram.ext import (
    Application,
    CallbackQueryHandler,
    ChatMemberHandler,
    CommandHandler,
    ExtBot,
    MessageHandler,
    filters,
)

from bot.chat.app import App
from bot.chat.refusals import OldButton
from bot.chat.telegram.askers import PLATFORM, place_of
from bot.chat.telegram.endpoints import Endpoints
from bot.chat.telegram.features import register_all
from bot.chat.telegram.menu import MenuEntry, publish
from bot.chat.telegram.replies import note, say_failed
from bot.chat.telegram.transport import AiohttpRequest, Pace
from bot.chat.telegram.updates import REJECTED
from bot.chat.token import TokenError
from bot.chat.waiting import Order

_log = logging.getLogger("bot.telegram")

MessageWork: TypeAlias = Callable[[Message], Coroutine[Any, Any, None]]
CommandWork: TypeAlias = Callable[[Message, str], Coroutine[Any, Any, None]]
StartWork: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
ButtonWork: TypeAlias = Callable[[CallbackQuery, re.Match[str]], Coroutine[Any, Any, None]]

_NEW = filters.UpdateType.MESSAGE | filters.UpdateType.CHANNEL_POST  # an edited message is not answered once more
_REMEMBERED = 4096  # updates, of which Telegram may deliver one twice, and presses
_PRESENT = (
    ChatMemberStatus.OWNER,
    ChatMemberStatus.ADMINISTRATOR,
    ChatMemberStatus.MEMBER,
    ChatMemberStatus.RESTRICTED,
)
_START_FIRST_PAUSE_S, _START_LONGEST_PAUSE_S = 1.0, 60.0
_MENU_PATIENCE_S = 10.0  # of the start, for the commands to be known


@dataclass(frozen=True)
class Button:
    """What is done about presses whose data match, as a whole."""

    pattern: re.Pattern[str]
    work: ButtonWork


class TelegramBot:
    """Telegram's side of `app`. Features add commands, buttons, what is done about messages, and what is done once it
    knows who it is (see `features.register_all`).

    api: what Telegram is asked by. username: without @, once it has started.
    """

    def __init__(self, app: App, token: str) -> None:
        self.app = app
        self.endpoints = Endpoints(app.params.telegram.api_url)
        self._url = f"{self.endpoints.base}/bot{token}"
        self._asking, self._sending = AiohttpRequest(token), AiohttpRequest(token)
        self.application: Application[Any, Any, Any, Any, Any, Any] = (
            Application.builder()
            .token(token)
            .base_url(f"{self.endpoints.base}/bot")
            .base_file_url(f"{self.endpoints.base}/file/bot")
            .request(self._sending)
            .get_updates_request(self._asking)
            .rate_limiter(Pace())
            .updater(None)  # it would stop for ever at an update that it cannot read
            .build()
        )
        self.api: ExtBot[Any] = self.application.bot
        self.order = Order()  # by chat
        self.is_stopping = False
        self.is_connected = False
        self.menu: list[MenuEntry] = []
        self.on_messages: list[MessageWork] = []
        self.on_start: list[StartWork] = []
        self._buttons: list[Button] = []
        self._underway: set[asyncio.Task[Any]] = set()
        self._seen_updates: OrderedDict[Any, None] = OrderedDict()
        self._heard: OrderedDict[Any, None] = OrderedDict()
        self._token = token
        register_all(self)
        self.application.add_handler(CallbackQueryHandler(self._on_press))
        self.application.add_handler(ChatMemberHandler(self._on_my_chat_member, ChatMemberHandler.MY_CHAT_MEMBER))
        self.application.add_handler(MessageHandler(_NEW, self._on_message))
        self.application.add_error_handler(self._on_error)

    # What features use

    @property
    def username(self) -> str:
        """Without @."""
        return self.api.username

    def add_command(self, entry: MenuEntry, work: CommandWork) -> None:
        """Have `/name` answered, with the words after it; what `work` raises is said in one friendly line."""

        async def called(update: Update, context: object) -> None:
            message = update.effective_message
            if message is None:
                return
            _, _, rest = (message.text or "").partition(" ")
            try:
                await work(message, rest.strip())
            except Exception as error:
                await say_failed(self, message, error)

        self.menu.append(entry)
        self.application.add_handler(CommandHandler(entry.names, called, filters=_NEW))

    def add_button(self, pattern: re.Pattern[str], work: ButtonWork) -> None:
        """Have presses answered whose data match `pattern` as a whole; what `work` raises is said to who pressed."""
        self._buttons.append(Button(pattern, work))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do `work` on the side; it is waited for when the bot is told to end, and what it raises is logged."""
        task = asyncio.create_task(work)
        self._underway.add(task)
        task.add_done_callback(self._finished)
        return task

    def heard(self, query_id: str) -> bool:
        """Note that a press is being answered; whether it was not before."""
        if not self.is_unanswered(query_id):
            return False
        _remember(self._heard, query_id)
        return True

    def is_unanswered(self, query_id: str) -> bool:
        """Whether a press has not been answered yet: Telegram takes one answer."""
        return query_id not in self._heard

    def redacted(self, text: str) -> str:
        """`text` without the token."""
        return text.replace(self._token, "[token]")

    # What the command uses

    async def start(self) -> None:
        """Learn who it is, and tell Telegram the commands. Raises TokenError; anything else is waited for."""
        pause_s = _START_FIRST_PAUSE_S
        while True:
            try:
                await self.application.initialize()
                break
            except InvalidToken:  # its text quotes the token
                raise TokenError(REJECTED) from None
            except TelegramError as error:
                self.app.metrics.errors.labels(PLATFORM, "connection").inc()
                _log.warning("no connection to Telegram, next try in %.0f s: %s", pause_s, self.redacted(str(error)))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _START_LONGEST_PAUSE_S)
        _log.info("ready as @%s, model: %s", self.username, self.app.desk.card.id)
        for work in self.on_start:
            self.spawn(work())
        telling = self.spawn(publish(self))
        await asyncio.wait({telling}, timeout=_MENU_PATIENCE_S)

    def feed(self, data: Mapping[str, Any]) -> None:
        """Answer an update, on the side; one that came before, or that nobody can read, is left."""
        number = data.get("update_id")
        if not isinstance(number, int) or number in self._seen_updates:
            return
        _remember(self._seen_updates, number)
        try:
            update = _read(data, self.api)
        except Exception as error:  # of one update; the others are to be answered
            self.app.metrics.errors.labels(PLATFORM, "update").inc()
            _log.warning("update %d cannot be read, and is left: %s", number, type(error).__name__)
            return
        self.spawn(self.application.process_update(update))

    async def ask(self, method: str, values: Mapping[str, object], read_timeout_s: float) -> Any:
        """The bare result of a method, as python-telegram-bot did not read it. Raises TelegramErrors."""
        return await self._asking.post(f"{self._url}/{method}?{urlencode(values)}", read_timeout=read_timeout_s)

    async def finish(self, timeout_s: float) -> bool:
        """Take nothing new, wait for what is under way; whether all of it came to its end."""
        self.is_stopping = True
        here = asyncio.current_task()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while underway := {task for task in self._underway if task is not here}:
            left_s = deadline - loop.time()
            if left_s <= 0:
                return False
            await asyncio.wait(underway, timeout=left_s)
        return True

    async def close(self) -> None:
        """Let the connections go, and what is still under way with them."""
        for task in self._underway:
            task.cancel()
        if self._underway:
            await asyncio.wait(self._underway, timeout=5)
        with suppress(TelegramError):
            await self.application.shutdown()
        for transport in (self._asking, self._sending):  # which it leaves open when it never got to start
            await transport.shutdown()

    # What python-telegram-bot calls

    async def _on_message(self, update: Update, context: object) -> None:
        message = update.effective_message
        if message is None:
            return
        if message.migrate_to_chat_id is not None:
            await self._move(str(message.chat.id), str(message.migrate_to_chat_id))
            return
        for work in self.on_messages:
            try:
                await work(message)
            except Exception as error:
                await say_failed(self, message, error)

    async def _move(self, old: str, new: str) -> None:
        """A group has become a supergroup, which has another id: what its admins decided goes along."""
        decided = await self.app.settings(PLATFORM, old)
        changes = decided.model_dump(exclude_defaults=True)
        if decided.channels:
            changes["channels"] = tuple(new if channel == old else channel for channel in decided.channels)
        if changes:
            await self.app.change_settings(PLATFORM, new, **changes)
        await self.app.forget_place(PLATFORM, old)

    async def _on_press(self, update: Update, context: object) -> None:
        query = update.callback_query
        if query is None:
            return
        try:
            for button in self._buttons:
                if match := button.pattern.fullmatch(query.data or ""):
                    await button.work(query, match)
                    return
            raise OldButton
        except Exception as error:
            await say_failed(self, query, error)

    async def _on_my_chat_member(self, update: Update, context: object) -> None:
        change: ChatMemberUpdated | None = update.my_chat_member
        place = place_of(change.chat) if change is not None else None
        if change is None or place is None:
            return
        if change.new_chat_member.status in _PRESENT:
            await self.app.settings(PLATFORM, place)  # known before its first picture: it may have been here before
        else:
            await self.app.forget_place(PLATFORM, place)

    async def _on_error(self, update: object, context: Any) -> None:
        note(self, context.error, "update")

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._underway.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            note(self, error, "task")


def _read(data: Mapping[str, Any], api: ExtBot[Any]) -> Update:
    """Raises any error for what is no update; the library lets some pass that lack what nothing can be done without."""
    update = Update.de_json(dict(data), api)
    query, parts = update.callback_query, (update.message, update.channel_post, update.my_chat_member)
    if any(part is not None and _lacks(part, "chat") for part in parts) or (query and _lacks(query, "from_user")):
        raise ValueError("nobody knows where it came from")
    return update


def _lacks(part: object, name: str) -> bool:
    return getattr(part, name) is None  # whatever the library's types say


def _remember(those: OrderedDict[Any, None], one: Any) -> None:
    those[one] = None
    if len(those) > _REMEMBERED:
        those.popitem(last=False)
