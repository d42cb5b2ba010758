"""Is this picture real? Sent directly, mentioned, replied to, by command, or posted where the admins want it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from telegram import Message, MessageEntity, User

from bot.chat.answers import answer, numbered, probability_words, summary
from bot.chat.found import Candidate, left_out_note, others_note
from bot.chat.manners import is_private, may_answer_post
from bot.chat.refusals import OwnMessage, friendly
from bot.chat.telegram import pictures, seen
from bot.chat.telegram.albums import Albums
from bot.chat.telegram.askers import PLATFORM, channel_of, place_of, request_of, sender_of, words_for
from bot.chat.telegram.buttons import MAX_PANEL_BYTES, keyboard_of, keyboard_of_several
from bot.chat.telegram.captions import caption_of
from bot.chat.telegram.menu import MenuEntry
from bot.chat.telegram.news import Boards, News
from bot.chat.telegram.pictures import File, Pictures
from bot.chat.telegram.private import person_or_say, private_place, say_where
from bot.chat.telegram.replies import Place, Upload, as_upload, at_work, say, say_album
from bot.chat.waiting import Spot
from bot.words import Words, later
from bot.worker import Checked, Want

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

CHECK = MenuEntry("check", later("Is this picture real? A verdict with heatmaps"))
_ALBUM_PANEL_BYTES = 2 * 2**20  # ten in one request, over the operator's line
_MOST_PARTS = 10  # pictures of one message, with what it replies to
_COMMAND = re.compile(r"/check(?:@(?P<bot>\w+))?(?!\w)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """message: what is answered, with the picture where the bot can see it, so that buttons find it again there.
    by: the message of whoever asked. alone: who alone is to see the answer, in their own chat; None for everybody.
    album: the messages that the pictures are in, where there are several.
    """

    message: Message
    by: Message
    pictures: Pictures
    kind: str
    alone: User | None = None
    album: Sequence[Message] = ()

    def about(self, source: File | Candidate) -> Asked:
        """The same, with the message of the album that has this one picture."""
        holders = (
            one for one in self.album if source in pictures.of_messages([one], _MOST_PARTS, with_links=False).sources
        )
        return replace(self, message=next(holders, self.message))

    @property
    def answered(self) -> Place:
        """What the answer replies to, or the chat of whoever alone sees it."""
        return self.message if self.alone is None else private_place(self.by, self.alone)

    @property
    def told(self) -> Place:
        """What is replied to with anything else."""
        return self.by if self.alone is None else private_place(self.by, self.alone)


def register(bot: TelegramBot) -> None:
    """Add /check, and what is done about messages with pictures."""
    albums, boards = Albums(), Boards(bot)
    bot.add_command(CHECK, lambda message, rest: check(bot, boards, [message]))
    bot.on_messages.append(lambda message: on_message(bot, boards, albums, message))


async def check(bot: TelegramBot, boards: Boards, messages: Sequence[Message]) -> None:
    """Answer /check: about the message that it replies to, else about its own pictures and links."""
    other = _replied_to(messages)
    if other is not None:
        found = pictures.of_messages([other], _most(bot), with_links=True)
        if _is_own(bot, other) and not pictures.of_messages(messages, _most(bot), with_links=True).sources:
            raise OwnMessage  # a panel is no photo, and a quiz's face is a secret
        if found.sources and not _is_own(bot, other):
            await _answer(bot, boards, Asked(other, messages[0], found, "command"))
            return
    found = pictures.of_messages(messages, _most(bot), with_links=True)
    await _answer(bot, boards, Asked(messages[0], messages[0], found, "command", album=messages))


async def on_message(bot: TelegramBot, boards: Boards, albums: Albums, message: Message) -> None:
    """Answer a picture that was posted where the admins want it, or anything that was said to the bot."""
    is_program = message.from_user is not None and message.from_user.is_bot and message.sender_chat is None
    if is_program or albums.joins(message) or _is_service(message):
        return
    messages = await albums.whole(message)
    if any(_is_command(bot, one) for one in messages):
        await check(bot, boards, messages)
        return
    is_direct = place_of(message.chat) is None
    is_meant = is_direct or any(_is_meant(bot, one) for one in messages)
    if not is_meant and not await _is_open(bot, message):
        return
    if asked := _asked(bot, messages, is_direct=is_direct, is_meant=is_meant):
        await _answer(bot, boards, asked)


def _asked(bot: TelegramBot, messages: Sequence[Message], *, is_direct: bool, is_meant: bool) -> Asked | None:
    kind = "direct" if is_direct else "mention" if is_meant else "post"
    own = pictures.of_messages(messages, _most(bot), with_links=is_meant)
    other = _replied_to(messages)
    if is_meant and not own.sources and other is not None and not _is_own(bot, other):
        found = pictures.of_messages([other], _most(bot), with_links=True)
        if found.sources:
            return Asked(other, messages[0], found, kind)
    return Asked(messages[0], messages[0], own, kind, album=messages) if is_meant or own.sources else None


async def _answer(bot: TelegramBot, boards: Boards, asked: Asked) -> None:
    """Everything from the pictures to the answer."""
    bot.app.metrics.requests.labels(PLATFORM, asked.kind).inc()
    sender, chat = sender_of(asked.by), asked.by.chat
    with bot.order.spot(chat.id) as spot:
        t = await words_for(bot.app, sender, chat)
        if asked.kind != "post" and is_private(await bot.app.settings(PLATFORM, place_of(chat))):
            person = await person_or_say(bot, asked.by)
            if person is None:
                return
            asked = replace(asked, alone=person)
        if not asked.pictures.sources:
            sent = await say(bot, asked.told, friendly(asked.pictures.refusal, t))
        else:
            async with at_work(bot, asked.told):
                sent = await _look_and_say(bot, boards.news(asked.told), asked, t, spot)
        if asked.alone is not None:
            await say_where(bot, asked.by, asked.alone, is_there=sent is not None)


async def _look_and_say(bot: TelegramBot, news: News, asked: Asked, t: Words, spot: Spot) -> Message | None:
    """The message with the answer; None when nobody could be told."""
    sources = asked.pictures.sources
    try:
        places = await pictures.candidates(bot, sources)
        await spot.asking.come()
        looking = asyncio.create_task(_look(bot, asked, places, news, t))
        spot.asking.pass_on()  # the next starts after this one
        found = await looking
        await spot.saying.come()
    finally:
        await news.gone()
    notes = [*filter(None, (left_out_note(asked.pictures.left_out, t), others_note(asked.pictures.others, t)))]
    if len(sources) == 1:
        return await _say_one(bot, asked, sources[0], found[0], notes, t)
    usable = [n for n, one in enumerate(found) if not isinstance(one, Exception)]
    if len(usable) == 1:
        (n,) = usable
        refused = [_refusal(one, i, t) for i, one in enumerate(found, 1) if isinstance(one, Exception)]
        asked = asked.about(sources[n])
        return await _say_one(bot, asked, sources[n], found[n], [*refused, *notes], t, number=n + 1)
    return await _say_several(bot, asked.answered, sources, found, notes, t)


async def _look(
    bot: TelegramBot, asked: Asked, places: Sequence[Candidate | Exception], news: News, t: Words
) -> list[Checked | Exception]:
    """An answer for each of `places`, or why there is none."""
    many = len(places) > 1
    want = Want(
        seen=many or asked.alone is not None,
        max_bytes=_ALBUM_PANEL_BYTES if many else MAX_PANEL_BYTES,
        language=t.language,
    )

    async def progress(position: int) -> None:
        before = t.n("One picture is before yours.", "{count} pictures are before yours.", position - 1)
        await news.tell(t("You are next.") if position == 1 else before)

    known = [place for place in places if isinstance(place, Candidate)]
    looked = iter(await bot.app.look(known, request_of(sender_of(asked.by), asked.by.chat, t), want, progress))
    return [next(looked) if isinstance(place, Candidate) else place for place in places]


async def _say_one(
    bot: TelegramBot,
    asked: Asked,
    source: File | Candidate,
    found: Checked | Exception,
    notes: list[str],
    t: Words,
    *,
    number: int | None = None,
) -> Message | None:
    """number: of the only picture of several that there is an answer for.

    Where the picture is not at hand, in the chat of whoever alone is answered, the buttons stand below what the
    network saw of it.
    """
    where = asked.answered
    if isinstance(found, Exception):
        return await say(bot, where, "\n".join((friendly(found, t), *notes)))
    text = _text(found, source, t, number=number, notes=notes)
    upload = as_upload(found.panel, "panel") if found.panel is not None else None
    buttons = keyboard_of(found, t)
    if asked.alone is None or found.seen is None:
        return await say(bot, where, text, buttons=buttons, upload=upload)
    sent = await say(bot, where, text, upload=upload)
    if sent is not None:
        seen_file = Upload(found.seen, seen.NAME, as_file=True)
        await say(bot, where, answer(found.verdict, t).title, buttons=buttons, upload=seen_file)
    return sent


async def _say_several(
    bot: TelegramBot,
    where: Place,
    sources: Sequence[File | Candidate],
    found: Sequence[Checked | Exception],
    notes: list[str],
    t: Words,
) -> Message | None:
    """The panels as an album, each with its own answer below it, and one message with all in short and the buttons."""
    uploads, lines, checked = [], [], []
    for number, (source, one) in enumerate(zip(sources, found, strict=True), 1):
        if isinstance(one, Exception):
            lines.append(_refusal(one, number, t))
            continue
        said = numbered(answer(one.verdict, t), number)
        lines.append(f"{said.title} ({probability_words(one.verdict.p_fake, t).rstrip('.')})")
        checked.append((number, one))
        if one.panel is not None:
            uploads.append(Upload(one.panel, f"panel-{number}", caption=_text(one, source, t, number=number)))
    if len(uploads) > 1:
        await say_album(bot, where, uploads)
    elif uploads:  # no album; the others were too large to be drawn
        await say(bot, where, uploads[0].caption, upload=uploads[0])
    kinds = summary([None if isinstance(one, Exception) else one.verdict.verdict for one in found], t)
    text = "\n".join((kinds, *lines, *notes))
    if not checked:
        return await say(bot, where, text)
    tiles = [one.seen for _, one in checked if one.seen is not None]
    upload = Upload(await asyncio.to_thread(seen.sheet, tiles), seen.NAME, as_file=True)
    return await say(bot, where, text, buttons=keyboard_of_several(checked, t), upload=upload)


def _refusal(error: Exception, number: int, t: Words) -> str:
    return f"{t('{number}. No answer', number=number)}: {friendly(error, t)}"


def _text(
    checked: Checked, source: File | Candidate, t: Words, *, number: int | None = None, notes: Sequence[str] = ()
) -> str:
    """What is said about one picture. Where the answer does not stand firm, that a photo lost something on its way."""
    verdict = checked.verdict
    is_shaky = verdict.verdict == "unsure" or verdict.stability.flips
    said = answer(verdict, t, recompressed=is_shaky and source.recompressed)
    return caption_of(said if number is None else numbered(said, number), notes)


def _most(bot: TelegramBot) -> int:
    return bot.app.params.telegram.max_images


def _replied_to(messages: Sequence[Message]) -> Message | None:
    """The message that is replied to. In a topic each replies to the one that opened it, which is not meant."""
    for message in messages:
        other = message.reply_to_message
        if other is not None and other.forum_topic_created is None:
            return other
    return None


def _is_own(bot: TelegramBot, message: Message) -> bool:
    return message.from_user is not None and message.from_user.id == bot.api.id


def _is_meant(bot: TelegramBot, message: Message) -> bool:
    """Whether the bot is named, or answered with a picture; words of thanks are no question."""
    for mentions in (
        message.parse_entities([MessageEntity.MENTION, MessageEntity.TEXT_MENTION]),
        message.parse_caption_entities([MessageEntity.MENTION, MessageEntity.TEXT_MENTION]),
    ):
        for entity, text in mentions.items():
            if entity.user.id == bot.api.id if entity.user else text.lower() == f"@{bot.username}".lower():
                return True
    other = _replied_to([message])
    return other is not None and _is_own(bot, other) and pictures.has_picture(message)


def _is_command(bot: TelegramBot, message: Message) -> bool:
    """Whether the words below a picture are /check; the library hears commands in messages without one."""
    match = _COMMAND.match(message.caption or "")
    return match is not None and (match["bot"] or bot.username).lower() == bot.username.lower()


def _is_service(message: Message) -> bool:
    """Whether there is nothing in a message that somebody sent for an answer: joins, pins; and stickers."""
    return not (
        message.text or message.photo or message.document or message.animation or message.video or message.video_note
        or message.audio or message.voice
    )  # fmt: skip


async def _is_open(bot: TelegramBot, message: Message) -> bool:
    settings = await bot.app.settings(PLATFORM, place_of(message.chat))
    channel, parent = channel_of(message)
    return may_answer_post(settings, channel, datetime.now(UTC), parent)
