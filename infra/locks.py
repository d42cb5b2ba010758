"""A lock that one process at a time holds, gone with its process however that ends."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import UserError


@contextmanager
def exclusive_lock(path: Path, what: str, way_out: str) -> Iterator[None]:
    """Hold the lock file at `path` while the block runs; the folders above it are made.

    what: who is busy, for the error, e.g. "sweep 'faces'". way_out: what to do instead. Raises UserError when another
    process holds it, or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a+")
    except OSError as error:
        raise UserError(f"{path.parent} cannot be written: {error.strerror or error}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read(200).strip() or "another process"
            raise UserError(f"{what} is being run by {holder}; {way_out}") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        yield
