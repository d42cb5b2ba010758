"""/quiz on Telegram: a round is one message whose buttons work after a restart, and whose timer is taken up again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from telegram import CallbackQuery, InputMediaPhoto, Message, User
from telegram.error import BadRequest, ChatMigrated, Forbidden, TelegramError

from bot.chat.manners import is_private
from bot.chat.quiz_refusals import NotNow, said
from bot.chat.quiz_table import MessageGone, QuizTable
from bot.chat.quiz_views import PRESS_ID, Press, Shown
from bot.chat.quizzing import Quizzing
from bot.chat.telegram.askers import PLATFORM, account_of, is_admin, place_of, sender_of, words_for
from bot.chat.telegram.menu import MenuEntry
from bot.chat.telegram.private import person_or_say, private_place, say_where
from bot.chat.telegram.quiz_cards import (
    caption_of,
    is_of_round,
    keyboard_of,
    picture_of,
    plain,
    short_rules,
    shows_picture,
)
from bot.chat.telegram.replies import Place, Upload, edit, note, say, toast
from bot.quiz.game import Refused
from bot.quiz.turns import Mode
from bot.words import Words, later, words

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

_QUIZ = later("Real or generated? Play a round, and learn to see it yourself")
_MODES: dict[str, Mode] = {"solo": "solo", "group": "channel", "channel": "channel", "daily": "daily"}
_LENGTH = 5
_LONGEST = 50
_ENDLESS = "endless"

_FILE = "face.jpg"  # of every picture: Telegram forgets names of photos, but a name that differs could be remembered
_COUNT_EVERY_S = 6.0  # a group takes 20 messages and edits a minute, of which a round needs some for its faces
_PATIENCE_S = 4.0  # that a press waits for words; then it is answered without, and a group hears none
_LONG = 80  # characters, from which on words stay until they are read
_THE_SAME = "message is not modified"
_GONE = ("message to edit not found", "message can't be edited", "message_id_invalid", "chat not found")

_ROUNDS: WeakKeyDictionary[TelegramBot, Rounds] = WeakKeyDictionary()


def register(bot: TelegramBot) -> None:
    """Add /quiz and its buttons, and take up the rounds that were open before the last restart."""
    rounds = _ROUNDS[bot] = Rounds(bot)
    bot.add_command(MenuEntry("quiz", _QUIZ), rounds.start)
    bot.add_button(PRESS_ID, rounds.press)
    bot.on_start.append(rounds.table.take_up)


def rounds_of(bot: TelegramBot) -> Rounds:
    """The rounds of a bot."""
    return _ROUNDS[bot]


@dataclass(frozen=True)
class Wish:
    """What is asked for behind /quiz. length: faces, None for endless."""

    mode: Mode
    length: int | None

    @classmethod
    def of(cls, text: str, t: Words) -> Wish:
        """Raises NotNow for words that mean nothing here."""
        mode: Mode = "solo"
        length: int | None = _LENGTH
        for word in text.lower().split():
            if word in _MODES:
                mode = _MODES[word]
            elif word == _ENDLESS:
                length = None
            elif word.isascii() and word.isdecimal() and 1 <= int(word[:4]) <= _LONGEST:
                length = int(word)
            else:
                ways = ", ".join(f"/quiz {way}" for way in ("10", _ENDLESS, "daily", "group"))
                raise NotNow(t("I don't know “{word}”. There is /quiz, {ways}.", word=plain(word[:20]), ways=ways))
        return cls(mode, length)


class Rounds:
    """The rounds that are played with one bot, and their messages: a Screen of the table."""

    def __init__(self, bot: TelegramBot) -> None:
        self.quizzing = Quizzing(bot.app, PLATFORM)
        self.table = QuizTable(self.quizzing, self, _COUNT_EVERY_S)
        self._bot = bot

    async def start(self, message: Message, text: str) -> None:
        """Answer /quiz: show the first face, or why there is none."""
        bot = self._bot
        bot.app.metrics.requests.labels(PLATFORM, "quiz").inc()
        t = await words_for(bot.app, sender_of(message), message.chat)
        try:
            wish, place = Wish.of(text, t), place_of(message.chat)
            if wish.mode == "channel" and place is not None:
                where: Place = message
                account = account_of(sender_of(message))
            else:
                person = await person_or_say(bot, message)
                if person is None:
                    return
                account = account_of(person)
                where = await self._place_of(message, person)
            await self.table.start(account, place, wish.mode, wish.length, t, self._opener(message, where))
        except Exception as error:
            note(bot, error, "quiz")
            await say(bot, message, said(error, t))

    async def press(self, query: CallbackQuery, match: re.Match[str]) -> None:
        """Do what a button says; the press is answered before the picture changes."""
        bot, press, message = self._bot, Press.of(match.string), query.message
        if press is None or message is None:
            await toast(bot, query)
            return
        patience = asyncio.get_running_loop().call_later(_PATIENCE_S, lambda: bot.spawn(toast(bot, query)))
        t = await words_for(bot.app, query.from_user, message.chat)

        async def show(shown: Shown) -> None:
            # Often it shows that already: whoever answers twice would use up a group's edits.
            has_picture = isinstance(message, Message) and shows_picture(message, shown)
            if not (has_picture and isinstance(message, Message) and message.caption == caption_of(shown)):
                await self._edit((message.chat.id, message.message_id), shown, text_only=has_picture)

        async def tell(line: str) -> None:
            await self._tell(query, message, line)

        try:
            if press.deed == "rules":
                await tell(short_rules(t))
                return
            if not is_of_round(message, press.round_id):
                raise Refused("over")
            may = await self._may_moderate(query, press)
            await self.table.press(account_of(query.from_user), press, t, may, show, tell)
        except MessageGone as error:
            self.note(error)
            await self.quizzing.abandon(press.round_id)
        except Exception as error:
            self.note(error)
            await tell(said(error, t))
        finally:
            patience.cancel()

    # What the table needs

    @property
    def is_on(self) -> bool:
        """Whether something may still be begun."""
        return not self._bot.is_stopping

    def spawn(self, work: Coroutine[Any, Any, None]) -> object:
        """Do `work` on the side."""
        return self._bot.spawn(work)

    def note(self, error: BaseException) -> None:
        """Count and log it."""
        note(self._bot, error, "quiz")

    def is_broken(self, error: BaseException) -> bool:
        """Whether Telegram, or the way to it, is at fault."""
        return isinstance(error, TelegramError)

    async def edit(self, shown: Shown, *, text_only: bool) -> None:
        """Change a round's message. Raises MessageGone, also where the bot may not write any more."""
        where = dict(shown.where)
        if where:
            await self._edit((int(where["chat"]), int(where["message"])), shown, text_only=text_only)

    # Messages

    def _opener(self, message: Message, where: Place) -> Callable[[Shown], Awaitable[dict[str, str]]]:
        async def show(shown: Shown) -> dict[str, str]:
            picture = await asyncio.to_thread(picture_of, shown)
            upload = None if picture is None else Upload(picture, _FILE)
            sent = await say(self._bot, where, caption_of(shown), buttons=keyboard_of(shown.rows), upload=upload)
            if where is not message and isinstance(message.from_user, User):
                await say_where(self._bot, message, message.from_user, is_there=sent is not None)
            if sent is not None and upload is not None and not sent.photo:
                t = words(shown.language)
                await edit(self._bot, sent, t("I may not send pictures here. Play with me in private: /quiz"))
                sent = None
            if sent is None:
                raise MessageGone
            return {"chat": str(sent.chat.id), "message": str(sent.message_id)}

        return show

    async def _place_of(self, message: Message, person: User) -> Place:
        """Where a round of one player stands: where it was asked for, unless its admins want answers to be private."""
        settings = await self._bot.app.settings(PLATFORM, place_of(message.chat))
        return private_place(message, person) if is_private(settings) else message

    async def _edit(self, at: tuple[int, int], shown: Shown, *, text_only: bool) -> None:
        """at: chat and message."""
        api, caption, keyboard = self._bot.api, caption_of(shown), keyboard_of(shown.rows)
        picture = None if text_only else await asyncio.to_thread(picture_of, shown)
        try:
            if picture is None:
                await api.edit_message_caption(*at, caption=caption, reply_markup=keyboard)
            else:
                # Sent anew each time: by the id of a file people would know a face that they have met before.
                media = InputMediaPhoto(picture, caption=caption, filename=_FILE)
                await api.edit_message_media(media, *at, reply_markup=keyboard)
        except (Forbidden, ChatMigrated) as error:  # put out, or the group has become another, without its messages
            raise MessageGone from error
        except BadRequest as error:
            said_so = str(error).lower()
            if any(words in said_so for words in _GONE):
                raise MessageGone from error
            if _THE_SAME not in said_so:
                raise

    async def _tell(self, query: CallbackQuery, message: Place, line: str) -> None:
        """To whoever pressed. A press takes one answer; after that there is only a private chat to tell them in."""
        if self._bot.is_unanswered(query.id):
            self._bot.spawn(toast(self._bot, query, line, alert=len(line) > _LONG))
        elif line and place_of(message.chat) is None:
            await say(self._bot, message, line)

    async def _may_moderate(self, query: CallbackQuery, press: Press) -> bool:
        """Whether whoever pressed may end what others began; asked of Telegram where it matters only."""
        message = query.message
        if message is None or press.deed not in ("stop", "reveal") or place_of(message.chat) is None:
            return False
        try:
            return await is_admin(self._bot, message.chat, query.from_user)
        except TelegramError as error:
            self.note(error)
            return False
