"""What people do: write, send pictures and files, reply, forward, edit, press buttons, add and block the bot."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.telegram_server import callbacks, payloads
from tests.telegram_server.composing import thread_of
from tests.telegram_server.entities import found_in
from tests.telegram_server.files import Media
from tests.telegram_server.privacy import bot_hears
from tests.telegram_server.world import CHANNEL, GROUP, PRIVATE, Account, Chat, Member, Message

if TYPE_CHECKING:
    from tests.telegram_server.callbacks import Press
    from tests.telegram_server.server import TelegramServer


class NotPossibleError(AssertionError):
    """Telegram's program would not let this person do that."""


class Person(Account):
    """to: a chat; None is the private chat with the bot. hides: forwards of theirs do not link to them."""

    hides = False

    def __init__(self, server: TelegramServer, number: int, name: str, username: str | None, language: str | None):
        super().__init__(number, name, username, language=language)
        self.server = server

    @property
    def private(self) -> Chat:
        """The chat with the bot."""
        return self.server.private_chat(self)

    async def says(
        self,
        text: str,
        to: Chat | None = None,
        *,
        reply_to: Message | None = None,
        entities: Sequence[dict[str, Any]] = (),
    ) -> Message:
        """Write a message. entities: beside those that Telegram finds, such as a text_link."""
        return self._post(self._message(to, text, reply_to=reply_to, entities=entities))

    async def replies(self, message: Message, text: str) -> Message:
        return await self.says(text, message.chat, reply_to=message)

    async def starts(self, payload: str = "") -> Message:
        """Press Start, or follow a link t.me/bot?start=payload."""
        return await self.says(f"/start {payload}".strip())

    async def sends_photo(
        self,
        data: bytes,
        caption: str = "",
        to: Chat | None = None,
        *,
        reply_to: Message | None = None,
        hd: bool = False,
        spoiler: bool = False,
    ) -> Message:
        """Send a picture as a photo, which Telegram encodes anew, of 1280 px at most, hd: of 2560."""
        media = self.server.files.photo(data, hd=hd)
        media.is_spoiler = spoiler
        return self._post(self._message(to, caption, media=media, reply_to=reply_to))

    async def sends_file(
        self,
        data: bytes,
        name: str | None = "photo.png",
        mime: str | None = "image/png",
        caption: str = "",
        to: Chat | None = None,
        *,
        reply_to: Message | None = None,
        size: int | None = None,
        thumbnail: bytes | None = None,
    ) -> Message:
        """Send something as a file, which stays as it is. size: pretend that it has so many bytes."""
        media = self.server.files.file("document", data, name, mime, size=size, thumbnail=thumbnail)
        return self._post(self._message(to, caption, media=media, reply_to=reply_to))

    async def sends_album(
        self,
        pictures: Sequence[bytes | Media],
        caption: str = "",
        to: Chat | None = None,
        *,
        reply_to: Message | None = None,
        together: bool = False,
    ) -> list[Message]:
        """Send two to ten photos (or Media of `file`) as one album: a message each, the caption with the first.

        together: the updates come in one answer of getUpdates, instead of one answer each.
        """
        if not 2 <= len(pictures) <= 10:
            raise NotPossibleError("an album has two to ten pictures")
        group = str(secrets.randbits(53) + 10**16)
        sent = []
        for number, picture in enumerate(pictures):
            media = picture if isinstance(picture, Media) else self.server.files.photo(picture)
            text = caption if number == 0 else ""
            made = self._message(to, text, media=media, reply_to=reply_to, media_group_id=group)
            sent.append(self._post(made, None if together else self.server.updates.new_batch()))
        return sent

    async def sends(
        self,
        kind: str,
        data: bytes = b"\0",
        to: Chat | None = None,
        *,
        caption: str = "",
        reply_to: Message | None = None,
        size: int | None = None,
    ) -> Message:
        """Send an animation, a video, a sticker, a voice or video note, or music."""
        return self._post(self._message(to, caption, media=self.file(kind, data, size=size), reply_to=reply_to))

    def file(self, kind: str, data: bytes, name: str | None = None, *, size: int | None = None) -> Media:
        """A file for an album, or of another kind."""
        sides = {"width": 320, "height": 240}
        details: dict[str, dict[str, Any]] = {
            "animation": {**sides, "duration": 2}, "video": {**sides, "duration": 9}, "voice": {"duration": 3},
            "audio": {"duration": 60}, "video_note": {"length": 240, "duration": 5}, "document": {},
            "sticker": {"type": "regular", "width": 512, "height": 512, "is_animated": False, "is_video": False,
                        "emoji": "🙂", "set_name": "faces"},
        }  # fmt: skip
        mimes = {"animation": "video/mp4", "video": "video/mp4", "voice": "audio/ogg", "audio": "audio/mpeg"}
        name = name or {"animation": "a.gif.mp4", "video": "a.mp4"}.get(kind)
        return self.server.files.file(kind, data, name, mimes.get(kind), size=size, **details[kind])

    async def forwards(self, message: Message, to: Chat | None = None) -> Message:
        """Forward a message: its content again, with its origin."""
        message = self._live(message)
        made = self._message(to, message.text or "", media=message.media, entities=message.entities, finds=False)
        made.origin = self.server.origin_of(message)
        return self._post(made)

    async def edits(self, message: Message, text: str) -> Message:
        """Change the text, or the caption, of one's own message."""
        message = self._live(message)
        if message.author is not self:
            raise NotPossibleError("only one's own messages can be edited")
        message.text, message.entities = text, found_in(text)
        message.edit_date = int(self.server.clock.now())
        if bot_hears(self.server, message):
            self.server.updates.add("edited_message", payloads.message(message))
        return message

    async def deletes(self, message: Message) -> None:
        """The bot is not told."""
        self.server.remove(self._live(message), by_bot=False)

    async def clicks(self, message: Message, named: str) -> Press:
        """Press an inline button, known by its label (or its beginning) or its callback_data."""
        button = self._live(message).button(named)
        if "callback_data" not in button:
            raise NotPossibleError(f"{named!r} does not tell the bot")
        return await self.presses(message, button["callback_data"])

    async def presses(self, message: Message, data: str) -> Press:
        """Press a button with that data, whether or not it is still there, as a program that was slow may."""
        self._check_in(message.chat)
        return callbacks.press(self.server, self, self.server.live(message), data)

    # Groups

    async def adds_bot(self, to: Chat, *, as_admin: bool = False) -> None:
        """Add the bot to a group (or, as an administrator, to a channel)."""
        self._check_in(to)
        self.server.set_bot(to, "administrator" if as_admin else "member", self)
        if to.is_group:
            await self.server.tell(to, self, {"new_chat_members": [payloads.user(self.server.bot)]})

    async def promotes_bot(self, to: Chat) -> None:
        self.server.set_bot(to, "administrator", self)

    async def demotes_bot(self, to: Chat) -> None:
        self.server.set_bot(to, "member", self)

    async def removes_bot(self, to: Chat) -> None:
        self.server.set_bot(to, "kicked", self)

    async def joins(self, to: Chat) -> None:
        to.members[self.id] = Member(self)
        await self.server.tell(to, self, {"new_chat_members": [payloads.user(self)]})

    async def leaves(self, to: Chat) -> None:
        self._check_in(to)
        to.members[self.id].status = "left"
        await self.server.tell(to, self, {"left_chat_member": payloads.user(self)})

    async def blocks_bot(self) -> None:
        self.private.is_blocked = True
        self.server.tell_own_change(self.private, self, "member", "kicked")

    async def unblocks_bot(self) -> None:
        self.private.is_blocked = False
        self.server.tell_own_change(self.private, self, "kicked", "member")

    async def upgrades(self, group: Chat) -> Chat:
        """Make a group a supergroup: it gets another id."""
        if group.kind != GROUP or not group.member(self).is_admin:
            raise NotPossibleError(f"{self.first_name} cannot make {group} a supergroup")
        return await self.server.migrate(group, self)

    # Helpers

    def _message(
        self,
        to: Chat | None,
        text: str,
        *,
        media: Media | None = None,
        reply_to: Message | None = None,
        entities: Sequence[dict[str, Any]] = (),
        finds: bool = True,
        media_group_id: str | None = None,
    ) -> Message:
        chat = to or self.private
        self._check_in(chat)
        found = [*entities, *(found_in(text) if finds else [])]
        made = Message(
            chat.new_id(), chat, self, int(self.server.clock.now()), text=text or None, media=media,
            entities=sorted(found, key=lambda e: e["offset"]), media_group_id=media_group_id,
        )  # fmt: skip
        if reply_to is not None and reply_to.chat is not chat:
            made.details["external_reply"] = self.server.external(self._live(reply_to))
        elif reply_to is not None:
            made.reply_to = self._live(reply_to)
        made.thread = chat.topic or thread_of(chat, made.reply_to)
        member = chat.member(self)
        if chat.kind == CHANNEL:
            made.author, made.sender = None, chat
        elif member.is_anonymous:
            made.author, made.sender = payloads.ANONYMOUS, chat
        elif member.voice:
            made.author, made.sender = payloads.CHANNEL_BOT, member.voice
        return made

    def _check_in(self, chat: Chat) -> None:
        if chat.kind == PRIVATE:
            if chat.person is not self:
                raise NotPossibleError(f"{self.first_name} is not in {chat}")
            if chat.is_blocked:
                raise NotPossibleError(f"{self.first_name} has blocked the bot")
            return
        member = chat.member(self)
        if not member.is_in or chat.migrated_to:
            raise NotPossibleError(f"{self.first_name} is not in {chat}")
        if chat.kind == CHANNEL and not member.is_admin:
            raise NotPossibleError(f"{self.first_name} may not post in {chat}")

    def _live(self, message: Message) -> Message:
        """The message as it stands now; raises if this person does not see it, or no longer."""
        live = self.server.live(message)
        self._check_in(live.chat)
        if live.is_deleted:
            raise NotPossibleError(f"{live} is gone")
        return live

    def _post(self, made: Message, batch: int | None = None) -> Message:
        made.chat.is_started = True
        self.server.post(made)
        if bot_hears(self.server, made):
            kind = "channel_post" if made.chat.kind == CHANNEL else "message"
            self.server.updates.add(kind, payloads.message(made), batch)
        return made
