"""The one who writes the result store: calls that return at once, a thread that does the work, no error to the caller.

A sweep never dies of its tracker. While the database is away, entries go to a spill file; when it is back they are
replayed in order.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from infra.database import DatabaseError, redact
from tune.store import entries as e
from tune.store.entries import Entry
from tune.store.spill import spill_path
from tune.store.target import Target
from tune.store.waiting import Waiting
from tune.store.worker import Worker, warn


class ResultStore:
    """Writes one result store. Building it neither connects nor starts a thread, and it pickles: Ray needs both."""

    def __init__(self, url: str, *, spill: Path | None = None) -> None:
        """`spill`: the folder for entries that wait for the database; by default beside a SQLite file, else `runs`."""
        self.url = url
        self._spill_folder = spill
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        self._last_at = 0.0

    def __getstate__(self) -> dict[str, Any]:
        # Ray keeps the pickle beside the checkpoints, where a password must not lie: PGPASSWORD or ~/.pgpass has it.
        return {"url": without_password(self.url), "_spill_folder": self._spill_folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def open(self, *, must_connect: bool = True) -> None:
        """Connect, migrate, start the thread; what an earlier run left in a spill file is replayed.

        Raises DatabaseError when the database cannot be opened. With `must_connect=False` it does not: then entries
        are spilled until it can.
        """
        self._take_over_after_fork()
        with self._lock:
            if self._worker is not None:
                return
            target = Target(self.url)
            try:
                target.connect()
            except DatabaseError:
                if must_connect:
                    raise
            self._worker = Worker(target, spill_path(self.url, self._spill_folder))
            self._worker.start()
            atexit.register(self.close)

    def sweep(
        self, sweep_id: str, name: str, params: Mapping[str, Any], *,
        dataset_hash: str, git_commit: str | None, status: str,
    ) -> None:  # fmt: skip
        """Write a sweep as it stands now."""
        self._put(lambda: e.sweep_entry(sweep_id, name, params, dataset_hash, git_commit, status, self._now()))

    def trial(
        self, trial_id: str, sweep_id: str, params: Mapping[str, Any], *,
        status: str, number: int, folder: str, error: str | None = None,
        started_at: float | None = None, ended_at: float | None = None,
    ) -> None:  # fmt: skip
        """Write a trial as it stands now. The earliest `started_at` (Unix time, as all times here) stands."""
        self._put(
            lambda: e.trial_entry(
                trial_id, sweep_id, params, status, number, folder, error, started_at, ended_at, self._now()
            )
        )

    def metrics(self, trial_id: str, step: int, values: Mapping[str, float], at: float) -> None:
        """Write what a trial reported for a step; reported again, the later `at` stands."""
        self._put(lambda: e.metrics_entry(trial_id, step, values, at))

    def checkpoint(self, trial_id: str, step: int, url: str, score: float | None) -> None:
        """Write where the checkpoint of a step lies; score: of the sweep's metric."""
        self._put(lambda: e.checkpoint_entry(trial_id, step, url, score, self._now()))

    def event(self, sweep_id: str, trial_id: str | None, kind: str, message: str) -> None:
        """Write that something happened, now."""
        self._put(lambda: e.event_entry(sweep_id, trial_id, kind, message, self._now()))

    def alias(self, name: str, bundle_url: str, trial_id: str) -> None:
        """Give a bundle a name, taking the name from whatever had it."""
        self._put(lambda: e.alias_entry(name, bundle_url, trial_id, self._now()))

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything written before is in the database.

        False when it is not: the time is over, or the database is away and the entries wait in the spill file.
        """
        worker = self._worker
        return worker is not None and worker.flush(timeout_s)

    def close(self, timeout_s: float = 10) -> None:
        """Write what is left and stop; what the database does not take in time waits in the spill file."""
        with self._lock:
            worker, self._worker = self._worker, None
        atexit.unregister(self.close)
        if worker is not None and self._pid == os.getpid():
            worker.close(timeout_s)

    def _put(self, make: Callable[[], Entry]) -> None:
        """Never raises and never waits for the database."""
        try:
            self._take_over_after_fork()
            entry = make()
            worker = self._worker
            if worker is not None:
                worker.put(entry)
            else:
                self._spill_unopened(entry)
        except Exception as error:
            warn(f"a row of the result store was lost: {type(error).__name__}: {error}")

    def _now(self) -> float:
        """The time, rising at every call, so that of two writes to one row the second stands."""
        self._last_at = max(time.time(), self._last_at + 1e-6)
        return self._last_at

    def _take_over_after_fork(self) -> None:
        if self._pid != os.getpid():  # a forked child has neither the thread nor a right to the connection
            self._reset()

    def _spill_unopened(self, entry: Entry) -> None:
        waiting = Waiting(spill_path(self.url, self._spill_folder))
        waiting.add([entry])
        waiting.close()


def without_password(url: str) -> str:
    """The same database, its password to be found elsewhere."""
    try:
        u = sa.make_url(url)
    except (ArgumentError, ValueError):
        return redact(url)
    if "@" in (u.host or ""):  # of a password that was not percent-encoded
        return redact(url)
    query = {key: value for key, value in u.query.items() if "password" not in key.lower()}
    bare = sa.URL.create(u.drivername, u.username, None, u.host, u.port, u.database, query)
    return bare.render_as_string(hide_password=False)
