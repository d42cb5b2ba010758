"""Sending an answer, whatever Discord says to it: smaller, later, plainer, or elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import discord

from bot.chat.discord.askers import words_for
from bot.chat.discord.cards import Message
from bot.chat.refusals import friendly, is_unexpected

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

_log = logging.getLogger("bot.discord")

DEFAULT_LIMIT = 10 * 2**20  # bytes of a message's files, in a server without boosts

# Discord's JSON error codes, https://discord.com/developers/docs/topics/opcodes-and-status-codes
UNKNOWN_MESSAGE = 10008
UNKNOWN_WEBHOOK = 10015
UNKNOWN_INTERACTION = 10062
TOO_LARGE = 40005
ALREADY_ACKNOWLEDGED = 40060
INVALID_WEBHOOK_TOKEN = 50027
INVALID_FORM = 50035
MISSING_PERMISSIONS = 50013
# The fifteen minutes of an interaction are over, or somebody deleted what it began with.
OVER = frozenset({UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION, INVALID_WEBHOOK_TOKEN})

_TRIES = 4
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0


class Reply(Protocol):
    """Where an answer goes. limit: bytes of files that a message may have there."""

    limit: int

    async def progress(self, text: str) -> None:
        """Say how things stand, in a place that the answer takes later; or nothing, where there is none."""

    async def send(self, message: Message) -> None:
        """Send the answer, or another part of it. Raises HTTPException when nothing helps."""


class InteractionReply:
    """To an interaction that was acknowledged: the first part takes the place of "thinking…", others follow it."""

    def __init__(self, interaction: discord.Interaction[DiscordBot], *, ephemeral: bool) -> None:
        self.limit = min(interaction.filesize_limit or DEFAULT_LIMIT, 100 * 2**20)
        self._interaction = interaction
        self._is_ephemeral = ephemeral
        self._is_first = True

    async def progress(self, text: str) -> None:
        """Not worth a second try."""
        with suppress(discord.HTTPException, aiohttp.ClientError, OSError):
            if self._is_first:
                await self._interaction.edit_original_response(content=text)

    async def send(self, message: Message) -> None:
        """Raises HTTPException; when the interaction is over, says it in the channel, unless it was private."""
        is_first, self._is_first = self._is_first, False
        try:
            await deliver(self._edit if is_first else self._follow, message)
        except discord.HTTPException as error:
            channel = self._interaction.channel
            if error.code not in OVER or self._is_ephemeral or not isinstance(channel, discord.abc.Messageable):
                raise
            _log.info("an interaction was over before its answer; answering in the channel: %s", error)
            await deliver(_sender(channel, self._interaction.id), message)

    async def _edit(self, parts: dict[str, Any]) -> None:
        files = parts.pop("files")
        await self._interaction.edit_original_response(**parts, attachments=files)

    async def _follow(self, parts: dict[str, Any]) -> None:
        await self._interaction.followup.send(ephemeral=self._is_ephemeral, **_given(parts))


class MessageReply:
    """To a message, as a reply to it, without a ping; "typing…" until the answer is there (see `typing`)."""

    def __init__(self, message: discord.Message) -> None:
        self.limit = message.guild.filesize_limit if message.guild else DEFAULT_LIMIT
        self._message = message
        self._sent = 0

    async def progress(self, text: str) -> None:
        """Nothing: "typing…" is seen already."""

    async def send(self, message: Message) -> None:
        """Raises HTTPException."""
        reference = self._message.to_reference(fail_if_not_exists=False)
        nonce = (self._message.id << 3) + self._sent
        self._sent += 1
        await deliver(_sender(self._message.channel, nonce, reference=reference, mention_author=False), message)

    @asynccontextmanager
    async def typing(self) -> AsyncIterator[None]:
        """ "typing…" meanwhile; the answer does not wait for it."""
        shown = asyncio.create_task(self._type())
        try:
            yield
        finally:
            shown.cancel()

    async def _type(self) -> None:
        with suppress(discord.HTTPException, aiohttp.ClientError, OSError):
            async with self._message.channel.typing():
                await asyncio.Event().wait()


async def deliver(send: Callable[[dict[str, Any]], Awaitable[Any]], message: Message) -> None:
    """Send `message`, or what is left of it after Discord's objections. Raises HTTPException when nothing helps.

    discord.py waits for rate limits and repeats after most server errors; the rest is done here.
    """
    lesser = _lesser(message)
    tries = _TRIES
    while True:
        try:
            await send(message.parts())
            return
        except discord.HTTPException as error:
            may_not_attach = error.code == MISSING_PERMISSIONS and message.has_pictures
            if error.status == 413 or error.code in (TOO_LARGE, INVALID_FORM) or may_not_attach:
                less = message.without_pictures() if may_not_attach else await asyncio.to_thread(next, lesser, None)
                if less is None:
                    raise
                _log.warning("Discord refused an answer, sending less: %s", error)
                message = less
                continue
            tries -= 1
            pause_s = _pause_s(error)
            if pause_s is None or not tries:
                raise
            await asyncio.sleep(pause_s)
        except (aiohttp.ClientError, OSError):  # the connection broke; discord.py repeats only after some of these
            tries -= 1
            if not tries:
                raise
            await asyncio.sleep(_PAUSE_S)


async def defer(interaction: discord.Interaction[Any], *, ephemeral: bool, thinking: bool) -> None:
    """Acknowledge, once more where the connection broke: it may have broken before or after Discord heard of it."""
    try:
        await interaction.response.defer(ephemeral=ephemeral, thinking=thinking)
    except (aiohttp.ClientError, OSError):
        try:
            await interaction.response.defer(ephemeral=ephemeral, thinking=thinking)
        except discord.HTTPException as error:
            if error.code != ALREADY_ACKNOWLEDGED:
                raise


async def say_failed(interaction: discord.Interaction[DiscordBot], error: BaseException) -> None:
    """One friendly line for whoever used a command or a button, whether or not it was acknowledged; never raises."""
    bot = interaction.client
    note(bot, error, "interaction")
    try:
        line = friendly(error, await words_for(bot.app, interaction))
        if interaction.response.is_done():
            await interaction.followup.send(line, ephemeral=True)
        else:
            await interaction.response.send_message(line, ephemeral=True)
    except Exception as failure:  # there is nobody left to tell
        _log.info("nobody could be told: %s: %s", type(failure).__name__, failure)


def note(bot: DiscordBot, error: BaseException, kind: str) -> None:
    """Count what went wrong, and log it: in a line where it is Discord's, with its traceback where it is ours."""
    bot.app.metrics.errors.labels("discord", kind).inc()
    if isinstance(error, discord.HTTPException | aiohttp.ClientError | OSError):
        _log.info("%s: %s: %s", kind, type(error).__name__, error)
    elif is_unexpected(error):
        _log.error("%s failed", kind, exc_info=error)


def _sender(channel: discord.abc.Messageable, nonce: int, **options: Any) -> Callable[[dict[str, Any]], Awaitable[Any]]:
    """Sends to a channel; the nonce keeps Discord from showing a message twice when it is sent again."""

    def send(parts: dict[str, Any]) -> Awaitable[Any]:
        return channel.send(**_given(parts), nonce=nonce, **options)

    return send


def _given(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value is not None}


def _lesser(message: Message) -> Iterator[Message]:
    yield message.smaller()
    yield message.without_pictures()
    yield message.plain()


def _pause_s(error: discord.HTTPException) -> float | None:
    """How long to wait before the next try; None when another would not help."""
    if error.status == 429:  # without the header by which discord.py tells Discord from whoever stands before it
        with suppress(ValueError):
            return min(float(error.response.headers.get("Retry-After", "1")), _LONGEST_PAUSE_S)
        return _PAUSE_S
    return _PAUSE_S if error.status >= 500 else None
