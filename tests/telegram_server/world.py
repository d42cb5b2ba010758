"""What there is at Telegram: accounts, chats and who is in them, messages; and the clock that stamps them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.telegram_server.files import Media

Entities = list[dict[str, Any]]

PRIVATE, GROUP, SUPERGROUP, CHANNEL = "private", "group", "supergroup", "channel"


class Clock:
    """Telegram's time, which a test may advance."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead_s

    def advance(self, seconds: float) -> None:
        self.ahead_s += seconds


@dataclass(eq=False)
class Account:
    """A person or a bot, as Telegram shows it. language: of their program; None where it does not tell."""

    id: int
    first_name: str
    username: str | None = None
    is_bot: bool = False
    language: str | None = "en"
    last_name: str | None = None

    @property
    def mention(self) -> str:
        return f"@{self.username}" if self.username else self.first_name

    def __repr__(self) -> str:
        return f"<{self.first_name} {self.id}>"


@dataclass
class Member:
    """status: creator, administrator, member, restricted, left or kicked."""

    account: Account
    status: str = "member"
    is_anonymous: bool = False
    voice: Chat | None = None  # a channel in whose name they write
    can_send: bool = True  # of a restricted one

    @property
    def is_in(self) -> bool:
        return self.status in ("creator", "administrator", "member", "restricted")

    @property
    def is_admin(self) -> bool:
        return self.status in ("creator", "administrator")


@dataclass(eq=False)
class Chat:
    """members: by account id, the left and kicked ones too. last_bot: who spoke last among the bots there.

    messages: by id. topics: of a forum. topic: the one that people write in now. migrated_to: the supergroup that this
    group has become. new_id: of the next message.
    """

    id: int
    kind: str
    title: str | None = None
    username: str | None = None
    person: Account | None = None  # of a private chat
    members: dict[int, Member] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    last_bot: Account | None = None
    topics: set[int] = field(default_factory=set)
    topic: int | None = None
    migrated_to: Chat | None = None
    is_started: bool = True  # by the person, for a bot cannot begin
    is_blocked: bool = False  # by the person
    may_send: bool = True  # members, also the bot where it is no administrator
    may_send_media: bool = True
    new_id: Callable[[], int] = field(default=int, repr=False)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.title or self.person} {self.id}>"

    @property
    def is_group(self) -> bool:
        return self.kind in (GROUP, SUPERGROUP)

    def member(self, account: Account) -> Member:
        """Who has never been there is somebody who left."""
        return self.members.get(account.id) or Member(account, "left")


@dataclass(eq=False)
class Message:
    """author: None for a post of a channel. sender: the chat in whose name it was written.

    text, or caption with media. upload: what the bot sent as the file, before Telegram's re-encoding.
    keyboard: rows of inline buttons. service: such as {"new_chat_members": […]}. details: further fields, as shown.
    """

    id: int
    chat: Chat
    author: Account | None
    date: int
    text: str | None = None
    entities: Entities = field(default_factory=list)
    media: Media | None = None
    media_group_id: str | None = None
    reply_to: Message | None = None
    quote: dict[str, Any] | None = None
    keyboard: list[list[dict[str, Any]]] | None = None
    markup: dict[str, Any] | None = None  # a reply keyboard, its removal, or a forced reply
    sender: Chat | None = None
    thread: int | None = None  # a forum's topic, or in other supergroups the first message of a chain of replies
    origin: dict[str, Any] | None = None
    via_bot: Account | None = None
    edit_date: int | None = None
    service: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    is_deleted: bool = False
    silent: bool = False
    parse_mode: str | None = None  # that the bot wrote it in

    def __repr__(self) -> str:
        what = f" {self.media.kind}" if self.media else ""
        return f"<message {self.id} in {self.chat}{what}: {(self.text or '')[:60]!r}>"

    def copy(self) -> Message:
        """As it is now."""
        return replace(self)

    @property
    def caption(self) -> str:
        return (self.text or "") if self.media else ""

    @property
    def upload(self) -> bytes:
        """The file as it was handed in."""
        if self.media is None:
            raise AssertionError(f"{self} has no file")
        return self.media.upload

    @property
    def buttons(self) -> list[dict[str, Any]]:
        return [button for row in self.keyboard or [] for button in row]

    @property
    def labels(self) -> list[str]:
        return [button["text"] for button in self.buttons]

    def button(self, named: str) -> dict[str, Any]:
        """By its label, its callback_data, or the beginning of its label."""
        for fits in (
            lambda b: named in (b["text"], b.get("callback_data")),
            lambda b: b["text"].startswith(named),
        ):
            for button in self.buttons:
                if fits(button):
                    return button
        raise LookupError(f"no button {named!r}; there are {self.labels}")
