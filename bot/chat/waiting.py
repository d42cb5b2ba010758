"""Waiting in a queue together with others: in the order of asking, and with news now and then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from bot.worker import Checked, Ticket

_TURN_S = 1.0  # that a quick download waits for a slow one that was asked for before
_FIRST_NEWS_S = 1.0  # a shorter wait is not worth a word
_NEWS_EVERY_S = 2.5
_WORTH_A_WORD = 0.7  # of the place that was told last: some ten words from the sixtieth place to the first

Progress: TypeAlias = Callable[[int], Awaitable[None]]


class Turn:
    """Pictures are queued in the order in which they were asked for, not in that in which they arrive."""

    def __init__(self, before: asyncio.Event) -> None:
        self._before = before
        self.passed = asyncio.Event()

    async def come(self) -> None:
        """Wait for those before, but not for long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._before.wait(), _TURN_S)

    def pass_on(self) -> None:
        """The next may come."""
        self.passed.set()


class Place:
    """Where the pictures of one request stand, told by `progress` now and then."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._next_news = time.monotonic() + _FIRST_NEWS_S
        self._told: int | None = None

    async def follow(self, ticket: Ticket) -> Checked:
        """The ticket's answer, with news on the way; withdraws the ticket when nobody waits for it any more."""
        answer = asyncio.ensure_future(ticket.answer())
        try:
            while not answer.done() and self._progress is not None:
                await asyncio.wait({answer}, timeout=max(0.1, self._next_news - time.monotonic()))
                if not answer.done() and time.monotonic() >= self._next_news:
                    self._next_news = time.monotonic() + _NEWS_EVERY_S
                    if ticket.position and ticket.position <= _WORTH_A_WORD * (self._told or float("inf")):
                        self._told = ticket.position
                        await self._progress(ticket.position)
            return await answer
        except asyncio.CancelledError:
            ticket.cancel()
            raise
