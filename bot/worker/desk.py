"""The desk where pictures are handed in: bounded, fair, and each answered exactly once, whatever the process does."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from bot.params import BotParams
from bot.words import later
from bot.worker.errors import DeskClosed, DeskError, DetectorFailed, QueueFull, Withdrawn
from bot.worker.fair_queue import FairQueue
from bot.worker.keeper import PATIENCE, Keeper
from bot.worker.nursery import Nursery
from bot.worker.process import WorkerProcess
from bot.worker.requests import Asker, Checked, Want
from bot.worker.ticket import Ticket
from infra.errors import UserError
from infra.images import ImageRefused
from model_defs.checkpoint import Card

# Of all pictures without an answer: a hundred photos as cameras make them are 400 MB, a hundred of the largest 3 GB.
_MAX_BYTES = 512 * 2**20
_DEATHS = 2  # processes that end while they hold one picture alone; then it is the picture's fault

_CLOSED = later("I am being restarted. Try again in a minute.")
_FULL = later("There is more waiting than I can hold. Try again in a minute.")
_DIED = later("I cannot look at this picture: the detector breaks down over it each time. Saving it anew may help.")
_DOWN = later("The detector is not working at the moment. Try again in a few minutes.")


class DetectorDesk:
    """Takes pictures while it is entered.

    Entering waits until a process is ready, and raises NoChampion, DatabaseError, BundleError or StartFailed. Leaving
    ends the process and answers whatever still waits with DeskClosed; `drain` lets it finish first.

    card: of the model that answers now. answered, refused (pictures that are no good), failed: how many since the
    start. observe: called with "wait_s" (from a request to its process) and "answer_s" (to its answer), in seconds.
    nursery: where processes come from, when several desks are to share one; it outlives them. None: one of its own.
    """

    card: Card

    def __init__(
        self,
        params: BotParams,
        observe: Callable[[str, float], None] | None = None,
        nursery: Nursery | None = None,
    ) -> None:
        self.answered = self.refused = self.failed = 0
        self._batch = params.worker.batch
        self._observe = observe or (lambda _name, _seconds: None)
        worker = params.worker
        self._queue: FairQueue[Ticket] = FairQueue(worker.queue, worker.per_user, worker.per_server)
        self._again: deque[Ticket] = deque()  # held by a process that died: looked at one by one, before all others
        self._open: dict[int, Ticket] = {}  # all without an answer
        self._bytes = 0  # of those
        self._number = 0
        self._closed: DeskError | None = DeskClosed(_CLOSED)
        self._is_placing = False
        self._keeper = Keeper(params, self._take_answer, self._has_taken_charge, self._retry, self._give_up, nursery)

    async def __aenter__(self) -> Self:
        self._empty = asyncio.Event()
        await self._keeper.open()
        self._closed = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed = DeskClosed(_CLOSED)
        self._settle_all(self._closed)
        await self._keeper.close()

    def submit(self, data: bytes, asker: Asker, want: Want | None = None) -> Ticket:
        """Hand in the bytes of a picture; never blocks.

        Raises QueueFull, TooManyWaiting, DeskClosed; DetectorFailed while no process can be started.
        """
        if self._closed is not None:
            raise self._closed
        if self._keeper.failed_starts >= PATIENCE:
            raise DetectorFailed(_DOWN)
        if self._bytes + len(data) > _MAX_BYTES:
            raise QueueFull(_FULL)
        ticket = Ticket(self._number + 1, data, asker, want or Want(), self._settled)
        self._queue.put(ticket, asker)
        self._number += 1
        self._open[ticket.number] = ticket
        self._bytes += ticket.size
        self._empty.clear()
        self._hand_out()
        return ticket

    async def check(self, data: bytes, asker: Asker, want: Want | None = None) -> Checked:
        """Hand in and wait; raises what `submit` and `Ticket.answer` raise. When cancelled, nothing goes on."""
        ticket = self.submit(data, asker, want)
        try:
            return await ticket.answer()
        finally:
            ticket.cancel()

    async def drain(self, timeout_s: float) -> bool:
        """Take nothing more, and wait for what is there; whether all of it was answered in time."""
        self._closed = self._closed or DeskClosed(_CLOSED)
        if not self._open:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    @property
    def waiting(self) -> int:
        """Pictures that wait for their turn."""
        return len(self._queue) + len(self._again)

    @property
    def is_healthy(self) -> bool:
        """Whether pictures are taken, and a process answers or is on its way."""
        return self._closed is None and self._keeper.failed_starts == 0 and self._keeper.is_keeping

    @property
    def pids(self) -> tuple[int, ...]:
        """The process in charge, and those before it that finish what they hold."""
        return self._keeper.pids

    @property
    def restarts(self) -> int:
        """How often a process that died or hung was replaced."""
        return self._keeper.restarts

    @property
    def reloads(self) -> int:
        """How often a new champion took over."""
        return self._keeper.reloads

    def _hand_out(self) -> None:
        """Give the process what it may hold: a batch, or one picture that it may die of."""
        worker = self._keeper.current
        while worker is not None and worker.is_open and self.waiting and self._has_room(worker):
            ticket = self._again.popleft() if self._again else self._queue.take()
            if not ticket.is_suspect:
                self._observe("wait_s", time.monotonic() - ticket.submitted)
            ticket.place(0)
            worker.deliver(ticket)
        if not self._is_placing:  # once for all that happens in this turn of the loop
            self._is_placing = True
            asyncio.get_running_loop().call_soon(self._place)

    def _has_room(self, worker: WorkerProcess) -> bool:
        if self._again or any(ticket.is_suspect for ticket in worker.held.values()):
            return not worker.held
        return len(worker.held) < self._batch

    def _place(self) -> None:
        self._is_placing = False
        for position, ticket in enumerate([*self._again, *self._queue], start=1):
            ticket.place(position)

    def _take_answer(self, ticket: Ticket, outcome: Checked | UserError) -> None:
        ticket.settle(outcome)
        self._hand_out()  # also where nobody wanted the answer any more

    def _has_taken_charge(self, worker: WorkerProcess) -> None:
        self.card = worker.card
        self._hand_out()

    def _retry(self, dead: WorkerProcess) -> None:
        """A process is gone: what it held is looked at again, unless it is plain what it died of."""
        alone = len(dead.held) == 1
        saved = []
        for ticket in dead.held.values():
            ticket.is_suspect = True
            ticket.died_alone += alone
            if ticket.died_alone >= _DEATHS:
                ticket.settle(DetectorFailed(_DIED))
            elif not ticket.is_done:
                saved.append(ticket)
        self._again.extendleft(reversed(saved))
        self._hand_out()

    def _give_up(self) -> None:
        self._settle_all(DetectorFailed(_DOWN))

    def _settle_all(self, reason: DeskError) -> None:
        for ticket in list(self._open.values()):
            ticket.settle(reason)

    def _settled(self, ticket: Ticket, outcome: Checked | Exception) -> None:
        """Counts, and forgets. Room has come free, in the process or in the queue."""
        del self._open[ticket.number]
        self._bytes -= ticket.size
        if ticket in self._again:
            self._again.remove(ticket)
        else:
            self._queue.remove(ticket, ticket.asker)
        if isinstance(outcome, Checked):
            self.answered += 1
            self._observe("answer_s", time.monotonic() - ticket.submitted)
        elif isinstance(outcome, ImageRefused):
            self.refused += 1
        elif not isinstance(outcome, Withdrawn):
            self.failed += 1
        if not self._open:
            self._empty.set()
        self._hand_out()
