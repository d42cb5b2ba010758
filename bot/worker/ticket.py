"""One picture's way through the queue: where it stands, and its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bot.words import later
from bot.worker.errors import Withdrawn
from bot.worker.requests import Asker, Checked, Want

_WITHDRAWN = later("This was called off.")


class Ticket:
    """Handed out by the desk. `data` is let go with the answer: nobody who keeps a ticket keeps a picture."""

    def __init__(
        self,
        number: int,
        data: bytes,
        asker: Asker,
        want: Want,
        settled: Callable[[Ticket, Checked | Exception], None],
    ) -> None:
        self.number = number
        self.data = data
        self.asker = asker
        self.want = want
        self.size = len(data)
        self.submitted = time.monotonic()
        self.died_alone = 0  # how many processes ended while they held this picture and no other
        self.is_suspect = False  # a process ended while it held this picture
        self._position = 0
        self._settled = settled
        loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Checked] = loop.create_future()
        self._move: asyncio.Future[None] = loop.create_future()

    @property
    def position(self) -> int:
        """0: being looked at, or done; n: the n-th that waits."""
        return self._position

    @property
    def is_done(self) -> bool:
        """Whether there is an answer, an error or nobody to answer to."""
        return self._answer.done()

    async def moved(self) -> int:
        """Waits until the position is another, and gives that; 0 at once when it is 0."""
        if self._position:
            await asyncio.shield(self._move)
        return self._position

    async def answer(self) -> Checked:
        """The answer. Raises ImageRefused for a picture that is no good, or a DeskError."""
        return await asyncio.shield(self._answer)

    def cancel(self) -> None:
        """Nobody wants the answer any more; `answer` raises Withdrawn. Nothing happens when it is there already."""
        self.settle(Withdrawn(_WITHDRAWN))

    def settle(self, outcome: Checked | Exception) -> None:
        """For the desk: the answer, or why there is none. Only the first counts."""
        if self._answer.done():
            return
        if isinstance(outcome, Exception):
            self._answer.set_exception(outcome)
            self._answer.exception()  # retrieved: who never asks for the answer gets no complaint from asyncio either
        else:
            self._answer.set_result(outcome)
        self.data = b""
        self.place(0)
        self._settled(self, outcome)

    def place(self, position: int) -> None:
        """For the desk: where the ticket stands now."""
        if position != self._position:
            self._position = position
            move, self._move = self._move, asyncio.get_running_loop().create_future()
            move.set_result(None)
