"""Entries that the database did not take yet, and the way back: first in, first replayed."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tune.store.entries import Entry
from tune.store.spill import Spill, spill_files

MAX_IN_MEMORY = 100_000  # entries kept when not even the spill file can be written
REPLAY_ENTRIES = 500  # of a transaction


class Waiting:
    """Entries that the database did not take yet: in the spill file, or in memory when that cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spill: Spill | None = None
        self._memory: deque[Entry] = deque()
        self._lock = threading.Lock()
        self.lost = 0

    def __bool__(self) -> bool:
        return self._spill is not None or bool(self._memory)

    @property
    def where(self) -> str:
        """Where the entries are, for a message."""
        return str(self._spill.path if self._spill is not None else self._path) if not self._memory else "memory"

    def add(self, entries: list[Entry]) -> None:
        """Keep entries. Never raises."""
        if not entries:
            return
        with self._lock:
            try:
                if self._spill is None:
                    self._spill = self._take()
                if self._memory:
                    self._spill.append(list(self._memory))
                    self._memory.clear()
                self._spill.append(entries)
            except OSError:
                self._memory.extend(entries)
                while len(self._memory) > MAX_IN_MEMORY:
                    self._memory.popleft()
                    self.lost += 1

    def replay(self, write: Callable[[list[Entry]], None]) -> int:
        """Hand everything to `write`, in order; returns how many entries. What `write` raises passes through."""
        count = 0
        while self._spill is not None:
            entries, position = self._spill.read(REPLAY_ENTRIES)
            if entries:
                write(entries)
                count += len(entries)
            self._spill.replayed(position)
            if not entries:
                with self._lock:
                    if self._spill.remove_if_done():
                        self._spill = None
        while self._memory:
            with self._lock:
                kept = list(self._memory)
                self._memory.clear()
            try:
                write(kept)
            except BaseException:
                with self._lock:
                    self._memory.extendleft(reversed(kept))
                raise
            count += len(kept)
        return count

    def adopt(self) -> bool:
        """Take over a file that a store left behind, if there is one and none is held."""
        with self._lock:
            if self._spill is None:
                for path in spill_files(self._path):
                    with contextlib.suppress(OSError):
                        self._spill = Spill.take(path, create=False)
                    if self._spill is not None:
                        break
            return self._spill is not None

    def close(self) -> None:
        """Leave the file for the next store."""
        with self._lock:
            if self._spill is not None:
                self._spill.close()
                self._spill = None

    def _take(self) -> Spill:
        for path in spill_files(self._path):
            spill = Spill.take(path)
            if spill is not None:
                return spill
        raise OSError("too many stores have spilled")
