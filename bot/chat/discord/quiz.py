"""/quiz on Discord: a round is one message whose buttons work after a restart, and whose timer is taken up again."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import aiohttp
import discord
from discord import app_commands

from bot.chat.discord.askers import PLATFORM, account_of, place_of, settings_at_hand, words_for
from bot.chat.discord.quiz_cards import PressItem, QuizMessage, embeds_of, plain
from bot.chat.discord.replies import OVER, UNKNOWN_MESSAGE, deliver, note
from bot.chat.manners import is_private
from bot.chat.quiz_refusals import said
from bot.chat.quiz_views import Press, Shown
from bot.chat.quizzing import Quizzing
from bot.quiz.turns import Mode
from bot.words import later
from infra.errors import UserError

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

_QUIZ = later("Real or generated? Play a round, and learn to see it yourself")
_LENGTH = later("how many faces")
_MODE = later("alone, with everybody in this channel, or the set of today that all get")
_ENDLESS = 0  # stands for None, which no option can have
_LENGTHS: list[app_commands.Choice[str | int | float]] = [
    app_commands.Choice(name="5", value=5),
    app_commands.Choice(name="10", value=10),
    app_commands.Choice(name=app_commands.locale_str(later("endless")), value=_ENDLESS),
]
_MODES: list[app_commands.Choice[str | int | float]] = [
    app_commands.Choice(name=app_commands.locale_str(later("solo")), value="solo"),
    app_commands.Choice(name=app_commands.locale_str(later("channel")), value="channel"),
    app_commands.Choice(name=app_commands.locale_str(later("daily")), value="daily"),
]

_COUNT_EVERY_S = 1.0  # the count of answers is brought up to date no more often: Discord allows 5 edits in 5 s
_RETRY_S = 10.0
_EARLY_S = 0.1
_DOORS = 1000  # interactions that are remembered,
_DOOR_S = 14 * 60.0  # and for how long: Discord takes answers to each for 15 minutes
_BROKEN = (discord.HTTPException, aiohttp.ClientError, OSError)

_TABLES: WeakKeyDictionary[discord.Client, QuizTable] = WeakKeyDictionary()


def register(bot: DiscordBot) -> None:
    """Add /quiz and its buttons, and take up the rounds that were open before the last restart."""
    table = _TABLES[bot] = QuizTable(bot)
    bot.add_dynamic_items(PressItem)
    bot.tree.add_command(quiz)
    bot.spawn(table.take_up())


def table_of(bot: DiscordBot) -> QuizTable:
    """The rounds of a bot."""
    return _TABLES[bot]


@app_commands.command(name="quiz", description=app_commands.locale_str(_QUIZ))
@app_commands.describe(length=app_commands.locale_str(_LENGTH), mode=app_commands.locale_str(_MODE))
@app_commands.choices(length=_LENGTHS, mode=_MODES)
async def quiz(interaction: discord.Interaction[DiscordBot], length: int = 5, mode: str = "solo") -> None:
    """Answer /quiz."""
    bot = interaction.client
    ephemeral = mode != "channel" and is_private(settings_at_hand(bot.app, interaction))
    if await bot.acknowledge(interaction, ephemeral=ephemeral):
        chosen: Mode = "channel" if mode == "channel" else "daily" if mode == "daily" else "solo"
        await table_of(bot).start(interaction, chosen, length or None, ephemeral=ephemeral)


class QuizTable:
    """The rounds that are played with one bot: their messages and timers."""

    def __init__(self, bot: DiscordBot) -> None:
        self.quizzing = Quizzing(bot.app, PLATFORM)
        self._bot = bot
        self._timers: dict[str, asyncio.TimerHandle] = {}
        # The newest click in each round, and until when a message can be changed through it, also where the bot may not
        # see it. The clock is our own: the id's and this machine's may differ.
        self._doors: OrderedDict[str, tuple[discord.Interaction[DiscordBot], float]] = OrderedDict()
        self._recounting: set[str] = set()

    async def take_up(self) -> None:
        """Open the deck, and set the timers of open rounds."""
        await self.quizzing.open_deck()
        while not (self._bot.is_stopping or self._bot.is_closed()):
            try:
                due = await self.quizzing.due()
            except UserError as error:
                note(self._bot, error, "quiz")
                await asyncio.sleep(_RETRY_S)
                continue
            for round_id, due_at in due:
                self._set_timer(round_id, due_at)
            return

    async def start(
        self, interaction: discord.Interaction[DiscordBot], mode: Mode, length: int | None, *, ephemeral: bool
    ) -> None:
        """Show the first face, or why there is none."""
        bot = self._bot
        bot.app.metrics.requests.labels(PLATFORM, "quiz").inc()
        t = await words_for(bot.app, interaction)
        try:
            account = account_of(interaction.user)
            shown = await self.quizzing.start(account, place_of(interaction), mode, length, t)
            message = await self._edit_by(interaction, shown)
            if not ephemeral:
                where = {"channel": str(interaction.channel_id), "message": str(message.id)}
                await self.quizzing.stands(shown.round_id, where)
            self._set_timer(shown.round_id, shown.due_at)
        except Exception as error:
            await self._say(interaction, error)

    async def press(self, interaction: discord.Interaction[DiscordBot], press: Press) -> None:
        """Do what an acknowledged button says."""
        may = interaction.permissions
        is_moderator = interaction.guild_id is not None and may.manage_messages
        try:
            t = await words_for(self._bot.app, interaction)
            async with self.quizzing.turn(press.round_id):
                outcome = await self.quizzing.press(account_of(interaction.user), press, t, is_moderator)
                self._keep_door(press.round_id, interaction)
                if outcome.shown is not None:
                    self._set_timer(press.round_id, outcome.shown.due_at)
                    await self._edit_by(interaction, outcome.shown)
            if outcome.counted:
                self._recount_soon(press.round_id)
            if outcome.note:
                await interaction.followup.send(plain(outcome.note), ephemeral=True)
        except Exception as error:
            await self._say(interaction, error)

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
        if not (self._bot.is_stopping or self._bot.is_closed()):
            self._bot.spawn(self._time_up(round_id))

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
        except _BROKEN as error:
            note(self._bot, error, "quiz")  # the next click shows how things stand
        except Exception as error:
            note(self._bot, error, "quiz")
            self._set_timer(round_id, time.time() + _RETRY_S)

    def _recount_soon(self, round_id: str) -> None:
        if round_id not in self._recounting:
            self._recounting.add(round_id)
            asyncio.get_running_loop().call_later(_COUNT_EVERY_S, self._on_recount, round_id)

    def _on_recount(self, round_id: str) -> None:
        self._recounting.discard(round_id)
        if not (self._bot.is_stopping or self._bot.is_closed()):
            self._bot.spawn(self._recount(round_id))

    async def _recount(self, round_id: str) -> None:
        """Only the text changes: the picture is not sent again."""
        try:
            async with self.quizzing.turn(round_id):
                shown = await self.quizzing.now(round_id)
                if shown is not None and shown.truth is None:
                    await self._edit(shown, text_only=True)
        except Exception as error:
            note(self._bot, error, "quiz")

    # Messages

    async def _edit(self, shown: Shown, *, text_only: bool = False) -> None:
        """Change a round's message: through the newest click, or in its channel."""
        door, open_until = self._doors.get(shown.round_id, (None, 0.0))
        if door is not None and time.monotonic() < open_until:
            try:
                await self._edit_by(door, shown, text_only=text_only, is_fresh=False)
                return
            except discord.HTTPException as error:
                if error.code not in OVER:
                    raise
                self._doors.pop(shown.round_id, None)
        where = dict(shown.where)
        if not where:
            return
        channel = self._bot.get_partial_messageable(int(where["channel"]))
        message = channel.get_partial_message(int(where["message"]))

        async def send(parts: dict[str, Any]) -> None:
            await message.edit(**_edited(parts))

        try:
            await _deliver(send, shown, text_only=text_only)
        except discord.HTTPException as error:
            if error.code == UNKNOWN_MESSAGE:
                await self.quizzing.abandon(shown.round_id)
                self._set_timer(shown.round_id, None)
            raise

    async def _edit_by(
        self,
        interaction: discord.Interaction[DiscordBot],
        shown: Shown,
        *,
        text_only: bool = False,
        is_fresh: bool = True,
    ) -> discord.InteractionMessage:
        sent: list[discord.InteractionMessage] = []

        async def send(parts: dict[str, Any]) -> None:
            sent.append(await interaction.edit_original_response(**_edited(parts)))

        await _deliver(send, shown, text_only=text_only)
        if shown.rows and is_fresh:
            self._keep_door(shown.round_id, interaction)
        elif not shown.rows:
            self._doors.pop(shown.round_id, None)
        return sent[0]

    def _keep_door(self, round_id: str, interaction: discord.Interaction[DiscordBot]) -> None:
        self._doors[round_id] = interaction, time.monotonic() + _DOOR_S
        self._doors.move_to_end(round_id)
        if len(self._doors) > _DOORS:
            self._doors.popitem(last=False)

    async def _say(self, interaction: discord.Interaction[DiscordBot], error: Exception) -> None:
        """One friendly line in the place of an answer; never raises."""
        note(self._bot, error, "quiz")
        try:
            t = await words_for(self._bot.app, interaction)
            await interaction.followup.send(said(error, t), ephemeral=True)
        except _BROKEN as failure:
            note(self._bot, failure, "quiz")


async def _deliver(send: Any, shown: Shown, *, text_only: bool) -> None:
    if text_only:
        await send({"embeds": embeds_of(shown)})
    else:
        await deliver(send, QuizMessage(shown=shown))


def _edited(parts: dict[str, Any]) -> dict[str, Any]:
    """As an edit takes it: files take the place of those that were there."""
    if "files" not in parts:
        return parts
    files = parts.pop("files")
    return {**parts, "attachments": files}
