"""Which pictures a Telegram message means: the first place that has any, in a fixed order; and where they lie."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from telegram import Document, ExternalReplyInfo, Message, MessageEntity, PhotoSize
from telegram.error import BadRequest, TelegramError

from bot.chat.found import MIB, Candidate, distinct, link, links_in, looks_like_picture
from bot.chat.refusals import FileTooLarge, NoPicture, NoVideos
from bot.chat.telegram.endpoints import GET_FILE_MAX_BYTES
from infra.http import ConnectionFailed
from infra.images import NotAnImage

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

_log = logging.getLogger("bot.telegram")


@dataclass(frozen=True)
class File:
    """A file of Telegram's. key: alike for the same file wherever it is sent. size: bytes, where Telegram knows it.

    recompressed: sent as a photo, of which Telegram keeps a smaller copy.
    """

    id: str
    key: str
    name: str
    size: int | None
    recompressed: bool = False


@dataclass(frozen=True)
class Pictures:
    """sources: files, and links that people wrote. left_out: how many more there were. others: how many files were no
    pictures. moving: whether a video or an animation was among those.
    """

    sources: list[File | Candidate] = field(default_factory=list)
    left_out: int = 0
    others: int = 0
    moving: bool = False

    @property
    def refusal(self) -> Exception:
        """Why there is nothing to look at."""
        if self.moving:
            return NoVideos()
        return NotAnImage("a file, but no picture") if self.others else NoPicture()


def of_messages(messages: Sequence[Message], most: int, *, with_links: bool) -> Pictures:
    """The photos and files of a message, or of an album, and of what it replies to in another chat; else the links in
    its text.
    """
    files, others, moving = _sorted([part for message in messages for part in (message, message.external_reply)])
    if files:
        once = list({file.key: file for file in files}.values())
        return Pictures(list(once[:most]), max(0, len(once) - most), others)
    if with_links:
        found = [link(url) for message in messages for url in _links(message, most + 1)]
        if found:
            chosen, left_out = distinct(found, most)
            return Pictures(list(chosen), left_out, others)
    return Pictures(others=others, moving=moving)


def has_picture(message: Message) -> bool:
    """Whether `message` itself brings one, as a photo or as a file."""
    return bool(_sorted([message])[0])


async def candidates(bot: TelegramBot, sources: Sequence[File | Candidate]) -> list[Candidate | Exception]:
    """Where the bytes are, or why they cannot be had, in the order of `sources`."""
    files = iter(await asyncio.gather(*(_candidate(bot, source) for source in sources if isinstance(source, File))))
    return [next(files) if isinstance(source, File) else source for source in sources]


async def _candidate(bot: TelegramBot, source: File) -> Candidate | Exception:
    most = min(int(bot.app.params.network.max_mb * MIB), GET_FILE_MAX_BYTES)
    if source.size is not None and source.size > most:
        return FileTooLarge(most)
    try:
        path = (await bot.api.get_file(source.id)).file_path or ""
    except BadRequest as error:
        if "too big" in str(error).lower():
            return FileTooLarge(most)
        return ConnectionFailed("Telegram does not have the file any more", retriable=False)
    except TelegramError as error:
        return ConnectionFailed(bot.redacted(f"Telegram did not say where the file is: {error}"))
    if not path.startswith(("https://", "http://")):  # a Bot API server with --local, which serves no files
        _log.error("telegram.api_url: the server names a file on its own disk; start it without --local")
        return ConnectionFailed("the Bot API server serves no files", retriable=False)
    return Candidate(path, source.name, source.size, recompressed=source.recompressed)


def _sorted(parts: Sequence[Message | ExternalReplyInfo | None]) -> tuple[list[File], int, bool]:
    """The pictures; how many files are none; whether one of those moves."""
    files: list[File] = []
    others, moving = 0, False
    for part in parts:
        if part is None:
            continue
        if part.photo:
            files.append(_of_photo(part.photo))
        elif part.animation or part.video or part.video_note:
            others, moving = others + 1, True
        elif part.document:
            if looks_like_picture(part.document.file_name or "", part.document.mime_type):
                files.append(_of_document(part.document))
            else:
                others += 1
        elif part.audio or part.voice:
            others += 1
    return files, others, moving


def _of_photo(sizes: Sequence[PhotoSize]) -> File:
    largest = max(sizes, key=lambda size: size.width * size.height)
    return File(largest.file_id, largest.file_unique_id, "photo.jpg", largest.file_size, recompressed=True)


def _of_document(document: Document) -> File:
    return File(document.file_id, document.file_unique_id, document.file_name or "photo", document.file_size)


def _links(message: Message, most: int) -> Iterator[str]:
    """What stands in the text, and what hides behind words of it."""
    hidden = [entity.url for entity in (*message.entities, *message.caption_entities) if entity.url]
    links: list[str | None] = [MessageEntity.URL]
    shown = (*message.parse_entities(links).values(), *message.parse_caption_entities(links).values())
    bare = [text if "://" in text else f"https://{text}" for text in shown]  # Telegram takes example.org/a.jpg for one
    for text in (*hidden, *bare, message.text or "", message.caption or ""):
        yield from links_in(text, most)
