"""The detector's desk for the tests of one process: all workers come from one nursery, whose imports cost seconds."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager

from bot.params import LOCAL, BotParams
from bot.worker import Desk, DetectorDesk, Nursery, open_desk


class _SharedNursery(Nursery):
    """One that outlives its stages: Linux ends its process with the thread that started it, so that is one of ours."""

    _thread = ThreadPoolExecutor(1)

    def fork(self, end: socket.socket) -> None:
        """See `Nursery`; also from several threads."""
        self._thread.submit(super().fork, end).result()


_NURSERY = _SharedNursery()


def shared_desk(params: BotParams) -> AbstractAsyncContextManager[Desk]:
    """As `open_desk`, but there in a moment; for tests whose subject is not how the processes start."""
    return DetectorDesk(params, nursery=_NURSERY) if params.detector == LOCAL else open_desk(params)
