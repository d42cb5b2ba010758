"""Leaderboards and a player's own statistics, as every platform shows them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from bot.chat.app import App
from bot.quiz.pictures import stats_alt, stats_picture
from bot.quiz.stats import Stats, stats_of
from bot.quiz.stats_texts import leaderboard, stats
from bot.quiz.texts import Block
from bot.records import Account, Standing
from bot.words import Words

Scope: TypeAlias = Literal["server", "everyone", "today"]

_SHOWN = 10


@dataclass(frozen=True)
class Board:
    """A leaderboard: the best, and below them whoever asked where not among them. server: of a server's alone.

    least: from so many answers on somebody is on it.
    """

    scope: Scope
    server: str | None
    least: int
    standings: tuple[Standing, ...]

    def said(self, t: Words) -> Block:
        """The board in words."""
        if self.scope == "today":
            title = t("Today's set")
        else:
            title = t("The best here") if self.server else t("The best of all")
        return leaderboard(t, title, self.standings, self.least, str, is_daily=self.scope == "today")


@dataclass(frozen=True)
class OwnStats:
    """picture: a PNG, alt: the same in words; None and empty before the first answer."""

    block: Block
    picture: bytes | None
    alt: str


async def board(app: App, account: Account, place: str | None, scope: Scope, faces: int, t: Words) -> Block:
    """What `ranked` gives, in words."""
    return (await ranked(app, account, place, scope, faces)).said(t)


async def ranked(app: App, account: Account, place: str | None, scope: Scope, faces: int) -> Board:
    """A leaderboard; `account` is shown below it when not on it. place: where it was asked for; alone with somebody a
    server's is everybody's. faces: of the daily set; who has played all of them is on today's. Raises DatabaseError.
    """
    server = f"{account.platform}:{place}" if scope == "server" and place else None
    least = faces if scope == "today" else app.params.quiz.min_answers
    return Board(scope, server, least, tuple(await asyncio.to_thread(_standings, app, account, server, scope, least)))


async def figures(app: App, account: Account) -> Stats:
    """What a player has done so far. Raises DatabaseError."""
    return await asyncio.to_thread(_figures, app, account)


async def own_stats(app: App, account: Account, t: Words) -> OwnStats:
    """Raises DatabaseError."""
    return await asyncio.to_thread(_own_stats, app, account, t)


def _own_stats(app: App, account: Account, t: Words) -> OwnStats:
    found = _figures(app, account)
    block = stats(t, found)
    if not found.right.of:
        return OwnStats(block, None, "")
    return OwnStats(block, stats_picture(t, found), stats_alt(t, found))


def _figures(app: App, account: Account) -> Stats:
    return stats_of(app.records.answers(account))


def _standings(app: App, account: Account, server: str | None, scope: Scope, least: int) -> list[Standing]:
    if scope == "today":
        today = datetime.now(UTC).date()
        return app.records.daily_standings(today, None, min_answers=least, limit=_SHOWN, you=account)
    return app.records.leaderboard(server, min_answers=least, limit=_SHOWN, you=account)
