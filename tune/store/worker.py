"""The thread behind the result store: empties the queue into the database, or into the spill while that is away."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from pathlib import Path

from tune.store.entries import Entry
from tune.store.target import Target
from tune.store.waiting import Waiting

BATCH_S = 0.2
BATCH_ROWS = 2_000
MAX_QUEUED = 20_000  # entries; a report of 20 metrics is one entry of about 2 kB
BACK_OFF_S = (0.5, 30.0)


def warn(message: str) -> None:
    """One line for the person who runs the sweep."""
    _say(f"warning: {message}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


class _Barrier:
    """Put in the queue to learn when everything before it was dealt with."""

    def __init__(self) -> None:
        self.passed = threading.Event()
        self.written = False


class Worker:
    """The queue, and the thread that empties it into the database or the spill file."""

    def __init__(self, target: Target, spill: Path) -> None:
        self._target = target
        self._waiting = Waiting(spill)
        self._queue: queue.SimpleQueue[Entry | _Barrier] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._in_flight: list[Entry] = []
        self._down_since: float | None = None
        self._back_off_s = BACK_OFF_S[0]
        self._retry_at = 0.0
        self._refused = 0
        self._has_looked = False  # for what earlier runs left
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="result-store", daemon=True)
                self._thread.start()

    def put(self, entry: Entry) -> None:
        if self._queue.qsize() >= MAX_QUEUED:
            self._waiting.add([entry])
            return
        self._queue.put(entry)
        if self._thread is None or not self._thread.is_alive():
            self.start()

    def flush(self, timeout_s: float) -> bool:
        barrier = _Barrier()
        self._queue.put(barrier)
        self.start()
        return barrier.passed.wait(timeout_s) and barrier.written

    def close(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        self.flush(timeout_s)
        self._stop.set()
        self._queue.put(_Barrier())
        if self._thread is not None:
            self._thread.join(max(0.1, deadline - time.monotonic()))
        if self._thread is None or not self._thread.is_alive():
            self._target.close()
        # The thread may hang in a database that does not answer; writing twice does no harm, losing does.
        left = list(self._in_flight)
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._queue.get_nowait()
                if isinstance(item, Entry):
                    left.append(item)
        self._waiting.add(left)
        if self._waiting:
            self._say_what_waits()
        self._waiting.close()

    def _run(self) -> None:
        self._spill_in_flight()  # of a thread that died
        while not self._stop.is_set():
            self._in_flight, barrier = self._collect()
            try:
                self._deliver(now=barrier is not None)
            except Exception as error:
                self._went_down(error)
            if barrier is not None:
                barrier.written = self._down_since is None and not self._waiting
                barrier.passed.set()

    def _collect(self) -> tuple[list[Entry], _Barrier | None]:
        """Entries of up to BATCH_S or BATCH_ROWS; a barrier ends the batch."""
        batch: list[Entry] = []
        rows = 0
        deadline = time.monotonic() + BATCH_S
        while rows < BATCH_ROWS:
            try:
                item = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(item, _Barrier):
                return batch, item
            batch.append(item)
            rows += item.size
        return batch, None

    def _deliver(self, *, now: bool) -> None:
        if self._down_since is not None:
            self._spill_in_flight()  # before a connection is tried, which may take long
            if not now and time.monotonic() < self._retry_at:
                return
        if self._down_since is not None or self._waiting or not self._has_looked:
            self._catch_up()
        self._write(self._in_flight)
        self._in_flight = []

    def _catch_up(self) -> None:
        """Connect, and write what waits here and what earlier runs left."""
        self._target.connect()
        count, where = 0, ""
        while self._waiting or self._waiting.adopt():
            where = self._waiting.where
            count += self._waiting.replay(self._write)
        self._has_looked = True
        was_down, self._down_since = self._down_since, None
        self._back_off_s = BACK_OFF_S[0]
        if was_down is not None:
            _say(f"the result store is back after {time.monotonic() - was_down:.0f} s: wrote {_from(count, where)}")
        elif count:
            _say(f"the result store is up to date: wrote {_from(count, where)}")

    def _write(self, batch: list[Entry]) -> None:
        if batch:
            for entry, reason in self._target.write(batch):
                self._refused += 1
                if self._refused == 1:
                    warn(f"the result store refuses a row of {entry.table} ({reason}); it and its like are left out")

    def _went_down(self, error: Exception) -> None:
        self._spill_in_flight()
        if self._down_since is None:
            self._down_since = time.monotonic()
            warn(f"the result store is away, training goes on; results wait in {self._waiting.where} ({error})")
        self._retry_at = time.monotonic() + self._back_off_s
        self._back_off_s = min(self._back_off_s * 2, BACK_OFF_S[1])

    def _spill_in_flight(self) -> None:
        self._waiting.add(self._in_flight)
        self._in_flight = []

    def _say_what_waits(self) -> None:
        lost = f"; {self._waiting.lost:,} entries did not fit and are lost" if self._waiting.lost else ""
        where = self._waiting.where
        if where == "memory":
            warn(f"results could be written neither to the store nor to a spill file and are lost{lost}")
        else:
            warn(f"results wait in {where} and are written when the store is next opened{lost}")


def _from(count: int, where: str) -> str:
    return f"{count:,} entries from {where}" if count else "nothing, as nothing waited"
