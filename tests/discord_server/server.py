"""The server as a whole: its world, its log of all that the bot did, and waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.discord_server import application as _application  # noqa: F401  its routes
from tests.discord_server import interactions as _interactions  # noqa: F401  its routes
from tests.discord_server import permissions
from tests.discord_server.cdn import Cdn
from tests.discord_server.commands import Commands
from tests.discord_server.faults import Drop, Fault, Faults
from tests.discord_server.gateway import MESSAGE_CONTENT, Gateway
from tests.discord_server.interactions import ACK_WITHIN_S, Interaction
from tests.discord_server.payloads import guild as guild_payload
from tests.discord_server.people import Person
from tests.discord_server.rest import MAX_REQUEST, Rest
from tests.discord_server.world import Channel, Clock, Guild, Member, Message, Role, Snowflakes
from tests.stand_in import Entry, Journal

API = "/api/v10"


class DiscordServer(Journal):
    """Two guilds with their people; see the package's docstring. shards: what /gateway/bot recommends."""

    def __init__(self, *, token: str = "MTAwMA.stand-in.token", shards: int = 1) -> None:
        super().__init__()
        self.token = token
        self.shards = shards
        self.clock = Clock()
        self.ack_within_s = ACK_WITHIN_S
        self.new_id = Snowflakes(self.clock)
        self.people: dict[int, Person] = {}
        self.guilds: list[Guild] = []
        self.channels: dict[int, Channel] = {}
        self.messages: dict[int, Message] = {}
        self.interactions: dict[str, Interaction] = {}
        self.commands = Commands()
        self.faults = Faults(lambda fault: self.record("fault", fault=fault))
        self.gateway = Gateway(self)
        self.cdn = Cdn(self)
        self.rest = Rest(self)
        self._answers: dict[int, list[Message]] = {}
        self.bot = self.add_person("face-check", is_bot=True)
        self.olga = self.add_person("olga")
        self.alice = self.add_person("alice")
        self.bob = self.add_person("bob")
        self.guild = self.add_guild("Faces", self.olga, self.alice, self.bob)
        self.other = self.add_guild("Photos", self.olga, self.alice, self.bob)

    # The world

    def add_person(self, name: str, *, is_bot: bool = False, locale: str = "en-US") -> Person:
        person = Person(self, self.new_id(), name, None if is_bot else name.title(), is_bot, locale)
        self.people[person.id] = person
        return person

    def add_guild(self, name: str, owner: Person, *members: Person) -> Guild:
        """A guild with the channels general, pictures, hidden (not for the bot), read-only and no-files (the bot may
        read, or write but attach nothing), a voice channel, and the thread chat under general. Told to nobody yet.
        """
        number = self.new_id()
        while (number >> 22) % 2 != len(self.guilds) % 2:  # two shards have one guild each
            number = self.new_id()
        everyone = Role(number, "@everyone", permissions.EVERYBODY, 0)
        of_bot = Role(self.new_id(), self.bot.name, permissions.EVERYBODY, 1, managed=True)
        guild = Guild(number, name, owner, [everyone, of_bot])
        for person in (owner, *members):
            guild.members[person.id] = Member(person)
        guild.members[self.bot.id] = Member(self.bot, [of_bot])
        category = self.add_channel(guild, "talk", kind=4)
        general = self.add_channel(guild, "general", parent=category)
        self.add_channel(guild, "pictures", parent=category)
        self.add_channel(guild, "hidden", denied=permissions.VIEW_CHANNEL)
        self.add_channel(guild, "read-only", denied=permissions.SEND_MESSAGES)
        self.add_channel(guild, "no-files", denied=permissions.ATTACH_FILES)
        self.add_channel(guild, "voice", kind=2)
        self.add_channel(guild, "chat", kind=11, parent=general)
        self.guilds.append(guild)
        return guild

    def add_channel(
        self, guild: Guild, name: str, *, kind: int = 0, parent: Channel | None = None, denied: int = 0
    ) -> Channel:
        """denied: what the bot may not do there, and everybody else may."""
        overwrites = [(self.bot.id, 1, 0, denied)] if denied else []
        channel = Channel(self.new_id(), name, kind, guild, parent, overwrites)
        guild.channels.append(channel)
        self.channels[channel.id] = channel
        return channel

    def dm_of(self, person: Person) -> Channel:
        for channel in self.channels.values():
            if channel.recipient is person:
                return channel
        channel = Channel(self.new_id(), "", 1, recipient=person)
        self.channels[channel.id] = channel
        return channel

    async def join(self, guild: Guild) -> None:
        """The bot is added to a guild that it was not in (or that was made while it ran)."""
        guild.has_bot = True
        for session in list(self.gateway.sessions.values()):
            if session.has(guild):
                await self.gateway.tell_guild(session, guild)

    async def remove_bot(self, guild: Guild) -> None:
        guild.has_bot = False
        await self.gateway.dispatch("GUILD_DELETE", {"id": str(guild.id)}, guild, intents=1)

    async def outage(self, guild: Guild) -> None:
        """The guild is unavailable for a while; `join` ends it."""
        await self.gateway.dispatch("GUILD_DELETE", {"id": str(guild.id), "unavailable": True}, guild, intents=1)

    async def delete(self, message: Message) -> None:
        message.is_deleted = True
        message.channel.messages.pop(message.id, None)
        if not message.is_ephemeral:
            await self.gateway.dispatch_deletion(message.channel, message.id)

    def bot_may(self, where: Channel) -> int:
        home = where.guild
        return permissions.permissions_of(home.members.get(self.bot.id) if home else None, home, where)

    @property
    def sees_content(self) -> bool:
        """Over REST it is the application's switch that counts."""
        return bool(self.gateway.portal_intents & MESSAGE_CONTENT)

    @property
    def application_flags(self) -> int:
        return 1 << 19 if self.sees_content else 0

    def guild_payload(self, guild: Guild) -> dict[str, Any]:
        """What GUILD_CREATE tells of a guild, for a test to spoil and `gateway.dispatch`."""
        return guild_payload(self, guild, with_members=False)

    # The log, and waiting

    def recorded(self, entry: Entry) -> None:
        if entry.kind in ("message", "edit") and entry.message.referenced:
            self._answers.setdefault(entry.message.referenced.id, []).append(entry.message)

    async def answer(self, to: Message, matching: Callable[[Message], Any] = bool, timeout: float = 10.0) -> Message:
        """The bot's first message (or state of it after an edit) that replies to this one and matches."""

        def look() -> Message | None:
            return next((message for message in self._answers.get(to.id, []) if matching(message)), None)

        return await self.until(look, f"no answer to {to.content!r} came", timeout)

    # Faults

    def fail(
        self,
        route: str,
        status: int | None = None,
        *,
        times: int = 1,
        code: int = 0,
        message: str = "",
        headers: dict[str, str] | None = None,
        body: bytes | dict[str, Any] | None = None,
        delay_s: float = 0.0,
        drop: Drop | None = None,
        when: Callable[[web.Request], bool] | None = None,
    ) -> Fault:
        """The next `times` requests to a route fail so; see `faults.Fault`. A 429 gets retry_after by itself."""
        headers = dict(headers or {})
        if status == 429 and body is None:
            body = {"message": "You are being rate limited.", "retry_after": 0.05, "global": False}
            headers = {"Retry-After": "1", "X-RateLimit-Scope": "user", **headers}
        return self.faults.add(
            Fault(route, times, status, code, message, headers, body, delay_s=delay_s, drop=drop, when=when)
        )

    # HTTP

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    def media_app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle_media)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        host = request.host.partition(":")[0]
        if host.startswith("media."):
            return await self._handle_media(request)
        if request.path.startswith(API + "/"):
            path = request.path.removeprefix(API)
            return await self.faults.strike(request, path, lambda: self.rest.handle(request, path))
        if request.path == "/gateway" or (request.path == "/" and host.startswith("gateway.")):
            return await self.faults.strike(request, "/gateway", lambda: self.gateway.handle(request))
        serve = lambda: self.cdn.handle(request, request.path.lstrip("/"), is_proxy=False)  # noqa: E731
        return await self.faults.strike(request, request.path, serve)

    async def _handle_media(self, request: web.Request) -> web.StreamResponse:
        serve = lambda: self.cdn.handle(request, request.path.lstrip("/"), is_proxy=True)  # noqa: E731
        return await self.faults.strike(request, "media:" + request.path, serve)
