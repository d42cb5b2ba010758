"""The server as a whole: its people and chats, what becomes of messages, its faults, and its HTTP side."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.discord_server.faults import Drop
from tests.stand_in import Journal
from tests.telegram_server import about as _about  # noqa: F401  its methods
from tests.telegram_server import editing as _editing  # noqa: F401  its methods
from tests.telegram_server import payloads
from tests.telegram_server import sending as _sending  # noqa: F401  its methods
from tests.telegram_server.api import handle
from tests.telegram_server.callbacks import Press
from tests.telegram_server.errors import ApiError
from tests.telegram_server.faults import ApiFault, Faults
from tests.telegram_server.files import Files
from tests.telegram_server.flood import Flood, Ordered
from tests.telegram_server.parameters import MAX_REQUEST
from tests.telegram_server.people import Person
from tests.telegram_server.privacy import bot_hears
from tests.telegram_server.updates import Updates
from tests.telegram_server.world import CHANNEL, GROUP, PRIVATE, SUPERGROUP, Account, Chat, Clock, Member, Message

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"  # the documentation's own form, of nobody's bot


class TelegramServer(Journal):
    """olga, alice and bob, a group and a supergroup with the bot in them; see the package's docstring.

    has_privacy: the bot is in privacy mode. longest_poll_s: of getUpdates. webhook_door: where pushes go instead of the
    webhook's own address, which no test has a certificate for. deactivated: ids of accounts that were deleted.
    """

    has_privacy = True
    longest_poll_s = 50
    webhook_door: str | None = None

    def __init__(self, *, token: str = TOKEN) -> None:
        super().__init__()
        self.token = token
        self.clock = Clock()
        self.files = Files(self.clock)
        self.flood_control = Flood()
        self.accounts: dict[int, Account] = {}
        self.chats: dict[int, Chat] = {}
        self.presses: dict[str, Press] = {}
        self.commands: dict[tuple[str, str], list[dict[str, str]]] = {}
        self.texts: dict[tuple[str, str], str] = {}
        self.deactivated: set[int] = set()
        self.updates = Updates(self)
        self.faults = Faults(lambda fault: self.record("fault", fault=fault))
        self._ids = itertools.count(4001)
        self._shared_ids = itertools.count(101)  # of messages in private chats and basic groups
        self.bot = Account(int(token.partition(":")[0]), "Face check", "face_check_bot", is_bot=True)
        self.accounts[self.bot.id] = self.bot
        self.olga = self.add_person("Olga")
        self.alice = self.add_person("Alice")
        self.bob = self.add_person("Bob")
        self.group = self.add_group("Faces", self.olga, self.alice, self.bob)
        self.small_group = self.add_group("Friends", self.olga, self.alice, self.bob, kind=GROUP)

    # The world

    def add_person(self, name: str, *, username: str | None = "", language: str | None = "en") -> Person:
        """username: the name in lower case by default, None for nobody's. They have not started the bot yet."""
        number = next(self._ids)
        person = Person(self, number, name, f"{name.lower()}_{number}" if username == "" else username, language)
        self.accounts[number] = person
        chat = Chat(number, PRIVATE, username=person.username, person=person, is_started=False)
        chat.new_id = lambda: next(self._shared_ids)
        self.chats[number] = chat
        return person

    def add_group(
        self, title: str, owner: Person, *members: Person, kind: str = SUPERGROUP, with_bot: bool = True
    ) -> Chat:
        """kind: group, supergroup or channel. The bot, if it is in, is a plain member (of a channel: administrator)."""
        number = -next(self._ids) if kind == GROUP else -(10**12 + next(self._ids))
        chat = Chat(number, kind, title)
        own_ids = itertools.count(1)
        chat.new_id = (lambda: next(self._shared_ids)) if kind == GROUP else (lambda: next(own_ids))
        chat.members[owner.id] = Member(owner, "creator")
        for person in members:
            chat.members[person.id] = Member(person)
        if with_bot:
            chat.members[self.bot.id] = Member(self.bot, "administrator" if kind == CHANNEL else "member")
        self.chats[chat.id] = chat
        return chat

    def add_bot(self, name: str, *chats: Chat) -> Account:
        """Another bot, in these chats."""
        other = Account(next(self._ids), name, f"{name.lower()}_bot", is_bot=True)
        self.accounts[other.id] = other
        for chat in chats:
            chat.members[other.id] = Member(other)
        return other

    async def other_bot_says(self, other: Account, text: str, to: Chat) -> Message:
        """The bot is told of it only where it stands in a reply."""
        made = Message(to.new_id(), to, other, int(self.clock.now()), text=text)
        self.post(made)
        return made

    def make_anonymous(self, chat: Chat, person: Person) -> None:
        """An administrator who writes in the group's name."""
        member = chat.members[person.id]
        member.status = member.status if member.is_admin else "administrator"
        member.is_anonymous = True

    def private_chat(self, person: Account) -> Chat:
        return self.chats[person.id]

    def messages(self, chat: Chat, *, of_bot: bool = True) -> list[Message]:
        """What stands in a chat now; of_bot: only the bot's."""
        standing = [message for message in chat.messages.values() if not message.is_deleted]
        return [m for m in standing if not of_bot or m.author is self.bot or (chat.kind == CHANNEL and m.sender)]

    def live(self, message: Message) -> Message:
        """The message as it stands now, for a copy of an earlier state."""
        return message.chat.messages[message.id]

    def post(self, made: Message) -> None:
        made.chat.messages[made.id] = made
        if made.author is not None and made.author.is_bot and made.sender is None:
            made.chat.last_bot = made.author

    def remove(self, message: Message, *, by_bot: bool = True) -> None:
        message.is_deleted = True
        if by_bot:
            self.record("delete", message=message)

    def origin_of(self, message: Message) -> dict[str, Any]:
        """A MessageOrigin."""
        if message.origin:
            return message.origin
        base: dict[str, Any] = {"date": message.date}
        if message.chat.kind == CHANNEL:
            return base | {"type": "channel", "chat": payloads.chat(message.chat), "message_id": message.id}
        if message.sender:
            return base | {"type": "chat", "sender_chat": payloads.chat(message.sender)}
        assert message.author is not None
        if isinstance(message.author, Person) and message.author.hides:
            return base | {"type": "hidden_user", "sender_user_name": message.author.first_name}
        return base | {"type": "user", "sender_user": payloads.user(message.author)}

    def external(self, message: Message) -> dict[str, Any]:
        """What is shown of a message that is replied to from another chat: an ExternalReplyInfo."""
        shown: dict[str, Any] = {"origin": self.origin_of(message)}
        if message.chat.kind in (SUPERGROUP, CHANNEL):
            shown |= {"chat": payloads.chat(message.chat), "message_id": message.id}
        return shown | (message.media.shown if message.media else {})

    async def tell(self, chat: Chat, by: Account, service: dict[str, Any]) -> Message:
        """A service message."""
        made = Message(chat.new_id(), chat, by, int(self.clock.now()), service=service)
        self.post(made)
        if bot_hears(self, made):
            self.updates.add("message", payloads.message(made))
        return made

    def set_bot(self, chat: Chat, status: str, by: Account) -> None:
        """Change what the bot is in a chat; it is told."""
        before = payloads.member(chat.member(self.bot), chat)
        chat.members[self.bot.id] = Member(self.bot, status)
        self._tell_change(chat, by, before, payloads.member(chat.members[self.bot.id], chat))

    def tell_own_change(self, chat: Chat, by: Account, before: str, after: str) -> None:
        old, new = (payloads.member(Member(self.bot, status), chat) for status in (before, after))
        self._tell_change(chat, by, old, new)

    def _tell_change(self, chat: Chat, by: Account, before: dict[str, Any], after: dict[str, Any]) -> None:
        change = {
            "chat": payloads.chat(chat), "from": payloads.user(by), "date": int(self.clock.now()),
            "old_chat_member": before, "new_chat_member": after,
        }  # fmt: skip
        self.updates.add("my_chat_member", change)

    async def migrate(self, group: Chat, by: Account) -> Chat:
        """The group becomes a supergroup with another id, and messages of their own numbers."""
        new = self.add_group(group.title or "", self.olga, with_bot=False)
        new.members = dict(group.members)
        await self.tell(group, by, {"migrate_to_chat_id": new.id})
        group.migrated_to = new
        await self.tell(new, by, {"migrate_from_chat_id": group.id})
        return new

    # Waiting

    async def answer(self, to: Message, matching: Callable[[Message], Any] = bool, timeout: float = 10.0) -> Message:
        """The bot's first message (or state of it after an edit) that replies to this one and matches."""

        def look() -> Message | None:
            for entry in self.log:
                if entry.kind in ("message", "edit") and entry.message.reply_to is to and matching(entry.message):
                    found: Message = entry.message
                    return found
            return None

        return await self.until(look, f"no answer to {to} came", timeout)

    # Going wrong

    def fail(
        self,
        method: str,
        status: int | None = None,
        *,
        times: int = 1,
        message: str = "",
        body: bytes | dict[str, Any] | None = None,
        delay_s: float = 0.0,
        drop: Drop | None = None,
        when: Callable[[web.Request], bool] | None = None,
    ) -> ApiFault:
        """The next `times` calls of a method fail so: "sendPhoto", "send*", "file/*" for downloads.

        status alone: an error in Telegram's envelope. body: b"<html>" is garbage. delay_s: the answer hangs so long.
        drop: the connection ends before the call is acted upon, after it without an answer, or in the middle of one.
        """
        fault = ApiFault(f"* {method.lower()}", times, status, 0, message, {}, body, delay_s, drop, when)
        self.faults.add(fault)
        return fault

    def flood(self, method: str, retry_after: int = 1, times: int = 1) -> None:
        """The next `times` calls of a method ("*": of any that sends or edits) get a 429."""
        self.flood_control.ordered.append(Ordered(method, retry_after, times))

    # HTTP

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        app.router.add_get("/file/bot{token}/{path:.+}", self._download)
        app.router.add_route("*", "/{path:.*}", self._nothing)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if refused := self._refused(request):
            return refused
        name = request.match_info["method"]
        return await self.faults.strike(request, name.lower(), lambda: handle(self, request, name))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        if refused := self._refused(request):
            return refused
        path = request.match_info["path"]

        async def serve() -> web.StreamResponse:
            stored = self.files.at(path)
            if stored is None:
                return _error(ApiError(404))
            self.files.downloads.append(path)
            self.record("download", path=path)
            return web.Response(body=stored.data, content_type="application/octet-stream")

        return await self.faults.strike(request, f"file/{path}", serve)

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        return _error(ApiError(404))

    def _refused(self, request: web.Request) -> web.Response | None:
        """A token of no known form is found nowhere, another bot's is not authorised."""
        token = request.match_info["token"]
        if token == self.token:
            return None
        number, colon, secret = token.partition(":")
        return _error(ApiError(401 if colon and number.isdecimal() and secret else 404))


def _error(error: ApiError) -> web.Response:
    return web.json_response(error.body, status=error.code)
