"""Leaderboards and a player's own statistics, as every platform shows them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from bot.chat.app import App
from bot.quiz.pictures import stats_alt, stats_picture
from bot.quiz.stats import stats_of
from bot.quiz.stats_texts import leaderboard, stats
from bot.quiz.texts import Block
from bot.records import Account
from bot.words import Words

Scope: TypeAlias = Literal["server", "everyone", "today"]

_SHOWN = 10


@dataclass(frozen=True)
class OwnStats:
    """picture: a PNG, alt: the same in words; None and empty before the first answer."""

    block: Block
    picture: bytes | None
    alt: str


async def board(app: App, account: Account, place: str | None, scope: Scope, faces: int, t: Words) -> Block:
    """A leaderboard; `account` is shown below it when not on it. place: where it was asked for; alone with somebody a
    server's is everybody's. faces: of the daily set; who has played all of them is on today's. Raises DatabaseError.
    """
    records, params = app.records, app.params.quiz
    if scope == "today":
        today = datetime.now(UTC).date()
        found = await asyncio.to_thread(
            records.daily_standings, today, None, min_answers=faces, limit=_SHOWN, you=account
        )
        return leaderboard(t, t("Today's set"), found, faces, str, is_daily=True)
    server = f"{account.platform}:{place}" if scope == "server" and place else None
    found = await asyncio.to_thread(
        records.leaderboard, server, min_answers=params.min_answers, limit=_SHOWN, you=account
    )
    return leaderboard(t, t("The best here") if server else t("The best of all"), found, params.min_answers, str)


async def own_stats(app: App, account: Account, t: Words) -> OwnStats:
    """Raises DatabaseError."""
    return await asyncio.to_thread(_own_stats, app, account, t)


def _own_stats(app: App, account: Account, t: Words) -> OwnStats:
    found = stats_of(app.records.answers(account))
    block = stats(t, found)
    if not found.right.of:
        return OwnStats(block, None, "")
    return OwnStats(block, stats_picture(t, found), stats_alt(t, found))
