"""Where entries wait while the database is away: a file of JSON lines, read back in order and then removed.

A file belongs to one store at a time, which holds a lock on it; what a crashed one left is taken over by the next.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from tune.store.entries import Entry, from_line

_MAX_FILES = 100  # stores at work on one database at one time
_FOLDER = Path("runs")


def spill_path(url: str, folder: Path | None) -> Path:
    """Where the entries for the database `url` wait: beside a SQLite file, else in `folder` (by default `runs`)."""
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        return (folder or _FOLDER).absolute() / "results.spill.jsonl"
    if parsed.get_backend_name() == "sqlite":
        database = Path(parsed.database or "results.db").expanduser().absolute()
        return (folder.absolute() if folder else database.parent) / f"{database.name}.spill.jsonl"
    place = "-".join(str(part) for part in (parsed.host, parsed.port, parsed.database) if part)
    return (folder or _FOLDER).absolute() / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', place)}.spill.jsonl"


def spill_files(path: Path) -> list[Path]:
    """The file of the first store, and those of stores that were at work beside it."""
    stem = path.name.removesuffix(".jsonl")
    return [path, *(path.with_name(f"{stem}-{n}.jsonl") for n in range(2, _MAX_FILES + 1))]


class Spill:
    """One spill file, held under a lock while it exists. Safe to use from several threads."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        self._replayed = 0
        self._end = os.fstat(file.fileno()).st_size
        self._lock = threading.Lock()

    @classmethod
    def take(cls, path: Path, *, create: bool = True) -> Spill | None:
        """Open the file under a lock; None when another store has it, or when it is not there and not to be made.

        Raises OSError.
        """
        while True:
            try:
                file = _open(path, create=create)
            except FileNotFoundError:
                if create:
                    raise
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return cls(path, file)
            except BlockingIOError:
                file.close()
                return None
            except FileNotFoundError:  # its last owner has just removed it
                pass
            file.close()

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries at the end. Raises OSError, and then none of them is in the file."""
        data = "".join(entry.to_line() + "\n" for entry in entries).encode()
        with self._lock:
            if not self._ends_with_newline():  # a crash cut the last line in half
                data = b"\n" + data
            try:
                _write_all(self._file, data, self._end)
            except OSError:
                self._file.truncate(self._end)
                raise
            self._end += len(data)

    def read(self, max_entries: int) -> tuple[list[Entry], int]:
        """The next entries to replay, and where they end: hand that to :meth:`replayed`."""
        with self._lock:
            self._file.seek(self._replayed)
            entries: list[Entry] = []
            position = self._replayed
            while len(entries) < max_entries and (line := self._file.readline()):
                position += len(line)
                entry = from_line(line.decode("utf-8", "replace"))
                if entry is not None:
                    entries.append(entry)
            if not entries:
                self._end = position  # should somebody have shortened it meanwhile
            return entries, position

    def replayed(self, position: int) -> None:
        """All up to `position` is in the database."""
        self._replayed = position

    def remove_if_done(self) -> bool:
        """Remove the file when everything in it was replayed."""
        with self._lock:
            if self._replayed < self._end:
                return False
            self.path.unlink(missing_ok=True)
            self._file.close()
            return True

    def close(self) -> None:
        """Leave the file for the next store."""
        with self._lock:
            self._file.close()

    def _ends_with_newline(self) -> bool:
        if self._end == 0:
            return True
        self._file.seek(self._end - 1)
        return self._file.read(1) == b"\n"


def _open(path: Path, *, create: bool) -> IO[bytes]:
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | (os.O_CREAT if create else 0)
    # Unbuffered: what was written is in the kernel when the call returns, safe from this process's death.
    return os.fdopen(os.open(path, flags, 0o644), "r+b", buffering=0)


def _write_all(file: IO[bytes], data: bytes, position: int) -> None:
    written = 0
    while written < len(data):  # a disk that fills up takes a part first and fails at the next call
        written += os.pwrite(file.fileno(), data[written:], position + written)
