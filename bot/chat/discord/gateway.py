"""Discord's gateway connection, made to survive what ends discord.py's own: one bad event costs itself.

Beside `bot.chat.discord.rest` the one place that reaches into discord.py's private parts; it checks at import that they
are as it expects.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self, TypeAlias

import aiohttp
import discord
import discord.shard
from discord.errors import ConnectionClosed
from discord.gateway import DiscordWebSocket, ReconnectWebSocket, WebSocketClosure
from yarl import URL

from bot.chat.discord.defaults import complete_interaction, complete_message

_log = logging.getLogger("bot.discord")

WRONG_TOKEN = 4004
DISALLOWED_INTENT = 4014
_HOPELESS = (4012, 4013)  # invalid API version, invalid intents: a proxy's bad moment, as what is sent never changes
# These end a connection on purpose, or because the network did; discord.py knows what to do about each.
_ENDS = (
    ReconnectWebSocket, WebSocketClosure, ConnectionClosed, OSError, TimeoutError, aiohttp.ClientError,
)  # fmt: skip
# discord.py comes back at once when a connection ends; one that ends at once every time must not keep us busy.
_CONNECTIONS, _WITHIN_S = 30, 60.0
_Parser: TypeAlias = Callable[[Any], None]


class Pace:
    """At most so many beginnings within so many seconds; the others wait."""

    def __init__(self, most: int, within_s: float) -> None:
        self._within_s = within_s
        self._begun: deque[float] = deque(maxlen=most)

    def next_wait_s(self, now: float) -> float:
        """How long the next one, which is asked for now, has to wait. now: of a monotonic clock, in seconds."""
        is_full = len(self._begun) == self._begun.maxlen
        wait_s = max(0.0, self._begun[0] + self._within_s - now) if is_full else 0.0
        self._begun.append(now + wait_s)
        return wait_s


class SturdyWebSocket(DiscordWebSocket):
    """The gateway as `client.gateway_url` says, for a client that has this attribute (see `bot.chat.discord.client`).

    What cannot be understood is left out with one line in the log; a connection that did not come about is tried again
    with longer and longer waits. Without the privileged intent the bot goes on without what it brings.
    """

    _operators: URL | None = None
    _named_by_discord = DiscordWebSocket.DEFAULT_GATEWAY
    _raw: str | None = None
    _asked_for_content = False

    @classmethod
    async def from_client(cls, client: discord.Client, *, gateway: URL | None = None, **options: Any) -> Self:
        """Connect; as in discord.py, but at a pace, and where the operator says."""
        paces: dict[int | None, Pace] = client.__dict__.setdefault("_gateway_paces", {})
        pace = paces.setdefault(options.get("shard_id"), Pace(_CONNECTIONS, _WITHIN_S))
        await asyncio.sleep(pace.next_wait_s(time.monotonic()))
        operators: URL | None = getattr(client, "gateway_url", None)
        socket: Self = await super().from_client(client, gateway=operators or gateway, **options)
        socket._operators = operators
        socket._discord_parsers = _completing(client, socket._discord_parsers)
        return socket

    @property
    def gateway(self) -> URL:
        """Where a resumed connection goes. READY names an address too, which behind a proxy would lead round it."""
        return self._operators or self._named_by_discord

    @gateway.setter
    def gateway(self, value: URL) -> None:
        self._named_by_discord = value

    async def identify(self) -> None:
        """Say who we are, and remember which intents were asked for."""
        self._asked_for_content = bool(self._connection._intents.message_content)
        await super().identify()

    def log_receive(self, msg: Any, /) -> None:
        """Called by discord.py with the text of every frame, before it is read."""
        self._raw = msg

    async def received_message(self, msg: Any, /) -> None:
        """Handle a frame. Raises ConnectionError when there is no going on with this connection."""
        self._raw = None
        sequence = self.sequence
        try:
            await super().received_message(msg)
        except _ENDS:
            raise
        except Exception as error:
            await self._survive(error)
        if self._keep_alive is not None and self._keep_alive.interval:
            # 60 s by default, which fits Discord's 41 s between heartbeats; a proxy may want them more often.
            silence_s = min(self._max_heartbeat_timeout, 2 * self._keep_alive.interval + 1)
            self._max_heartbeat_timeout = self._keep_alive.heartbeat_timeout = silence_s
        if self.sequence is not None and type(self.sequence) is not int:  # as the frame had it
            self.sequence = sequence

    async def poll_event(self) -> None:
        """Wait for a frame and handle it; as in discord.py, but fewer reasons are the end of everything."""
        try:
            await super().poll_event()
        except ConnectionClosed as closed:
            if closed.code == DISALLOWED_INTENT and self._asked_for_content:
                self._connection._intents.message_content = False
                _log.warning(
                    "this application lacks the message content intent: pictures are seen in direct messages, mentions "
                    "and commands only; switch it on at https://discord.com/developers/applications, or set "
                    "discord.message_content to false"
                )
                raise ReconnectWebSocket(self.shard_id, resume=False) from None
            if closed.code in _HOPELESS:
                raise ConnectionError(f"the gateway closed the connection with {closed.code}") from None
            raise

    async def _survive(self, error: Exception) -> None:
        if self._raw is None:
            # What was compressed after it cannot be read any more either; a resumed connection repeats it.
            _log.warning("a gateway frame could not be decompressed (%s); resuming", error)
            await self.close(code=4000)
            raise ReconnectWebSocket(self.shard_id, resume=self.session_id is not None)
        op, event = _named(self._raw)
        if op == self.HELLO or event == "READY":
            await self.close(code=4000)
            raise ConnectionError(f"the gateway's {event or 'hello'} could not be understood ({_short(error)})")
        _log.warning("left out a malformed event from the gateway: op %s, %s (%s)", op, event, _short(error))


def _completing(client: discord.Client, parsers: dict[str, _Parser]) -> dict[str, _Parser]:
    """discord.py's readers of events, each given what the event lacks (see `bot.chat.discord.defaults`)."""

    def interaction(data: Any) -> None:
        complete_interaction(data, client.application_id)
        parsers["INTERACTION_CREATE"](data)

    def message(data: Any) -> None:
        complete_message(data)
        parsers["MESSAGE_CREATE"](data)

    return {**parsers, "INTERACTION_CREATE": interaction, "MESSAGE_CREATE": message}


def _named(raw: str) -> tuple[Any, str | None]:
    """The op code and the event's name in a frame, as far as it has them."""
    try:
        frame = json.loads(raw)
    except ValueError:
        return None, None
    if not isinstance(frame, dict):
        return None, None
    event = frame.get("t")
    return frame.get("op"), event[:60] if isinstance(event, str) else None


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:120]


def _install() -> None:
    """Have sharded clients connect through SturdyWebSocket: discord.py has no public way to choose the class."""
    expected = ("from_client", "identify", "log_receive", "received_message", "poll_event")
    is_known = all(hasattr(DiscordWebSocket, name) for name in expected)
    if discord.shard.DiscordWebSocket is not DiscordWebSocket or not is_known:
        raise ImportError(f"discord.py {discord.__version__} is not the version that bot.chat.discord was written for")
    discord.shard.DiscordWebSocket = SturdyWebSocket  # type: ignore[misc]


_install()
