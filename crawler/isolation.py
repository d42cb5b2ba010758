"""A process pool that survives its workers: a crash costs the one item that caused it."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Enough to keep every worker busy, few enough that memory and the work lost with a crash stay small.
_WAITING_PER_WORKER = 4


@dataclass(frozen=True)
class Crashed(Generic[Item]):
    """The process that worked on `item` died: a fault of native code, or killed for its memory."""

    item: Item


def map_isolated(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result | Crashed[Item]]]:
    """Call `function` on each item in `workers` processes; yields (item, result) in the order of completion.

    `function` is a top-level one; items and results can be pickled. An exception of `function` is raised here. An
    item whose process dies comes back as :class:`Crashed`. Items are taken from the iterable as they are needed.
    """
    remaining = iter(items)
    while suspects := (yield from _until_a_crash(function, remaining, workers)):
        # Any of the items under way may have been the one: each gets a process of its own.
        for item in suspects:
            with _pool(1) as pool:
                try:
                    yield item, pool.submit(function, item).result()
                except BrokenProcessPool:
                    yield item, Crashed(item)


def _until_a_crash(
    function: Callable[[Item], Result], items: Iterator[Item], workers: int
) -> Generator[tuple[Item, Result], None, list[Item]]:
    """Yields results until there are no more items or a worker dies; returns the items that were under way then."""
    under_way: dict[Future[Result], Item] = {}
    pool = _pool(workers)
    try:
        while True:
            for item in islice(items, workers * _WAITING_PER_WORKER - len(under_way)):
                try:
                    under_way[pool.submit(function, item)] = item
                except BrokenProcessPool:
                    return [*under_way.values(), item]
            if not under_way:
                return []
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    result = future.result()
                except BrokenProcessPool:
                    continue  # stays under way; the pool is of no more use
                yield under_way.pop(future), result
            if any(future in under_way for future in done):
                return list(under_way.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # spawn: the parent has threads (uploads, progress), and a fork of a process with threads can deadlock.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    # Workers hold both ends of the pool's queue, so a parent killed by SIGKILL would leave them waiting for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
