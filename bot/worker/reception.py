"""Where pictures are handed in, whoever looks at them: bounded, fair, and each answered exactly once."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Protocol

from bot.params import WorkerParams
from bot.worker.errors import CLOSED, DOWN, FULL, DeskClosed, DeskError, DetectorFailed, QueueFull, Withdrawn
from bot.worker.fair_queue import FairQueue
from bot.worker.requests import Asker, Checked, Want
from bot.worker.ticket import Ticket
from infra.images import ImageRefused
from model_defs.checkpoint import Card

# Of all pictures without an answer: a hundred photos as cameras make them are 400 MB, a hundred of the largest 3 GB.
_MAX_BYTES = 512 * 2**20


class Desk(Protocol):
    """What answers need of whoever looks at pictures.

    card: of the model that answers now. waiting: pictures that wait for their turn. is_healthy: whether pictures are
    taken and looked at. restarts: how often whoever looks had to be replaced, or came back.
    """

    @property
    def card(self) -> Card: ...

    @property
    def waiting(self) -> int: ...

    @property
    def is_healthy(self) -> bool: ...

    @property
    def restarts(self) -> int: ...

    def submit(self, data: bytes, asker: Asker, want: Want | None = None) -> Ticket: ...

    async def check(self, data: bytes, asker: Asker, want: Want | None = None) -> Checked: ...

    async def drain(self, timeout_s: float) -> bool: ...


class Reception(ABC):
    """Tickets and their queue; who looks at the pictures is the subclass's to say.

    answered, refused (pictures that are no good), failed: how many since the start. observe: called with "wait_s" (from
    a request to whoever looks) and "answer_s" (to its answer), in seconds.
    """

    card: Card

    def __init__(self, worker: WorkerParams, observe: Callable[[str, float], None] | None = None) -> None:
        self.answered = self.refused = self.failed = 0
        self._observe = observe or (lambda _name, _seconds: None)
        self._queue: FairQueue[Ticket] = FairQueue(worker.queue, worker.per_user, worker.per_server)
        self._open: dict[int, Ticket] = {}  # all without an answer
        self._bytes = 0  # of those
        self._number = 0
        self._closed: DeskError | None = DeskClosed(CLOSED)
        self._is_placing = False
        self._empty = asyncio.Event()

    def submit(self, data: bytes, asker: Asker, want: Want | None = None) -> Ticket:
        """Hand in the bytes of a picture; never blocks.

        Raises QueueFull, TooManyWaiting, DeskClosed; DetectorFailed while nobody is there to look at it.
        """
        if self._closed is not None:
            raise self._closed
        if self._is_down:
            raise DetectorFailed(DOWN)
        if self._bytes + len(data) > _MAX_BYTES:
            raise QueueFull(FULL)
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
        self._closed = self._closed or DeskClosed(CLOSED)
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
        return len(self._queue)

    @property
    @abstractmethod
    def is_healthy(self) -> bool:
        """Whether pictures are taken and looked at."""

    @property
    @abstractmethod
    def restarts(self) -> int:
        """How often whoever looks had to be replaced, or came back."""

    @property
    @abstractmethod
    def _is_down(self) -> bool:
        """Whether nobody has been there to look for so long that nothing is taken."""

    @abstractmethod
    def _give(self) -> None:
        """Give whoever looks what it may hold now; called whenever a ticket came, or one was answered."""

    def _in_line(self) -> Iterable[Ticket]:
        """All that wait, the next one first."""
        return self._queue

    def _hand_out(self) -> None:
        self._give()
        if not self._is_placing:  # once for all that happens in this turn of the loop
            self._is_placing = True
            asyncio.get_running_loop().call_soon(self._place)

    def _begin(self, ticket: Ticket) -> None:
        """The ticket's turn has come."""
        if not ticket.is_suspect:
            self._observe("wait_s", time.monotonic() - ticket.submitted)
        ticket.place(0)

    def _place(self) -> None:
        self._is_placing = False
        for position, ticket in enumerate(self._in_line(), start=1):
            ticket.place(position)

    def _close(self) -> None:
        """Take nothing more, and tell all that wait."""
        self._closed = DeskClosed(CLOSED)
        self._settle_all(self._closed)

    def _settle_all(self, reason: DeskError) -> None:
        for ticket in list(self._open.values()):
            ticket.settle(reason)

    def _settled(self, ticket: Ticket, outcome: Checked | Exception) -> None:
        """Counts, and forgets. Room has come free, with whoever looks or in the queue."""
        del self._open[ticket.number]
        self._bytes -= ticket.size
        self._forget(ticket)
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

    def _forget(self, ticket: Ticket) -> None:
        """The ticket waits no longer."""
        self._queue.remove(ticket, ticket.asker)
