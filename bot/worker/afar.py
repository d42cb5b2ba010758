"""A desk whose pictures are looked at elsewhere: what is lost on the way is sent again, for a while."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from bot.params import BotParams
from bot.worker.errors import DOWN, FULL, DeskError, DetectorFailed, DiedOfPicture, QueueFull, Stumbled
from bot.worker.reception import Reception
from bot.worker.requests import Checked, Want
from bot.worker.ticket import Ticket
from infra.errors import UserError
from model_defs.checkpoint import Card

_UNDER_WAY = 32  # pictures; the others wait here, where turns are fair between people
_PATIENCE_S = 30.0  # a server that is started anew is there after ten
_BACKOFF_S = (0.1, 2.0)  # between tries: the first, and the longest, after doubling
_NEWS_S = 10.0  # for an answer about the card
_ASK_AGAIN_S = 0.5  # for news, of one who did not answer
_DEATHS = 2  # of whoever looked, with one picture that is under suspicion: then it is the picture's fault

log = logging.getLogger("bot.worker")


class Away(Exception):  # noqa: N818 – says what is so
    """No answer this time; another try is worth it.

    reason: for the log. is_busy: there is one who would answer, with too much to do. after_s: how long to wait. died:
    whoever looked at this picture ended meanwhile.
    """

    def __init__(self, reason: str, *, is_busy: bool = False, after_s: float = 0.0, died: bool = False) -> None:
        super().__init__(reason)
        self.is_busy = is_busy
        self.after_s = after_s
        self.died = died


class DetectorAway(UserError):  # noqa: N818
    """Nobody looks at pictures where `detector` says."""


class FarDesk(Reception):
    """Takes pictures while it is entered; entering raises DetectorAway. Leaving answers what waits with DeskClosed.

    Of a champion that changed there the card is here soon, within `worker.reload_s`. patience_s: that a picture, and
    then everybody, waits for one who does not answer.
    """

    def __init__(
        self,
        params: BotParams,
        observe: Callable[[str, float], None] | None = None,
        patience_s: float | None = None,
    ) -> None:
        super().__init__(params.worker, observe)
        self._patience_s = _PATIENCE_S if patience_s is None else patience_s
        self.reloads = 0
        self._returns = 0
        self._reload_s = params.worker.reload_s
        self._carriers: dict[int, asyncio.Task[None]] = {}  # of tickets under way
        self._suspects = asyncio.Lock()
        self._away_since: float | None = None
        self._is_well = True
        self._is_wanted = asyncio.Event()  # news

    @abstractmethod
    async def _look(self, data: bytes, want: Want) -> Checked | UserError:
        """What became of a picture. Raises Away; any UserError is an answer."""

    @abstractmethod
    async def _news(self) -> tuple[Card, bool]:
        """The card of the model that answers now, and whether all is well there. Raises Away, or DetectorAway."""

    async def __aenter__(self) -> Self:
        try:
            self.card, self._is_well = await self._news()
        except Away as away:
            raise DetectorAway(str(away)) from None
        self._closed = None
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        carriers = list(self._carriers.values())
        self._close()
        self._watching.cancel()
        await asyncio.gather(self._watching, *carriers, return_exceptions=True)

    @property
    def is_healthy(self) -> bool:
        """Whether pictures are taken, and looked at there."""
        return self._closed is None and self._away_since is None and self._is_well

    @property
    def restarts(self) -> int:
        """How often whoever looks was away, and came back."""
        return self._returns

    @property
    def _is_down(self) -> bool:
        return self._away_since is not None and time.monotonic() - self._away_since > self._patience_s

    def _give(self) -> None:
        while self._queue and len(self._carriers) < _UNDER_WAY:
            ticket = self._queue.take()
            self._begin(ticket)
            self._carriers[ticket.number] = asyncio.get_running_loop().create_task(self._carry(ticket))

    def _forget(self, ticket: Ticket) -> None:
        carrier = self._carriers.pop(ticket.number, None)
        if carrier is None:
            super()._forget(ticket)
        elif carrier is not asyncio.current_task():
            carrier.cancel()

    async def _carry(self, ticket: Ticket) -> None:
        """Until there is an answer, or no hope of one."""
        first, longest = _BACKOFF_S
        delay, began = first, 0.0
        while not ticket.is_done:
            try:
                ticket.settle(await self._looked(ticket))
            except Away as away:
                began = began or time.monotonic()
                self._is_wanted.set()
                if time.monotonic() + away.after_s - began > self._patience_s:
                    log.warning("a picture was not looked at: %s", away)
                    ticket.settle(_said(away))
                    return
                if self._is_to_blame(ticket, away):
                    ticket.settle(DiedOfPicture())
                    return
                await asyncio.sleep(max(away.after_s, delay * random.uniform(0.5, 1)))
                delay = min(2 * delay, longest)
            except UserError as error:
                log.error("%s", error)
                ticket.settle(Stumbled())
            except Exception:
                log.exception("a picture could not be looked at")
                ticket.settle(Stumbled())

    async def _looked(self, ticket: Ticket) -> Checked | UserError:
        if not ticket.is_suspect:
            return await self._look(ticket.data, ticket.want)
        async with self._suspects:
            return await self._look(ticket.data, ticket.want)

    def _is_to_blame(self, ticket: Ticket, away: Away) -> bool:
        ticket.died_alone += away.died and ticket.is_suspect
        ticket.is_suspect |= away.died
        return ticket.died_alone >= _DEATHS

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_wanted.wait(), self._reload_s)
            self._is_wanted.clear()
            try:
                async with asyncio.timeout(_NEWS_S):
                    card, self._is_well = await self._news()
            except (Away, UserError, TimeoutError) as error:
                self._has_gone(str(error) or "no answer in time")
                await asyncio.sleep(_ASK_AGAIN_S)
                self._is_wanted.set()
            except Exception:
                log.exception("there is no telling whether the detector is well")
                await asyncio.sleep(_ASK_AGAIN_S)
            else:
                self._has_come(card)
                await asyncio.sleep(_ASK_AGAIN_S)  # of many whose connections broke the first has asked for all

    def _has_gone(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("%s", reason)
        elif self._is_down and self._open:
            self._settle_all(DetectorFailed(DOWN))

    def _has_come(self, card: Card) -> None:
        if self._away_since is not None:
            self._away_since = None
            self._returns += 1
            log.info("the detector answers again")
        if card != self.card:
            self.reloads += 1
            log.info("a new champion answers: %s", card.id)
        self.card = card


def _said(away: Away) -> DeskError:
    return QueueFull(FULL) if away.is_busy else DetectorFailed(DOWN)
