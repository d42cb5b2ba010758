"""The desk before a worker process of its own: each picture is answered exactly once, whatever the process does."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from bot.params import BotParams
from bot.worker.errors import DOWN, DetectorFailed, DiedOfPicture
from bot.worker.keeper import PATIENCE, Keeper
from bot.worker.nursery import Nursery
from bot.worker.process import WorkerProcess
from bot.worker.reception import Reception
from bot.worker.requests import Checked
from bot.worker.ticket import Ticket
from infra.errors import UserError

_DEATHS = 2  # processes that end while they hold one picture alone; then it is the picture's fault
_HELD = 2  # batches with the process: one is judged while the next is decoded


class DetectorDesk(Reception):
    """Takes pictures while it is entered.

    Entering waits until a process is ready, and raises NoChampion, DatabaseError, BundleError or StartFailed. Leaving
    ends the process and answers whatever still waits with DeskClosed; `drain` lets it finish first.

    nursery: where processes come from, when several desks are to share one; it outlives them. None: one of its own.
    """

    def __init__(
        self,
        params: BotParams,
        observe: Callable[[str, float], None] | None = None,
        nursery: Nursery | None = None,
    ) -> None:
        super().__init__(params.worker, observe)
        self._batch = params.worker.batch
        self._again: deque[Ticket] = deque()  # held by a process that died: looked at one by one, before all others
        self._keeper = Keeper(params, self._take_answer, self._has_taken_charge, self._retry, self._give_up, nursery)

    async def __aenter__(self) -> Self:
        await self._keeper.open()
        self._closed = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()
        await self._keeper.close()

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

    @property
    def _is_down(self) -> bool:
        return self._keeper.failed_starts >= PATIENCE

    def _give(self) -> None:
        """Give the process what it may hold: enough that it never idles, or one picture that it may die of."""
        worker = self._keeper.current
        while worker is not None and worker.is_open and self.waiting and self._has_room(worker):
            try:
                ticket = self._again.popleft() if self._again else self._queue.take(self._have_enough(worker))
            except IndexError:
                return
            self._begin(ticket)
            worker.deliver(ticket)

    def _in_line(self) -> Iterable[Ticket]:
        return (*self._again, *self._queue)

    def _has_room(self, worker: WorkerProcess) -> bool:
        if self._again or any(ticket.is_suspect for ticket in worker.held.values()):
            return not worker.held
        return len(worker.held) < _HELD * self._batch

    def _have_enough(self, worker: WorkerProcess) -> set[str]:
        """Who has all of a batch with the process: the rest is for others, who come past one's large pictures."""
        held = Counter(ticket.asker.user for ticket in worker.held.values())
        return {user for user, count in held.items() if count >= self._batch}

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
                ticket.settle(DiedOfPicture())
            elif not ticket.is_done:
                saved.append(ticket)
        if (
            alone
        ):  # behind the others: a process killed for reasons of its own twice in a row is not one picture's fault
            self._again.extend(saved)
        else:
            self._again.extendleft(reversed(saved))
        self._hand_out()

    def _give_up(self) -> None:
        self._settle_all(DetectorFailed(DOWN))

    def _forget(self, ticket: Ticket) -> None:
        if ticket in self._again:
            self._again.remove(ticket)
        else:
            super()._forget(ticket)
