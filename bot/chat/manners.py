"""When the bot speaks, to whom, and in which language: decided alike on every platform."""

from __future__ import annotations

from datetime import datetime

from bot.records.settings import AUTO, PlaceSettings
from bot.words import LANGUAGES, Words, words


def may_answer_post(settings: PlaceSettings, channel: str, now: datetime, parent: str | None = None) -> bool:
    """Whether a picture that was merely posted in `channel` is answered: its admins opened it, and it is not quiet.

    parent: the channel that a thread belongs to, which opens its threads too. now: aware. Who asks, by a command, a
    mention or a reply, is answered everywhere and at any time.
    """
    is_open = channel in settings.channels or (parent is not None and parent in settings.channels)
    return is_open and not settings.is_quiet(now)


def is_private(settings: PlaceSettings, asked: bool | None = None) -> bool:
    """Whether only the asker sees the answer to a command. asked: what the asker chose, None for nothing."""
    return settings.ephemeral if asked is None else asked


def speaks(person: str | None, place: str | None, locale: str | None) -> Words:
    """The language to answer in: the person's own setting, else the place's, else that of the person's program.

    person, place: a code, `auto` or None for no wish. locale: a tag such as "de-AT".
    """
    wished = (code for code in (person, place) if code is not None and code != AUTO and code in LANGUAGES)
    return words(next(wished, locale))
