"""Is this picture real? Posted, mentioned, replied to, sent directly, by command, or by right-click."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import aiohttp
import discord
from discord import app_commands

from bot.chat.answers import answer, numbered, summary
from bot.chat.app import Request
from bot.chat.discord.askers import PLATFORM, place_of, request_of, settings_at_hand, words_for
from bot.chat.discord.buttons import view_of
from bot.chat.discord.cards import Card, Message, card_of, chunks, panel_bytes
from bot.chat.discord.pictures import Pictures, of_attachments, of_message, replied_to
from bot.chat.discord.replies import InteractionReply, MessageReply, Reply, note
from bot.chat.found import left_out_note, link, links_in, others_note
from bot.chat.manners import is_private, may_answer_post
from bot.chat.refusals import NoPicture, OwnMessage, friendly
from bot.chat.waiting import Spot
from bot.words import Words, later
from bot.worker import Checked, Want
from infra.images import NotAnImage

if TYPE_CHECKING:
    from bot.chat.discord.client import DiscordBot

_log = logging.getLogger("bot.discord")

_CHECK = later("Is this picture real? A verdict with heatmaps")
_IMAGE = later("a picture")
_LINK = later("or a link to a picture")
_MENU = later("Is this real?")


def register(bot: DiscordBot) -> None:
    """Add /check, the entry of the message menu, and what is done about messages with pictures."""
    bot.tree.add_command(check)
    bot.tree.add_command(app_commands.ContextMenu(name=app_commands.locale_str(_MENU), callback=is_this_real))
    bot.on_pictures.append(lambda message: on_message(bot, message))


_OPTIONS = {f"image{n}": app_commands.locale_str(_IMAGE) for n in range(2, 11)}


@app_commands.command(name="check", description=app_commands.locale_str(_CHECK))
@app_commands.describe(image=app_commands.locale_str(_IMAGE), link=app_commands.locale_str(_LINK), **_OPTIONS)
async def check(
    interaction: discord.Interaction[DiscordBot],
    image: discord.Attachment | None = None,
    image2: discord.Attachment | None = None,
    image3: discord.Attachment | None = None,
    image4: discord.Attachment | None = None,
    image5: discord.Attachment | None = None,
    image6: discord.Attachment | None = None,
    image7: discord.Attachment | None = None,
    image8: discord.Attachment | None = None,
    image9: discord.Attachment | None = None,
    image10: discord.Attachment | None = None,
    link: str | None = None,
) -> None:
    """Answer /check."""
    bot = interaction.client
    images = (image, image2, image3, image4, image5, image6, image7, image8, image9, image10)
    given = [image for image in images if image is not None]
    pictures = _of_options(given, link, bot.app.params.discord.max_images)
    ephemeral = is_private(settings_at_hand(bot.app, interaction))
    await _answer_interaction(bot, interaction, pictures, "command", ephemeral=ephemeral)


async def is_this_real(interaction: discord.Interaction[DiscordBot], message: discord.Message) -> None:
    """Answer the entry of a message's menu; only whoever used it sees the answer."""
    bot = interaction.client
    if bot.user is not None and message.author.id == bot.user.id:  # a panel is no photo, and a quiz's face is a secret
        if await bot.acknowledge(interaction, ephemeral=True):
            raise OwnMessage
        return
    pictures = of_message(message, bot.app.params.discord.max_images, with_links=True)
    await _answer_interaction(bot, interaction, pictures, "menu", ephemeral=True)


async def on_message(bot: DiscordBot, message: discord.Message) -> None:
    """Answer a picture that was posted where the admins want it, or anything that was said to the bot."""
    me = bot.user
    place = place_of(message)
    is_direct = place is None
    is_mentioned = me is not None and _mentions(message, me.id)
    if not is_direct and not is_mentioned:
        settings = await bot.app.settings(PLATFORM, place)
        parent_id = getattr(message.channel, "parent_id", None)  # of threads; of a text channel it is None here
        parent = str(parent_id) if parent_id is not None else None
        if not may_answer_post(settings, str(message.channel.id), datetime.now(UTC), parent):
            return
    pictures = await _pictures_of(bot, message, is_asked=is_direct or is_mentioned)
    if not pictures.candidates and not (is_direct or is_mentioned):
        return
    kind = "direct" if is_direct else "mention" if is_mentioned else "post"
    bot.app.metrics.requests.labels(PLATFORM, kind).inc()
    reply = MessageReply(message)
    t = await words_for(bot.app, message)
    try:
        with bot.order.spot(message.channel.id) as spot:
            async with reply.typing():
                await _look_and_say(bot, reply, pictures, request_of(message, t), t, spot)
    except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
        note(bot, error, "send")  # such as 50013: the bot may not write there


async def _answer_interaction(
    bot: DiscordBot, interaction: discord.Interaction[DiscordBot], pictures: Pictures, kind: str, *, ephemeral: bool
) -> None:
    with bot.order.spot(interaction.channel_id) as spot:
        if not await bot.acknowledge(interaction, ephemeral=ephemeral):
            return
        bot.app.metrics.requests.labels(PLATFORM, kind).inc()
        await bot.after_acknowledgements()
        t = await words_for(bot.app, interaction)
        try:
            reply = InteractionReply(interaction, ephemeral=ephemeral)
            await _look_and_say(bot, reply, pictures, request_of(interaction, t), t, spot)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            note(bot, error, "send")


async def _look_and_say(
    bot: DiscordBot, reply: Reply, pictures: Pictures, request: Request, t: Words, spot: Spot
) -> None:
    """Everything from the pictures to the answer; raises only what sending raises."""
    if not pictures.candidates:
        error = NotAnImage("a file, but no picture") if pictures.others else NoPicture()
        await reply.send(Message(friendly(error, t)))
        return
    await spot.asking.come()
    looking = asyncio.create_task(_look(bot, reply, pictures, request, t))
    spot.asking.pass_on()  # the next starts after this one
    messages = await looking
    await spot.saying.come()
    for message in messages:
        await reply.send(message)


async def _look(bot: DiscordBot, reply: Reply, pictures: Pictures, request: Request, t: Words) -> list[Message]:
    count = len(pictures.candidates)
    at_once = max(len(chunk) for chunk in chunks(count))
    want = Want(seen=True, max_bytes=panel_bytes(reply.limit, at_once), language=t.language)

    async def progress(position: int) -> None:
        before = t.n("One picture is before yours.", "{count} pictures are before yours.", position - 1)
        await reply.progress(t("You are next.") if position == 1 else before)

    found = await bot.app.look(pictures.candidates, request, want, progress)
    notes = [summary([None if isinstance(f, Exception) else f.verdict.verdict for f in found], t)] if count > 1 else []
    notes += filter(None, (left_out_note(pictures.left_out, t), others_note(pictures.others, t)))
    first, *others = chunks(count)
    messages = [_message([found[i] for i in first], 0, count, "\n".join(notes), t)]
    return messages + [_message([found[i] for i in chunk], chunk.start, count, "", t) for chunk in others]


def _message(found: Sequence[Checked | Exception], first: int, count: int, text: str, t: Words) -> Message:
    """One message. first: the number of its first picture, from 0, of `count` in all."""
    if count == 1 and isinstance(found[0], Exception):
        return Message("\n".join(part for part in (friendly(found[0], t), text) if part))
    cards = []
    for number, one in enumerate(found, first + 1):
        if isinstance(one, Exception):
            cards.append(Card(t("{number}. No answer", number=number), friendly(one, t)))
            continue
        said = answer(one.verdict, t)
        cards.append(card_of(numbered(said, number) if count > 1 else said, one.panel, one.seen))
    return Message(text, tuple(cards), view_of(found, t, first))


def _of_options(images: list[discord.Attachment], url: str | None, most: int) -> Pictures:
    files = of_attachments(images, most)
    if not url:
        return files
    urls = links_in(url, 1)
    candidates = [*files.candidates, *(link(found) for found in urls)]
    others = files.others + (0 if urls else 1)
    return Pictures(candidates[:most], files.left_out + max(0, len(candidates) - most), others)


async def _pictures_of(bot: DiscordBot, message: discord.Message, *, is_asked: bool) -> Pictures:
    """The pictures meant: those of the replied-to message when the bot was asked about it, else the message's own."""
    most = bot.app.params.discord.max_images
    if is_asked:
        other = await replied_to(message)
        # A reply to the bot's own answer brings a mention along, and its panel is no picture to look at.
        if other is not None and (bot.user is None or other.author.id != bot.user.id):
            found = of_message(other, most, with_links=True)
            if found.candidates:
                return found
    return of_message(message, most, with_links=is_asked)


def _mentions(message: discord.Message, me: int) -> bool:
    """Whether the bot is meant: named in the text, or answered with a picture.

    Discord counts every reply to the bot's messages as a mention; words of thanks are no question.
    """
    if any(mark in message.content for mark in (f"<@{me}>", f"<@!{me}>")):
        return True
    if not any(user.id == me for user in message.mentions):
        return False
    answered = message.reference.resolved if message.reference is not None else None
    is_thanks = isinstance(answered, discord.DeletedReferencedMessage) or (
        isinstance(answered, discord.Message) and answered.author.id == me
    )
    return bool(message.attachments) or not is_thanks
