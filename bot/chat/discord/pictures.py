"""Which pictures a Discord message means: the first place that has any, in a fixed order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import discord

from bot.chat.found import Candidate, distinct, link, links_in, looks_like_picture


@dataclass(frozen=True)
class Pictures:
    """candidates: those to look at. left_out: how many more there were. others: how many files were no pictures."""

    candidates: list[Candidate]
    left_out: int = 0
    others: int = 0


def of_attachments(attachments: Sequence[discord.Attachment], most: int) -> Pictures:
    """The pictures among files; all files when none looks like one, so that it can be said what is wrong with them."""
    found = [a for a in attachments if looks_like_picture(a.filename, a.content_type)]
    # The proxy's address would give a smaller copy, whose verdict may be another.
    candidates = [Candidate(a.url, a.filename, a.size) for a in found]
    chosen, left_out = distinct(candidates, most)
    return Pictures(chosen, left_out, len(attachments) - len(found))


def of_message(message: discord.Message, most: int, *, with_links: bool) -> Pictures:
    """Attachments, else embeds, else forwarded pictures, else links in the text."""
    files = of_attachments(message.attachments, most)
    if files.candidates:
        return files
    for found in (
        list(_of_embeds(message.embeds)),
        [candidate for snapshot in message.message_snapshots for candidate in _of_snapshot(snapshot)],
        [link(url) for url in _links(message, most + 1)] if with_links else [],
    ):
        if found:
            return Pictures(*distinct(found, most), others=files.others)
    return files


async def replied_to(message: discord.Message) -> discord.Message | None:
    """The message that `message` replies to; None when it is gone, hidden from the bot, or there is none."""
    reference = message.reference
    if reference is None or reference.type is not discord.MessageReferenceType.reply or reference.message_id is None:
        return None
    if isinstance(reference.resolved, discord.Message):
        return reference.resolved
    if isinstance(reference.resolved, discord.DeletedReferencedMessage):
        return None
    with contextlib.suppress(discord.HTTPException):
        return await message.channel.fetch_message(reference.message_id)
    return None


def _of_embeds(embeds: Sequence[discord.Embed]) -> Iterator[Candidate]:
    for embed in embeds:
        # The preview of a link to a picture is of type "image" and has it as its thumbnail.
        url = embed.image.url or (embed.thumbnail.url if embed.type == "image" else None)
        if url and url.startswith(("https://", "http://")):
            yield Candidate(url, link(url).name, is_link=True)


def _of_snapshot(snapshot: discord.MessageSnapshot) -> Iterator[Candidate]:
    for attachment in snapshot.attachments:
        if looks_like_picture(attachment.filename, attachment.content_type):
            yield Candidate(attachment.url, attachment.filename, attachment.size)
    yield from _of_embeds(snapshot.embeds)


def _links(message: discord.Message, most: int) -> list[str]:
    texts = [message.content, *(snapshot.content for snapshot in message.message_snapshots)]
    return [url for text in texts for url in links_in(text, most)]
