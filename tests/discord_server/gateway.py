"""The gateway: sessions that survive their connections, what each may see, and every way a connection can end."""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from tests.discord_server import message_payloads, payloads
from tests.discord_server.permissions import VIEW_CHANNEL
from tests.discord_server.world import Channel, Guild, Message

if TYPE_CHECKING:
    from tests.discord_server.server import DiscordServer

GUILDS, GUILD_MEMBERS, GUILD_PRESENCES = 1 << 0, 1 << 1, 1 << 8
GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 9, 1 << 12, 1 << 15
PRIVILEGED = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT
DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
REQUEST_MEMBERS = 8
SILENT_OPS = (3, 4)  # presence, voice state: accepted


class Connection:
    """One WebSocket; compressed as a whole when the client asked for zlib-stream."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self.request = request
        self.session: Session | None = None
        self.closed_with: int | None = None  # by us
        self._zlib = zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None

    async def send(self, text: str) -> None:
        """Anything as one frame, valid or not."""
        if self.socket.closed:
            return
        try:
            if self._zlib:
                await self.socket.send_bytes(self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH))
            else:
                await self.socket.send_str(text)
        except ConnectionError:
            pass  # the client has gone; its session keeps the event

    async def send_op(self, op: int, data: Any = None) -> None:
        await self.send(json.dumps({"op": op, "d": data, "s": None, "t": None}))

    async def send_raw(self, frame: bytes | str) -> None:
        """A frame outside the compressed stream: what a broken proxy might send."""
        if isinstance(frame, bytes):
            await self.socket.send_bytes(frame)
        else:
            await self.socket.send_str(frame)

    async def close(self, code: int) -> None:
        self.closed_with = code
        await self.socket.close(code=code)

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()


@dataclass(eq=False)
class Session:
    id: str
    intents: int
    shard: int
    shards: int
    sequence: int = 0
    sent: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=10_000))
    connection: Connection | None = None

    def has(self, guild: Guild | None) -> bool:
        return (guild.id >> 22) % self.shards == self.shard if guild else self.shard == 0

    async def dispatch(self, event: str, data: Any) -> None:
        """Number an event, keep it for a RESUME, and send it if somebody listens."""
        self.sequence += 1
        text = json.dumps({"op": DISPATCH, "t": event, "s": self.sequence, "d": data})
        self.sent.append((self.sequence, text))
        if self.connection:
            await self.connection.send(text)


class Gateway:
    """acknowledges: answers heartbeats. refuse_identify: close codes for the next IDENTIFYs.
    invalid_sessions: how many of the next RESUMEs find no session any more. portal_intents: the privileged intents
    that are switched on for the application. rewrite: what a proxy makes of the data of an event, by its name.
    """

    def __init__(self, server: DiscordServer) -> None:
        self._server = server
        self.sessions: dict[str, Session] = {}
        self.connections: list[Connection] = []
        self.acknowledges = True
        self.heartbeat_ms = 41_250
        self.heartbeats = 0
        self.portal_intents = PRIVILEGED
        self.refuse_identify: list[int] = []
        self.invalid_sessions = 0
        self.rewrite: Callable[[str, Any], Any] = lambda event, data: data
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=0, compress=False)
        await socket.prepare(request)
        connection = Connection(socket, request)
        if request.query.get("v") != "10" or request.query.get("encoding", "json") != "json":
            await socket.close(code=4012)
            return socket
        self.connections.append(connection)
        try:
            await connection.send_op(HELLO, {"heartbeat_interval": self.heartbeat_ms, "_trace": []})
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await self._receive(connection, frame.data)
                elif frame.type is WSMsgType.BINARY:
                    await self._receive(connection, frame.data.decode())
        finally:
            self.connections.remove(connection)
            self._leave(connection)
            self._server.record("disconnect", code=connection.closed_with or socket.close_code)
        return socket

    def _leave(self, connection: Connection) -> None:
        session = connection.session
        if session and session.connection is connection:
            session.connection = None
            code = connection.socket.close_code
            if connection.closed_with is None and code in (1000, 1001):  # the client's own goodbye ends the session
                self.sessions.pop(session.id, None)

    async def _receive(self, connection: Connection, text: str) -> None:
        try:
            frame = json.loads(text)
            op, data = frame["op"], frame.get("d")
        except (ValueError, KeyError, TypeError):
            await connection.close(4002)
            return
        if op == HEARTBEAT:
            self.heartbeats += 1
            self._server.record("heartbeat", sequence=data)
            if self.acknowledges:
                await connection.send_op(ACK)
        elif op in (IDENTIFY, RESUME):
            if connection.session:
                await connection.close(4005)
            elif op == IDENTIFY:
                await self._identify(connection, data)
            else:
                await self._resume(connection, data)
        elif op not in (*SILENT_OPS, REQUEST_MEMBERS):
            await connection.close(4001)
        elif not connection.session:
            await connection.close(4003)
        elif op == REQUEST_MEMBERS:
            await self._tell_members(connection.session, data)

    async def _identify(self, connection: Connection, data: dict[str, Any]) -> None:
        self._server.record("identify", data={**data, "token": "…"})
        shard, shards = data.get("shard") or (0, 1)
        intents: Any = data.get("intents")
        code = self.refuse_identify.pop(0) if self.refuse_identify else None
        if code is None and data.get("token") != self._server.token:
            code = 4004
        if code is None and not (isinstance(shard, int) and isinstance(shards, int) and 0 <= shard < shards):
            code = 4010
        if code is None and (not isinstance(intents, int) or intents < 0 or intents >> 26):
            code = 4013
        if code is None and intents & PRIVILEGED & ~self.portal_intents:
            code = 4014
        if code is not None:
            await connection.close(code)
            return
        session = Session(f"{self._server.new_id():032x}", int(intents), shard, shards, connection=connection)
        self.sessions[session.id] = connection.session = session
        guilds = [g for g in self._server.guilds if g.has_bot and session.has(g)]
        await session.dispatch(
            "READY",
            {
                "v": 10,
                "user": payloads.user(self._server.bot) | {"verified": True, "mfa_enabled": True, "email": None},
                "guilds": [{"id": str(g.id), "unavailable": True} for g in guilds],
                "session_id": session.id,
                "resume_gateway_url": self.url,
                "shard": [shard, shards],
                "application": {"id": str(self._server.bot.id), "flags": self._server.application_flags},
                "session_type": "normal",
                "private_channels": [],
                "user_settings": {},
                "relationships": [],
                "presences": [],
                "guild_join_requests": [],
                "geo_ordered_rtc_regions": [],
                "_trace": [],
            },
        )
        for guild in guilds:
            await self.tell_guild(session, guild)
        self._server.record("ready", session=session)

    async def _resume(self, connection: Connection, data: dict[str, Any]) -> None:
        self._server.record("resume", data={**data, "token": "…"})
        session = self.sessions.get(str(data.get("session_id")))
        if data.get("token") != self._server.token:
            await connection.close(4004)
        elif session is None or self.invalid_sessions:
            self.invalid_sessions = max(0, self.invalid_sessions - 1)
            self.sessions.pop(str(data.get("session_id")), None)
            await connection.send_op(INVALID_SESSION, False)
        elif not isinstance(data.get("seq"), int) or data["seq"] > session.sequence:
            await connection.close(4007)
        else:
            session.connection, connection.session = connection, session
            for number, text in list(session.sent):
                if number > data["seq"]:
                    await connection.send(text)
            await session.dispatch("RESUMED", {"_trace": []})
            self._server.record("resumed", session=session)

    async def _tell_members(self, session: Session, data: dict[str, Any]) -> None:
        guild = next(g for g in self._server.guilds if str(g.id) == str(data["guild_id"]))
        wanted = [str(number) for number in data.get("user_ids") or []]
        found = [m for m in guild.members.values() if not wanted or str(m.person.id) in wanted]
        found = [m for m in found if m.person.name.startswith(data.get("query") or "")]
        chunk: dict[str, Any] = {"guild_id": str(guild.id), "members": [payloads.member(m) for m in found]}
        chunk |= {"chunk_index": 0, "chunk_count": 1, "not_found": [], "nonce": data.get("nonce")}
        await session.dispatch("GUILD_MEMBERS_CHUNK", chunk)

    async def tell_guild(self, session: Session, guild: Guild) -> None:
        if session.intents & GUILDS:
            sees_all = bool(session.intents & GUILD_PRESENCES)
            await session.dispatch("GUILD_CREATE", payloads.guild(self._server, guild, with_members=sees_all))

    # What the server tells the bot

    async def dispatch(self, event: str, data: Any, guild: Guild | None = None, intents: int = 0) -> None:
        """An event to every session that has the guild (none: direct messages) and one of these intents (0: any)."""
        for session in list(self.sessions.values()):
            if session.has(guild) and (not intents or session.intents & intents):
                await session.dispatch(event, self.rewrite(event, data))

    async def dispatch_message(self, event: str, message: Message) -> None:
        """A message, to every session that may know of it, with as much content as that session may see."""
        where = message.channel
        if where.guild and (not where.guild.has_bot or not self._server.bot_may(where) & VIEW_CHANNEL):
            return
        wanted = GUILD_MESSAGES if where.guild else DIRECT_MESSAGES
        for session in list(self.sessions.values()):
            if session.has(where.guild) and session.intents & wanted:
                sees_all = bool(session.intents & MESSAGE_CONTENT)
                shown = message_payloads.message(self._server, message, sees_all=sees_all, in_event=True)
                await session.dispatch(event, self.rewrite(event, shown))

    async def dispatch_deletion(self, where: Channel, number: int) -> None:
        data = {"id": str(number), "channel_id": str(where.id)}
        if where.guild:
            data["guild_id"] = str(where.guild.id)
        await self.dispatch("MESSAGE_DELETE", data, where.guild, GUILD_MESSAGES if where.guild else DIRECT_MESSAGES)

    # What can go wrong

    async def reconnect(self) -> None:
        """Op 7: Discord wants the client to come back elsewhere and resume."""
        await self._each(lambda c: c.send_op(RECONNECT))

    async def invalidate(self, *, resumable: bool) -> None:
        """Op 9."""
        if not resumable:
            self.sessions.clear()
        await self._each(lambda c: c.send_op(INVALID_SESSION, resumable))

    async def close(self, code: int) -> None:
        """Close every connection with a code, such as 4000 (unknown error), 4009 (timed out), 1001 (going away)."""
        await self._each(lambda c: c.close(code))

    def drop(self) -> None:
        """Every connection ends without a closing handshake, as when a cable is pulled."""
        for connection in list(self.connections):
            connection.abort()

    async def send_raw(self, frame: bytes | str) -> None:
        """A frame as it is: bytes that are no zlib, text that is no JSON."""
        await self._each(lambda c: c.send_raw(frame))

    async def send_text(self, text: str) -> None:
        """A text inside the compressed stream, valid or not."""
        await self._each(lambda c: c.send(text))

    async def _each(self, action: Callable[[Connection], Any]) -> None:
        for connection in list(self.connections):
            await action(connection)
