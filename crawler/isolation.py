"""Processes for work that may kill them: a crash or an endless loop costs the one item that caused it, and no other.

A process works on one item at a time. One more waits in its pipe, so that it does not idle while the caller is busy;
when the process dies, the item it was working on is the culprit, and the waiting one goes to another process.

The processes are forked from one small server (`forkserver`) that has the modules of the work imported: a fork of the
caller would copy the locks of its threads, and a fresh interpreter costs ten times the time and twice the memory.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import signal
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing.context import ForkServerProcess
from types import TracebackType
from typing import Any, Generic, TypeVar

from crawler.isolated import HEADER, serve
from infra.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

_PER_WORKER = 2  # items that a process holds: the one it works on, and the next
_START_TIMEOUT_S = 60.0
_START_ATTEMPTS = 3
_JOIN_S = 5.0


@dataclass(frozen=True)
class Crashed(Generic[Item]):
    """The process that worked on `item` died: a fault of native code, or killed for its memory."""

    item: Item


@dataclass(frozen=True)
class TookTooLong(Crashed[Item]):
    """The process that worked on `item` was ended because it was not done in time."""


class IsolationError(UserError):
    """The processes do not start, or there are none any more."""


class IsolatedPool(Generic[Item, Result]):
    """Calls `function` in `workers` processes; an async context manager, which ends them all on leaving.

    function, prepare: picklable; `prepare` is called once in each new process, and what it raises is raised on
    entering. timeout_s: wall-clock seconds for one item. memory_bytes: what a process may allocate beyond what it has
    after starting, where the system can limit that; then the function meets a MemoryError. preload: modules that the
    processes share; the first pool of a program decides.
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        workers: int,
        *,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
        prepare: Callable[[], None] | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        self._task = pickle.dumps((function, prepare, timeout_s, memory_bytes))
        self._size = workers
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._workers: set[_Worker] = set()
        self._waiting: deque[_Job] = deque()
        self._changes: set[asyncio.Task[None]] = set()  # burials and replacements under way
        self._closed: Exception | None = IsolationError("the pool of processes is not open")

    async def __aenter__(self) -> IsolatedPool[Item, Result]:
        self._closed = None
        starts = [asyncio.ensure_future(self._start()) for _ in range(self._size)]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await self._close(IsolationError("the pool of processes is closed"))
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close(IsolationError("the pool of processes is closed"))

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that take items now."""
        return tuple(worker.pid for worker in self._workers)

    async def call(self, item: Item) -> Result | Crashed[Item]:
        """The result of `function(item)`, whose exceptions are raised here; Crashed where the process died of it."""
        if self._closed is not None:
            raise self._closed
        message = item if isinstance(item, bytes) else pickle.dumps(item, protocol=5)
        job = _Job(message, isinstance(item, bytes), asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._hand_out()
        reply = await job.reply
        if isinstance(reply, type):
            crashed: Crashed[Item] = reply(item)
            return crashed
        succeeded, value = pickle.loads(reply)
        if not succeeded:
            raise value
        result: Result = value
        return result

    def _hand_out(self) -> None:
        while self._waiting and self._workers:
            worker = min(self._workers, key=lambda worker: len(worker.jobs))
            if len(worker.jobs) == _PER_WORKER:
                return
            job = self._waiting.popleft()
            if not job.reply.done():  # done: its caller was cancelled
                worker.send(job)

    async def _start(self) -> None:
        """One more process, from the fork to its first sign of life."""
        worker = _Worker(self._hand_out, self._lost)
        await worker.start(self._context, self._task)
        self._workers.add(worker)
        if self._closed is None:
            self._hand_out()
        else:
            worker.process.kill()

    def _lost(self, worker: _Worker) -> None:
        was_serving = worker in self._workers
        self._workers.discard(worker)
        change = asyncio.ensure_future(self._replace(worker, was_serving))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)

    async def _replace(self, dead: _Worker, was_serving: bool) -> None:
        """Judge the item that the process died of, save the one behind it, start another process."""
        jobs = list(dead.jobs)
        died_of_it = self._closed is None and jobs and jobs[0].delivered
        culprit = jobs.pop(0) if died_of_it else None
        self._waiting.extendleft(reversed(jobs))
        self._hand_out()
        exit_code = await dead.exit_code()
        if culprit and not culprit.reply.done():
            culprit.reply.set_result(TookTooLong if exit_code == -signal.SIGALRM else Crashed)
        if was_serving:
            await self._start_again()

    async def _start_again(self) -> None:
        for attempt in range(_START_ATTEMPTS):
            if self._closed is not None:
                return
            try:
                await self._start()
            except Exception as error:
                if attempt + 1 == _START_ATTEMPTS:
                    self._give_up(error)
            else:
                return

    def _give_up(self, error: Exception) -> None:
        self._closed = error
        while self._waiting:
            job = self._waiting.popleft()
            if not job.reply.done():
                job.reply.set_exception(error)

    async def _close(self, reason: Exception) -> None:
        self._give_up(self._closed or reason)
        for worker in self._workers:
            worker.process.kill()
        while pending := [*self._changes, *(worker.gone for worker in self._workers)]:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        self._give_up(reason)  # on what the dead left behind


@dataclass(eq=False, slots=True)
class _Job:
    item: bytes
    is_raw: bool  # the item itself, and not a pickle of it
    reply: asyncio.Future[Any]  # the pickled reply, or the class that says how the process died
    delivered: bool = False  # False: the process was dead before it could be told


class _Worker(asyncio.Protocol):
    """The parent's end of one process."""

    process: ForkServerProcess
    pid: int

    def __init__(self, free: Callable[[], None], lost: Callable[[_Worker], None]) -> None:
        self.jobs: deque[_Job] = deque()  # those that the process holds, in its order
        self._free = free
        self._lost = lost
        self._buffer = bytearray()
        self._ready: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, context: Any, task: bytes) -> None:
        """Raises what the preparation raised, IsolationError where the process does not come up."""
        ours, theirs = socket.socketpair()
        self.process = context.Process(target=serve, args=(theirs, task), daemon=True)
        try:
            with theirs:
                await asyncio.to_thread(self.process.start)  # the very first waits for the server's imports
            self._transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            raise
        self.pid = self.process.pid or 0
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                error = await self._ready
        except TimeoutError:
            self.process.kill()
            raise IsolationError(
                f"a process did not come up within {_START_TIMEOUT_S:g} s; is the machine that busy? "
                "(A script that starts one must be importable: put its work under if __name__ == '__main__')"
            ) from None
        except BaseException:
            self.process.kill()
            raise
        if error is not None:
            raise error

    def send(self, job: _Job) -> None:
        self.jobs.append(job)
        self._transport.writelines((HEADER.pack(len(job.item), job.is_raw), job.item))
        job.delivered = not self._transport.is_closing()

    async def exit_code(self) -> int | None:
        """Waits until the process is gone; negative: the signal that ended it."""
        await asyncio.to_thread(self.process.join, _JOIN_S)
        if self.process.exitcode is None:
            self.process.kill()
            await asyncio.to_thread(self.process.join)
        code = self.process.exitcode
        self.process.close()
        return code

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            end = HEADER.size + HEADER.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            if not self._ready.done():
                self._ready.set_result(pickle.loads(message))
                continue
            job = self.jobs.popleft()
            if not job.reply.done():
                job.reply.set_result(message)
            self._free()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._ready.done():
            self._ready.set_result(IsolationError("a process for isolated work ends as soon as it is started"))
        self.gone.set_result(None)
        self._lost(self)


def map_isolated(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, **options: Any
) -> Generator[tuple[Item, Result | Crashed[Item]], None, None]:
    """Call `function` on each item in `workers` processes; yields (item, result) in the order of completion.

    options: those of :class:`IsolatedPool`. An exception of `function` is raised here. An item whose process dies
    comes back as :class:`Crashed`. Items are taken from the iterable as they are needed.
    """
    remaining = iter(items)
    pool: IsolatedPool[Item, Result] = IsolatedPool(function, workers, **options)
    calls: dict[asyncio.Task[Result | Crashed[Item]], Item] = {}

    async def next_results() -> list[tuple[Item, Result | Crashed[Item]]]:
        for item in islice(remaining, workers * _PER_WORKER - len(calls)):
            calls[asyncio.ensure_future(pool.call(item))] = item
        if not calls:
            return []
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        return [(calls.pop(call), call.result()) for call in done]

    with asyncio.Runner() as runner:
        runner.run(pool.__aenter__())
        try:
            while results := runner.run(next_results()):
                yield from results
        finally:
            for call in calls:
                call.cancel()
            runner.run(pool.__aexit__(None, None, None))


def start_server_early(preload: Sequence[str]) -> None:
    """Have the fork server import `preload` while this process goes on; the first pool finds it ready."""
    from multiprocessing import forkserver

    multiprocessing.get_context("forkserver").set_forkserver_preload(list(preload))
    forkserver.ensure_running()
