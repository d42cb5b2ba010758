"""Which pictures are meant, and their bytes: what is alike on every platform."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from bot.chat.refusals import FileTooLarge, NotAPictureLink
from bot.sources import SUFFIXES
from bot.words import Words
from infra.http import HttpClient, UnsafeUrl, parse_url
from infra.images import signatures

MIB = 2**20

# What may stand in a URL; quotes, brackets and marks of Markdown round it end it, and so does a control character.
_LINK = re.compile(r"https?://[^\s<>\"'`|\\^{}\x00-\x1f\x7f]+", re.IGNORECASE)
_TRAILING = ".,;:!?*_~…"
_BRACKETS = {")": "(", "]": "["}


@dataclass(frozen=True)
class Candidate:
    """A picture to be looked at. size: bytes, None where it is not known before the download.

    is_link: somebody wrote the URL, rather than the platform. recompressed: the platform's own copy, not the original.
    """

    url: str
    name: str
    size: int | None = None
    is_link: bool = False
    recompressed: bool = False


def looks_like_picture(name: str, content_type: str | None) -> bool:
    """Whether a file is worth a download: by its type as the platform has it; by its name where that says nothing."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind in ("", "application/octet-stream"):
        return PurePosixPath(name).suffix.lower() in SUFFIXES
    return kind.startswith("image/")


def links_in(text: str, most: int) -> list[str]:
    """The http(s) URLs in a message, each once, in their order, `most` of them; what is no clean URL is left out."""
    found: dict[str, None] = {}
    for match in _LINK.finditer(text):
        if len(found) == most:
            break
        try:
            found[str(parse_url(_without_punctuation(match[0])))] = None
        except UnsafeUrl:
            continue
    return list(found)


def link(url: str) -> Candidate:
    """What somebody's URL names."""
    return Candidate(url, PurePosixPath(url.partition("?")[0]).name or "photo", is_link=True)


def distinct(candidates: Iterable[Candidate], most: int) -> tuple[list[Candidate], int]:
    """Each URL once, in order, at most `most`; and how many were left out for that."""
    once: dict[str, Candidate] = {}
    for candidate in candidates:
        once.setdefault(candidate.url, candidate)
    return list(once.values())[:most], max(0, len(once) - most)


def left_out_note(left_out: int, t: Words) -> str:
    """Said with the answers when `distinct` left some out; empty when it did not."""
    if not left_out:
        return ""
    return t.n(
        "There was one picture more than I look at in one go; send it again.",
        "There were {count} pictures more than I look at in one go; send them again.",
        left_out,
    )


def others_note(others: int, t: Words) -> str:
    """Said with the answers when files that are no pictures came along; empty when none did."""
    if not others:
        return ""
    return t.n("One of them is no picture; I left it out.", "{count} of them are no pictures; I left them out.", others)


def check_size(size: int | None, max_bytes: int) -> None:
    """Before a download. Raises FileTooLarge."""
    if size is not None and size > max_bytes:
        raise FileTooLarge(max_bytes)


async def fetch(candidate: Candidate, http: HttpClient, max_bytes: int) -> bytes:
    """The bytes, through the guarded client. Raises FileTooLarge, HttpError, and NotAPictureLink for a link to
    something else.
    """
    check_size(candidate.size, max_bytes)
    body = (await http.get(candidate.url, max_bytes=max_bytes)).body
    if candidate.is_link and not (signatures.decoded_format(body) or signatures.other_image(body)):
        raise NotAPictureLink
    return body


def _without_punctuation(url: str) -> str:
    """The URL without the full stop, the bracket and the like that belong to the sentence round it."""
    while url:
        last = url[-1]
        opening = _BRACKETS.get(last)
        if last not in _TRAILING and (opening is None or url.count(last) <= url.count(opening)):
            return url
        url = url[:-1]
    return url
