"""Where a publication goes: shards are written beside their final name, or sent whole, and small files put."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from crawler.manifest import LATEST_KEY
from crawler.publish.shard import Written
from crawler.publish.state import STATE_KEY, PublishError
from infra.storage import Storage
from infra.storage.contract import TEMPORARY_PREFIX

CHECKSUMS = "checksums.sha256"  # written last: where it is, the publication is complete

_SHARD = re.compile(r"(?:train|val|test|ood)-\d{6}\.tar")
_UNFINISHED = f"{TEMPORARY_PREFIX}publish-"


def refuse_foreign(target: Storage) -> None:
    """Raises PublishError where `target` is a dataset itself, or holds files that no publication of ours wrote."""
    if target.exists(LATEST_KEY):
        raise PublishError(f"{target.url} is a dataset itself; publish into a folder of its own")
    if target.exists(STATE_KEY):
        return
    first = next(iter(target.list()), None)
    if first is not None:
        raise PublishError(
            f"{target.url} is not empty and holds no publication (there is '{first}'); name a new folder"
        )


@contextmanager
def held(target: Storage) -> Iterator[None]:
    """Keep a second publication out of a folder meanwhile, and sweep up what a killed one left half-written.

    On S3 nothing is locked: two runs of the same version write the same bytes.
    """
    probe = target.local_path(STATE_KEY)
    if probe is None:
        yield
        return
    folder = probe.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise PublishError(f"{folder} cannot be made or opened: {error.strerror}; name another folder") from None
    try:
        _lock(lock, target)
        for leftover in folder.glob(f"{_UNFINISHED}*"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        os.close(lock)


def _lock(folder: int, target: Storage) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel's: it goes away with a process that dies
    except BlockingIOError:
        raise PublishError(f"another command is publishing into {target.url}; wait for it") from None
    except OSError:
        return  # a network file system without locks: two runs of the same version write the same bytes


def put_shard(target: Storage, name: str, write: Callable[[BinaryIO], Written]) -> Written:
    """Have `write` fill a file, then give it its name: the old file or the new one is there, never half of one.

    A folder needs no memory for it; S3 gets the whole shard in one request, from memory.
    """
    path = target.local_path(name)
    if path is not None:
        return _written_beside(path, write)
    try:
        with tempfile.TemporaryFile() as file:
            written = write(cast(BinaryIO, file))
            file.seek(0)
            target.put(name, file.read())
            return written
    except OSError as error:
        raise PublishError(f"no shard can be built in {tempfile.gettempdir()}: {error.strerror}; set TMPDIR") from None


def _written_beside(path: Path, write: Callable[[BinaryIO], Written]) -> Written:
    unfinished = path.with_name(f"{_UNFINISHED}{path.name}")
    try:
        with unfinished.open("wb") as file:
            written = write(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        return written
    except OSError as error:
        raise PublishError(
            f"{path} cannot be written: {error.strerror}; free some space or name another folder"
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


def shards_there(target: Storage) -> set[str]:
    """The names of the shards that lie at `target`, finished by this publication or not."""
    return {key for key in target.list() if _SHARD.fullmatch(key)}
