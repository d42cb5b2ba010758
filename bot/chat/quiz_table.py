"""QuizTable: the rounds that are played on one platform: their timers, and how often counts of answers change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

from bot.chat.quiz_views import Press, Shown
from bot.chat.quizzing import Quizzing
from bot.quiz.turns import Mode
from bot.records import Account
from bot.words import Words
from infra.errors import UserError

_RETRY_S = 10.0
_EARLY_S = 0.1


class MessageGone(UserError):  # noqa: N818 – says what happened
    """The message of a round has been deleted."""

    def __init__(self) -> None:
        super().__init__("the message of the round has been deleted")


class Screen(Protocol):
    """What a table needs of its platform."""

    @property
    def is_on(self) -> bool:
        """Whether something may still be begun; false when the bot is told to end."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> object:
        """Do `work` on the side; it is waited for when the bot is told to end."""

    def note(self, error: BaseException) -> None:
        """Count and log what went wrong where nobody waits for an answer."""

    def is_broken(self, error: BaseException) -> bool:
        """Whether the platform, or the way to it, is at fault: then the next click shows how things stand."""

    async def edit(self, shown: Shown, *, text_only: bool) -> None:
        """Change the message of a round, without a click. text_only: the picture stays. Raises MessageGone."""


class QuizTable:
    """The rounds of one bot. count_every_s: how soon after an answer the count of answers is brought up to date."""

    def __init__(self, quizzing: Quizzing, screen: Screen, count_every_s: float) -> None:
        self.quizzing = quizzing
        self._screen = screen
        self.count_every_s = count_every_s
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._recounting: set[str] = set()

    async def take_up(self) -> None:
        """Open the deck, and set the timers of open rounds."""
        await self.quizzing.open_deck()
        while self._screen.is_on:
            try:
                due = await self.quizzing.due()
            except UserError as error:
                self._screen.note(error)
                await asyncio.sleep(_RETRY_S)
                continue
            for round_id, due_at in due:
                self._set_timer(round_id, due_at)
            return

    async def start(
        self, account: Account, place: str | None, mode: Mode, length: int | None, t: Words,
        show: Callable[[Shown], Awaitable[Mapping[str, str] | None]],
    ) -> None:  # fmt: skip
        """Begin a round. show: sends the message, and returns where it stands if it can be changed without a click; it
        raises MessageGone where nobody could be told.

        Raises what `Quizzing.start` and `show` raise otherwise.
        """
        shown = await self.quizzing.start(account, place, mode, length, t)
        try:
            where = await show(shown)
        except MessageGone:
            await self.quizzing.abandon(shown.round_id)
            return
        if where is not None:
            await self.quizzing.stands(shown.round_id, dict(where))
        self._set_timer(shown.round_id, shown.due_at)

    async def press(
        self, account: Account, press: Press, t: Words, is_moderator: bool,
        show: Callable[[Shown], Awaitable[None]], tell: Callable[[str], Awaitable[None]],
    ) -> None:  # fmt: skip
        """Do what a button says. show: changes the message that was clicked. tell: whoever clicked, and nobody else; it
        is called once, before `show`, with nothing to be told as "". Raises what `Quizzing.press`, `show` and `tell`
        raise.
        """
        async with self.quizzing.turn(press.round_id):
            outcome = await self.quizzing.press(account, press, t, is_moderator)
            await tell(outcome.note)
            if outcome.shown is not None:
                self._set_timer(press.round_id, outcome.shown.due_at)
                await show(outcome.shown)
        if outcome.counted and press.round_id not in self._recounting:
            self._recounting.add(press.round_id)
            asyncio.get_running_loop().call_later(self.count_every_s, self._on_recount, press.round_id)

    # Without a click

    def _set_timer(self, round_id: str, due_at: float | None) -> None:
        """In the place of an earlier one."""
        timer = self._timers.pop(round_id, None)
        if timer is not None:
            timer.cancel()
        if due_at is not None:
            wait_s = max(0.0, due_at - time.time())
            self._timers[round_id] = asyncio.get_running_loop().call_later(wait_s, self._on_time, round_id)

    def _on_time(self, round_id: str) -> None:
        self._timers.pop(round_id, None)
        if self._screen.is_on:
            self._screen.spawn(self._time_up(round_id))

    async def _time_up(self, round_id: str) -> None:
        try:
            async with self.quizzing.turn(round_id):
                shown = await self.quizzing.time_up(round_id)
                if shown is not None:
                    self._set_timer(round_id, shown.due_at)
                    await self._edit(shown)
                elif (still := await self.quizzing.now(round_id)) is not None and still.due_at is not None:
                    # The timer's clock ran ahead of that of the round, which somebody may have set back.
                    self._set_timer(round_id, max(still.due_at, time.time() + _EARLY_S))
        except Exception as error:
            self._screen.note(error)
            if not self._screen.is_broken(error):
                self._set_timer(round_id, time.time() + _RETRY_S)

    def _on_recount(self, round_id: str) -> None:
        self._recounting.discard(round_id)
        if self._screen.is_on:
            self._screen.spawn(self._recount(round_id))

    async def _recount(self, round_id: str) -> None:
        """Only the text changes: the picture is not sent again."""
        try:
            async with self.quizzing.turn(round_id):
                shown = await self.quizzing.now(round_id)
                if shown is not None and shown.truth is None:
                    await self._edit(shown, text_only=True)
        except Exception as error:
            self._screen.note(error)

    async def _edit(self, shown: Shown, *, text_only: bool = False) -> None:
        try:
            await self._screen.edit(shown, text_only=text_only)
        except MessageGone:
            await self.quizzing.abandon(shown.round_id)
            self._set_timer(shown.round_id, None)
