"""How long it still takes, said in one message a chat, however many pictures wait there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from telegram import Message
from telegram.error import TelegramError

from bot.chat.telegram.replies import Place, edit, say

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot


class Boards:
    """The boards of a bot's chats, kept as long as somebody looks at them."""

    def __init__(self, bot: TelegramBot) -> None:
        self._bot = bot
        self._boards: WeakValueDictionary[int, Board] = WeakValueDictionary()

    def news(self, message: Place) -> News:
        """How `message` stands."""
        board = self._boards.get(message.chat.id)
        if board is None:
            board = self._boards[message.chat.id] = Board(self._bot)
        return News(board, message)


class News:
    """How long `message` still waits; said by the chat's board."""

    def __init__(self, board: Board, message: Place) -> None:
        self._board = board
        self.message = message
        self.text = ""

    async def tell(self, text: str) -> None:
        """Say how things stand."""
        self.text = text
        await self._board.show(self)

    async def gone(self) -> None:
        """The answer comes."""
        await self._board.take_back(self)


class Board:
    """One chat's message about how long it still takes, whoever waits there and for how many pictures.

    It tells how the one stands that came last, and goes when nobody waits any more.
    """

    def __init__(self, bot: TelegramBot) -> None:
        self._bot = bot
        self._waiting: list[News] = []
        self._sent: Message | None = None
        self._shown = ""
        self._turn = asyncio.Lock()  # of many that change it at once the last is shown

    async def show(self, news: News) -> None:
        """Let `news` be among those that wait."""
        if news not in self._waiting:
            self._waiting.append(news)
        async with self._turn:
            if not self._waiting or (text := self._waiting[-1].text) == self._shown:
                return
            self._shown = text
            if self._sent is None:
                self._sent = await say(self._bot, self._waiting[-1].message, text)
            else:
                await edit(self._bot, self._sent, text)

    async def take_back(self, news: News) -> None:
        """`news` waits no more."""
        if news not in self._waiting:
            return
        self._waiting.remove(news)
        async with self._turn:
            if self._waiting:
                return
            sent, self._sent, self._shown = self._sent, None, ""
            if sent is not None:
                with suppress(TelegramError):
                    await self._bot.api.delete_message(sent.chat.id, sent.message_id)
