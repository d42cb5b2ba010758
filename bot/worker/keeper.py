"""Who looks at the pictures: keeps one worker process in charge, replaces one that ends, and follows the champion."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from bot.champion import bundle_url
from bot.params import BotParams
from bot.worker.nursery import Nursery
from bot.worker.process import WorkerProcess
from bot.worker.requests import Checked
from bot.worker.ticket import Ticket
from infra.errors import UserError
from model_defs.checkpoint import BundleError, read_card

PATIENCE = 3  # starts that may fail before those who wait are told
_BACKOFF_S = (1.0, 30.0)  # before a start after one that failed: the first, and the longest, after doubling
_STUBBORN_S = 600.0  # before a champion that could not be loaded is tried once more

log = logging.getLogger("bot.worker")


class Keeper:
    """At most one process is in charge; a new champion's is started beside it, and takes over when it is warm.

    answered: called with a ticket and its outcome. in_charge: called when another process is in charge. lost: called
    with a process that is gone; `held` has what it leaves behind. down: called when PATIENCE starts in a row have
    failed; they go on being tried. nursery: one that outlives this; None: one of its own.
    """

    def __init__(
        self,
        params: BotParams,
        answered: Callable[[Ticket, Checked | UserError], None],
        in_charge: Callable[[WorkerProcess], None],
        lost: Callable[[WorkerProcess], None],
        down: Callable[[], None],
        nursery: Nursery | None = None,
    ) -> None:
        self.current: WorkerProcess | None = None
        self.failed_starts = 0  # in a row
        self.restarts = self.reloads = 0
        self._params = params
        self._answered = answered
        self._in_charge = in_charge
        self._lost = lost
        self._down = down
        self._nursery = nursery or Nursery()
        self._owns_nursery = nursery is None
        self._processes: set[WorkerProcess] = set()

    @property
    def is_keeping(self) -> bool:
        """Whether a process that ends is replaced."""
        return not self._task.done()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process in charge, and those before it that finish what they hold."""
        return tuple(process.pid for process in self._processes)

    async def open(self) -> None:
        """Start the first process. Raises NoChampion, DatabaseError, BundleError, StartFailed."""
        try:
            worker = await self._start(await asyncio.to_thread(bundle_url, self._params))
        except BaseException:
            await self._close_nursery()
            raise
        self._put_in_charge(worker)
        self._task = asyncio.get_running_loop().create_task(self._keep(worker))

    async def close(self) -> None:
        """End all processes; returns when they are gone."""
        self.current = None
        self._task.cancel()
        await asyncio.gather(self._task, *(process.stop() for process in self._processes), return_exceptions=True)
        await self._close_nursery()

    async def _close_nursery(self) -> None:
        if self._owns_nursery:
            await self._nursery.close()

    async def _keep(self, worker: WorkerProcess) -> None:
        while True:
            successor = asyncio.get_running_loop().create_task(self._successor(worker))
            changes: tuple[asyncio.Future[Any], ...] = (worker.gone, successor)
            try:
                await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
            finally:
                successor.cancel()
                await asyncio.gather(successor, return_exceptions=True)
            if successor.cancelled():
                self.restarts += 1
                ending = "did not answer in time" if worker.is_hung else "died"
                log.warning("the worker process %d %s, and is replaced", worker.pid, ending)
                worker = await self._replacement(worker)
                self._put_in_charge(worker)
            else:
                self.reloads += 1
                worker, old = successor.result(), worker
                log.info("a new champion answers: %s", worker.card.id)
                self._put_in_charge(worker)
                old.finish()

    async def _successor(self, current: WorkerProcess) -> WorkerProcess:
        """The process of the next champion, once there is one that can be loaded."""
        known = (current.url, current.card.model_dump_json())
        stubborn: dict[tuple[str, str], float] = {}  # champions that cannot be loaded ▶ the loop's time of the next try
        trouble = ""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._params.worker.reload_s)
            try:
                champion, trouble = await asyncio.to_thread(_champion, self._params), ""
            except Exception as error:  # of whatever kind: who ends here replaces no process any more
                if str(error) != trouble:  # once, not every few seconds
                    trouble = str(error)
                    log.warning("whether there is a new champion cannot be told: %s", error, exc_info=_is_ours(error))
                continue
            if champion == known or clock() < stubborn.get(champion, 0):
                continue
            try:
                return await self._start(champion[0])
            except Exception as error:
                if champion not in stubborn:
                    log.error(
                        "the new champion cannot be used, the one before goes on: %s", error, exc_info=_is_ours(error)
                    )
                stubborn[champion] = clock() + _STUBBORN_S

    async def _replacement(self, dead: WorkerProcess) -> WorkerProcess:
        """Another process for the same network; when that cannot be started any more, for the champion's."""
        shortest, longest = _BACKOFF_S
        # One that ends with nothing to do, and has never done anything, would end again at once.
        delay = 0.0 if dead.answers or dead.held else shortest
        while True:
            await asyncio.sleep(delay)
            url = dead.url
            if self.failed_starts % 2:
                with contextlib.suppress(Exception):
                    url = await asyncio.to_thread(bundle_url, self._params)
            try:
                return await self._start(url)
            except Exception as error:
                self.failed_starts += 1
                delay = min(longest, max(shortest, 2 * delay))
                log.error(
                    "the worker process does not start (%s); next try in %g s", error, delay, exc_info=_is_ours(error)
                )
            if self.failed_starts == PATIENCE:
                self._down()

    async def _start(self, url: str) -> WorkerProcess:
        await asyncio.to_thread(read_card, url)  # a bundle that is not there is told before a process is started
        worker = WorkerProcess(url, self._params, self._answered)
        await worker.start(self._nursery)
        self._processes.add(worker)
        worker.gone.add_done_callback(lambda _: self._bury(worker))
        return worker

    def _put_in_charge(self, worker: WorkerProcess) -> None:
        self.failed_starts = 0
        self.current = worker
        self._in_charge(worker)

    def _bury(self, worker: WorkerProcess) -> None:
        self._processes.discard(worker)
        if self.current is worker:
            self.current = None
        self._lost(worker)


def _champion(params: BotParams) -> tuple[str, str]:
    """Its URL and its card, as JSON: a bundle may be written anew where it is. Raises as `bundle_url`."""
    url = bundle_url(params)
    try:
        return url, read_card(url).model_dump_json()
    except BundleError:
        return url, ""  # what is wrong with it is told when it is to be loaded


def _is_ours(error: Exception) -> bool:
    """Whether it is a mistake of the program, whose traceback is wanted."""
    return not isinstance(error, UserError | OSError)
