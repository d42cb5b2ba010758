"""The client: what it listens to, whom it answers, and that whatever it has begun is finished before it goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.chat.app import App
from bot.chat.discord import gateway
from bot.chat.discord.askers import PLATFORM
from bot.chat.discord.endpoints import gateway_address
from bot.chat.discord.features import register_all
from bot.chat.discord.replies import defer, say_failed
from bot.chat.refusals import OldButton
from bot.chat.waiting import Order
from bot.words import LANGUAGES, later, words
from bot.worker import DeskClosed

_log = logging.getLogger("bot.discord")

RESTARTING = later("I am being restarted. Try again in a minute.")
_OWNERLESS_S = 1.0  # of Discord's three, for a button to find whom it belongs to
_HEARD = "heard"  # in an interaction's extras: somebody answers it
_SYNC_PATIENCE_S = 10.0  # of the start, for the commands to be known
_SYNC_FIRST_PAUSE_S, _SYNC_LONGEST_PAUSE_S = 1.0, 60.0
_PERMISSIONS = discord.Permissions(
    view_channel=True, send_messages=True, send_messages_in_threads=True, embed_links=True, attach_files=True,
    read_message_history=True,
)  # fmt: skip


class DiscordBot(discord.AutoShardedClient):
    """Discord's side of `app`. Features add commands, buttons and message handlers to it (see `features.register_all`).

    connector: how its HTTP and WebSocket connections are made, for those who must go through a proxy of their own.
    """

    identify_every_s = 5.0  # Discord's limit for one bucket of shards

    def __init__(self, app: App, connector: aiohttp.BaseConnector | None = None) -> None:
        params = app.params.discord
        intents = discord.Intents.none()
        intents.guilds = intents.guild_messages = intents.dm_messages = True
        intents.message_content = params.message_content
        super().__init__(
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            guild_ready_timeout=0.2,  # s without another server; 2 by default, which every start would take
            connector=connector,
        )
        self.app = app
        self.gateway_url = gateway_address(params.gateway_url)
        self.tree = CommandTree(self)
        self.on_pictures: list[Callable[[discord.Message], Coroutine[Any, Any, None]]] = []
        self.order = Order()  # by channel
        self.is_stopping = False
        self._underway: set[asyncio.Task[Any]] = set()
        self._unacknowledged = 0
        self._all_acknowledged = asyncio.Event()
        self._all_acknowledged.set()
        self._identified_at = float("-inf")
        self._sessions: dict[int | None, gateway.Pace] = {}
        self._has_greeted = False

    # What the library calls

    async def setup_hook(self) -> None:
        """Called once, after login and before the first connection."""
        await self.tree.set_translator(CommandTranslator())
        register_all(self)
        syncing = self.spawn(self._sync_commands())
        await asyncio.wait({syncing}, timeout=_SYNC_PATIENCE_S)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Keep Discord's distance between two sessions; discord.py waits as long even when the last is hours ago."""
        now = self.loop.time()
        wait_s = max(0.0, self._identified_at + self.identify_every_s - now)
        # More than 1,000 a day, and Discord takes the token away.
        wait_s = max(wait_s, self._sessions.setdefault(shard_id, gateway.Pace(40, 3600)).next_wait_s(now))
        self._identified_at = now + wait_s
        await asyncio.sleep(wait_s)

    async def on_ready(self) -> None:
        """Say who we are; after later reconnects only that we are back."""
        if self._has_greeted:
            _log.info("connected again")
            return
        self._has_greeted = True
        invite = discord.utils.oauth_url(
            self.application_id or 0, permissions=_PERMISSIONS, scopes=("bot", "applications.commands")
        )
        _log.info(
            "ready as %s, servers: %d, model: %s, invite: %s",
            self.user,
            len(self.guilds),
            self.app.desk.card.id,
            invite,
        )
        for guild in self.guilds:
            await self.app.settings(PLATFORM, str(guild.id))

    async def on_message(self, message: discord.Message) -> None:
        """Hand a person's message to those who look at pictures."""
        if message.author.bot or message.webhook_id is not None or message.is_system() or self.is_stopping:
            return
        for handle in self.on_pictures:
            self.spawn(handle(message))

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Say it when nobody feels meant by a button: that of an older version, or a made-up one."""
        if interaction.type is not discord.InteractionType.component:
            return
        await asyncio.sleep(_OWNERLESS_S)
        if not interaction.extras.get(_HEARD) and not self.is_closed():
            await say_failed(interaction, OldButton())

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Know a new server's settings before its first command: it may have been here before."""
        await self.app.settings(PLATFORM, str(guild.id))

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """A listener failed; discord.py would print the traceback to a logger of its own, which says the same."""
        self.app.metrics.errors.labels("discord", "listener").inc()
        _log.exception("%s failed", event_method)

    def is_connected(self) -> bool:
        """Whether every shard has its connection."""
        return bool(self.shards) and not self.is_closed() and not any(s.is_closed() for s in self.shards.values())

    # What features use

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do `work` on the side; it is waited for when the bot is told to end, and what it raises is logged."""
        task = asyncio.create_task(work)
        self._underway.add(task)
        task.add_done_callback(self._finished)
        return task

    def track(self) -> None:
        """Count the current task, an interaction's, among what is under way."""
        task = asyncio.current_task()
        if task is not None and task not in self._underway:
            self._underway.add(task)
            task.add_done_callback(self._underway.discard)

    async def acknowledge(
        self, interaction: discord.Interaction[Any], *, ephemeral: bool, thinking: bool = True
    ) -> bool:
        """Defer an interaction, the first thing to do with each; whether there is still somebody to answer.

        Discord gives up after 3 s (10062); 40060 says that another process of this bot was faster.
        """
        self.track()
        interaction.extras[_HEARD] = True
        if self.is_stopping:
            await say_failed(interaction, DeskClosed(RESTARTING))
            return False
        self._unacknowledged += 1
        self._all_acknowledged.clear()
        try:
            await defer(interaction, ephemeral=ephemeral, thinking=thinking)
        except (discord.HTTPException, discord.InteractionResponded, aiohttp.ClientError, OSError) as error:
            self.app.metrics.errors.labels("discord", "acknowledge").inc()
            _log.info("an interaction went unanswered: %s", error)
            return False
        finally:
            self._unacknowledged -= 1
            if not self._unacknowledged:
                self._all_acknowledged.set()
        return True

    async def after_acknowledgements(self) -> None:
        """Wait, for a moment at most, until everybody who asked at the same time knows that they were heard."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_acknowledged.wait(), 0.5)

    async def finish(self, timeout_s: float) -> bool:
        """Take nothing new, wait for what is under way; whether all of it came to its end."""
        self.is_stopping = True
        here = asyncio.current_task()
        deadline = self.loop.time() + timeout_s
        while underway := {task for task in self._underway if task is not here}:
            left_s = deadline - self.loop.time()
            if left_s <= 0:
                return False
            await asyncio.wait(underway, timeout=left_s)
        return True

    async def _sync_commands(self) -> None:
        """Tell Discord the commands, once a start; one that cannot be told is no reason not to serve the others."""
        pause_s = _SYNC_FIRST_PAUSE_S
        while not self.is_stopping:
            try:
                commands = await self.tree.sync()
            except (discord.HTTPException, app_commands.AppCommandError, aiohttp.ClientError, OSError) as error:
                self.app.metrics.errors.labels("discord", "sync").inc()
                _log.warning("the commands could not be registered, next try in %.0f s: %s", pause_s, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _SYNC_LONGEST_PAUSE_S)
            else:
                _log.info("registered %d commands", len(commands))
                return

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._underway.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.app.metrics.errors.labels("discord", "task").inc()
            _log.error("a task failed", exc_info=error)


class CommandTree(app_commands.CommandTree[DiscordBot]):
    """The commands; what they let out is logged, and said in one friendly line."""

    async def on_error(self, interaction: discord.Interaction[DiscordBot], error: app_commands.AppCommandError) -> None:
        """Answer with the line for `error`."""
        await say_failed(interaction, error.__cause__ or error)


class CommandTranslator(app_commands.Translator):
    """Describes commands in the languages that the bot speaks; their names stay, so that everybody types the same."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """The text in a language of Discord's, None where it is not spoken here."""
        places = app_commands.TranslationContextLocation
        is_typed = context.location in (places.command_name, places.group_name, places.parameter_name)
        code = locale.value.split("-")[0]
        if code not in LANGUAGES or code == "en":
            return None
        if is_typed and not isinstance(context.data, app_commands.ContextMenu):
            return None
        spoken = words(code)(string.message)
        return spoken if spoken != string.message else None
