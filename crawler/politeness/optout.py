"""Opt-outs that come with an answer: X-Robots-Tag and tdm-reservation in its header, meta elements in its page.

Which directives count, and why. Storing a picture to train a network on it is what these ask us not to do:

- `noai`, `noimageai` (DeviantArt, 2022) and `noml` (Mojeek, 2023): not for machine learning;
- `noindex`, `noimageindex`, `none` (= noindex, nofollow; Google's list): not to be kept in anybody's collection.
  img2dataset refuses the same but for `none` and `noml`;
- `unavailable_after: DATE` once the date has passed (Google's list);
- `tdm-reservation: 1` (W3C TDMRep, final report of 10 May 2024).

`nofollow`, `noarchive`, `nosnippet` and the like say how a search engine may show a page, and do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from selectolax.lexbor import LexborHTMLParser

OPT_OUT_DIRECTIVES = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none", "noml"})

_TDM = "tdm-reservation"
_EXPIRY = "unavailable_after"
# Directives with a value behind a colon; `max-image-preview: none` is not `none`.
_VALUED = frozenset({_EXPIRY, "max-snippet", "max-image-preview", "max-video-preview"})
_BOT = re.compile(r"[^\s:;]+")
_WEEKDAY = re.compile(r"[A-Za-z]{3,9}")


class _Headed(Protocol):
    def header_values(self, name: str) -> Sequence[str]: ...


def opted_out(response: _Headed, user_agent_token: str, *, now: datetime | None = None) -> str | None:
    """The directive in the header of `response` that keeps it out of a dataset, such as `noai`; None if none does.

    `X-Robots-Tag` may be repeated; each is a comma list, and `botname:` scopes what follows it up to the next name.
    What is unscoped, for `*` or for `user_agent_token` counts, in any case of letters. `now`: aware, default the clock.
    """
    for value in response.header_values("X-Robots-Tag"):
        if reason := _directive_in(value, user_agent_token, now):
            return reason
    if any(value.strip() == "1" for value in response.header_values(_TDM)):
        return _TDM
    return None


def page_opted_out(
    page: bytes | str | LexborHTMLParser, user_agent_token: str, *, now: datetime | None = None
) -> str | None:
    """The directive in a page's `<meta name="robots" | our token | "tdm-reservation">`; None if none opts out.

    `page`: HTML, bytes in the encoding that they declare, or its tree when the caller has parsed it already. An opt-out
    of the page is read as one of the pictures that it shows, which have no meta element of their own.
    """
    tree = page if isinstance(page, LexborHTMLParser) else LexborHTMLParser(page, encoding=isinstance(page, bytes))
    for meta in tree.css("meta[name]"):
        attributes = meta.attributes
        name = (attributes.get("name") or "").strip().lower()
        content = attributes.get("content") or ""
        if name == _TDM and content.strip() == "1":
            return _TDM
        if name in ("robots", user_agent_token.lower()) and (reason := _directive_in(content, user_agent_token, now)):
            return reason
    return None


def _directive_in(value: str, token: str, now: datetime | None) -> str | None:
    """The first directive of one X-Robots-Tag value that counts for us."""
    for scope, directive, argument in _directives(value):
        if scope not in ("*", token.lower()):
            continue
        if directive in OPT_OUT_DIRECTIVES:
            return directive
        if directive == _EXPIRY:
            expiry = _date(argument)
            if expiry is not None and expiry <= (now or datetime.now(UTC)):
                return directive
    return None


def _directives(value: str) -> Iterator[tuple[str, str, str]]:
    """(scope, directive, argument) of each directive in `value`, in lower case but for the argument."""
    scope = "*"
    parts = iter(value.split(","))
    for part in parts:
        rest = part
        while True:  # `bot: unavailable_after: DATE` has two colons that mean something
            name, colon, after = (piece.strip() for piece in rest.partition(":"))
            if colon and name.lower() in _VALUED:
                if name.lower() == _EXPIRY and _WEEKDAY.fullmatch(after):  # `Wed, 03 Dec 2025`: a comma of the date
                    after = f"{after}, {next(parts, '')}"
                yield scope, name.lower(), after
            elif colon and _BOT.fullmatch(name):
                scope = name.lower().split("/")[0]  # without a version
                rest = after
                continue
            elif not colon:  # a list that was meant with blanks or semicolons is still meant
                yield from ((scope, word, "") for word in re.split(r"[\s;]+", rest.lower()))
            break


def _date(text: str) -> datetime | None:
    """A date of RFC 822, RFC 850 or ISO 8601, in UTC where it names no zone; None when it is none."""
    text = text.strip()
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None
