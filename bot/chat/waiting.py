"""Waiting in a queue together with others: in the order of asking, and with news now and then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakValueDictionary

from bot.worker import Checked, Ticket

_TURN_S = 3.0  # that a quick download, or an answer, waits for a slow one that was asked for before in the same place
_LONGEST_TURN_S = 30.0  # for one that is being sent
_FIRST_NEWS_S = 1.0  # a shorter wait is not worth a word
_NEWS_EVERY_S = 2.5
_WORTH_A_WORD = 0.7  # of the place that was told last: some ten words from the sixtieth place to the first

Progress: TypeAlias = Callable[[int], Awaitable[None]]


class Turns:
    """Keeps an order in each place: what was asked for first is queued first, and answered first."""

    def __init__(self) -> None:
        self._last: dict[object, Turn] = {}

    def take(self, place: object = None) -> Turn:
        """The turn after those that were taken in `place` before."""
        turn = Turn(self._last.get(place), lambda: self._forget(place, turn))
        self._last[place] = turn
        return turn

    def _forget(self, place: object, turn: Turn) -> None:
        if self._last.get(place) is turn:
            del self._last[place]


@dataclass(frozen=True)
class Spot:
    """A request's turn to ask, and its turn to be answered."""

    asking: Turn
    saying: Turn


class Order:
    """Requests ask, and are answered, in the order in which they came, place by place."""

    def __init__(self) -> None:
        self._asking = Turns()
        self._saying = Turns()

    @contextmanager
    def spot(self, place: object) -> Iterator[Spot]:
        """A spot behind all that were taken before; enter it before anything is waited for."""
        spot = Spot(self._asking.take(place), self._saying.take(place))
        try:
            yield spot
        finally:
            spot.asking.pass_on()
            spot.saying.pass_on()


class Turn:
    """One's place in an order; who has taken it must pass it on, whatever happens."""

    def __init__(self, before: Turn | None, passed_on: Callable[[], None]) -> None:
        self._before = before
        self._passed_on = passed_on
        self._has_come = asyncio.Event()
        self._passed = asyncio.Event()

    async def come(self) -> None:
        """Wait until the one before has passed on; not for long where that one has not come yet."""
        self._has_come.set()
        if self._before is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._before._has_come.wait(), _TURN_S)
                await asyncio.wait_for(self._before._passed.wait(), _LONGEST_TURN_S)
            self._before = None  # or all that ever waited would be kept, a chain of them

    def pass_on(self) -> None:
        """The next may come."""
        self._has_come.set()
        self._passed.set()
        self._before = None
        self._passed_on()


class Shares:
    """`most` at once for each key, those of a key in their order."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._semaphores: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Semaphore:
        """To be entered."""
        return self._semaphores.setdefault(key, asyncio.Semaphore(self._most))


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
