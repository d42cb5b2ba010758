"""/quiz on Discord: a round is one message whose buttons work after a restart, and whose timer is taken up again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Coroutine
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
from bot.chat.quiz_table import MessageGone, QuizTable
from bot.chat.quiz_views import Press, Shown
from bot.chat.quizzing import Quizzing
from bot.quiz.turns import Mode
from bot.words import later

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
_DOORS = 1000  # interactions that are remembered,
_DOOR_S = 14 * 60.0  # and for how long: Discord takes answers to each for 15 minutes
_BROKEN = (discord.HTTPException, aiohttp.ClientError, OSError)

_ROUNDS: WeakKeyDictionary[discord.Client, Rounds] = WeakKeyDictionary()


def register(bot: DiscordBot) -> None:
    """Add /quiz and its buttons, and take up the rounds that were open before the last restart."""
    rounds = _ROUNDS[bot] = Rounds(bot)
    bot.add_dynamic_items(PressItem)
    bot.tree.add_command(quiz)
    bot.spawn(rounds.table.take_up())


def rounds_of(bot: DiscordBot) -> Rounds:
    """The rounds of a bot."""
    return _ROUNDS[bot]


@app_commands.command(name="quiz", description=app_commands.locale_str(_QUIZ))
@app_commands.describe(length=app_commands.locale_str(_LENGTH), mode=app_commands.locale_str(_MODE))
@app_commands.choices(length=_LENGTHS, mode=_MODES)
async def quiz(interaction: discord.Interaction[DiscordBot], length: int = 5, mode: str = "solo") -> None:
    """Answer /quiz."""
    bot = interaction.client
    ephemeral = mode != "channel" and is_private(settings_at_hand(bot.app, interaction))
    if await bot.acknowledge(interaction, ephemeral=ephemeral):
        chosen: Mode = "channel" if mode == "channel" else "daily" if mode == "daily" else "solo"
        await rounds_of(bot).start(interaction, chosen, length or None, ephemeral=ephemeral)


class Rounds:
    """The rounds that are played with one bot, and their messages: a Screen of the table."""

    def __init__(self, bot: DiscordBot) -> None:
        self.quizzing = Quizzing(bot.app, PLATFORM)
        self.table = QuizTable(self.quizzing, self, _COUNT_EVERY_S)
        self._bot = bot
        # The newest click in each round, and until when a message can be changed through it, also where the bot may not
        # see it. The clock is our own: the id's and this machine's may differ.
        self._doors: OrderedDict[str, tuple[discord.Interaction[DiscordBot], float]] = OrderedDict()

    async def start(
        self, interaction: discord.Interaction[DiscordBot], mode: Mode, length: int | None, *, ephemeral: bool
    ) -> None:
        """Show the first face, or why there is none."""
        bot = self._bot
        bot.app.metrics.requests.labels(PLATFORM, "quiz").inc()

        async def show(shown: Shown) -> dict[str, str] | None:
            message = await self._edit_by(interaction, shown)
            return None if ephemeral else {"channel": str(interaction.channel_id), "message": str(message.id)}

        try:
            t, account = await words_for(bot.app, interaction), account_of(interaction.user)
            await self.table.start(account, place_of(interaction), mode, length, t, show)
        except Exception as error:
            await self._say(interaction, error)

    async def press(self, interaction: discord.Interaction[DiscordBot], press: Press) -> None:
        """Do what an acknowledged button says."""
        may = interaction.permissions
        is_moderator = interaction.guild_id is not None and may.manage_messages
        notes: list[str] = []

        async def show(shown: Shown) -> None:
            await self._edit_by(interaction, shown)

        async def tell(note: str) -> None:
            self._keep_door(press.round_id, interaction)
            notes.append(note)

        try:
            t = await words_for(self._bot.app, interaction)
            await self.table.press(account_of(interaction.user), press, t, is_moderator, show, tell)
            for line in filter(None, notes):
                await interaction.followup.send(plain(line), ephemeral=True)
        except Exception as error:
            await self._say(interaction, error)

    # What the table needs

    @property
    def is_on(self) -> bool:
        """Whether something may still be begun."""
        return not (self._bot.is_stopping or self._bot.is_closed())

    def spawn(self, work: Coroutine[Any, Any, None]) -> object:
        """Do `work` on the side."""
        return self._bot.spawn(work)

    def note(self, error: BaseException) -> None:
        """Count and log it."""
        note(self._bot, error, "quiz")

    def is_broken(self, error: BaseException) -> bool:
        """Whether Discord, or the way to it, is at fault."""
        return isinstance(error, _BROKEN)

    async def edit(self, shown: Shown, *, text_only: bool) -> None:
        """Change a round's message: through the newest click, or in its channel. Raises MessageGone."""
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
                raise MessageGone from error
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
